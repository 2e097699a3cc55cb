//! Secrets on command lines.

use super::{HIDDEN, keys, text};

/// Java system properties whose values are names, numbers and paths.
static PUBLIC_PROPERTIES: &[&str] = &[
    "es.",
    "opensearch.",
    "cli.",
    "java.",
    "jdk.",
    "jna.",
    "io.netty.",
    "log4j",
    "file.encoding",
    "user.timezone",
    "sun.",
    "lucene.",
    "javax.net.ssl.keyStore",
    "javax.net.ssl.trustStore",
    "clk.tck",
    "performance-analyzer.",
];

/// Programs whose arguments tell what was changed and never hold a secret.
static PUBLIC_PROGRAMS: &[&str] = &[
    "systemctl",
    "service",
    "sysctl",
    "ufw",
    "iptables",
    "ip6tables",
    "iptables-legacy",
    "iptables-restore",
    "nft",
    "firewall-cmd",
    "apt",
    "apt-get",
    "dpkg",
    "dnf",
    "yum",
    "rpm",
    "kill",
    "killall",
    "pkill",
    "reboot",
    "shutdown",
    "poweroff",
    "swapoff",
    "mount",
    "umount",
    "chown",
    "chmod",
    "rm",
    "cp",
    "mv",
    "ln",
    "touch",
    "vi",
    "vim",
    "vim.basic",
    "nano",
    "sudoedit",
    "less",
    "cat",
    "tail",
    "ip",
    "ss",
    "setenforce",
    "setsebool",
];

/// Where files live whose names are worth telling.
static PUBLIC_PATHS: &[&str] =
    &["/etc/", "/usr/", "/var/", "/opt/", "/lib/", "/bin/", "/sbin/", "/run/", "/srv/", "/proc/", "/sys/"];

/// Removes secrets from the words of an engine's command line.
pub fn command(words: &[String]) -> Vec<String> {
    let mut before = "";
    words
        .iter()
        .map(|word| {
            let shown = word_after(before, word);
            before = word;
            shown
        })
        .collect()
}

fn word_after(before: &str, word: &str) -> String {
    if before == "-E" {
        return setting(word);
    }
    if before.starts_with('-')
        && !before.contains('=')
        && (keys::is_secret(before) || matches!(before, "-u" | "--user"))
    {
        return HIDDEN.to_owned();
    }
    if let Some(glued) = word.strip_prefix("-E").filter(|glued| !glued.is_empty()) {
        return format!("-E{}", setting(glued));
    }
    if let Some((name, _)) = word.strip_prefix("-D").and_then(|property| property.split_once('=')) {
        let public = PUBLIC_PROPERTIES.iter().any(|prefix| name.starts_with(prefix)) && !keys::is_secret(name);
        return if public { text(word) } else { format!("-D{name}={HIDDEN}") };
    }
    text(word)
}

/// `key=value` of an engine's setting.
pub(crate) fn setting(word: &str) -> String {
    match word.split_once('=') {
        Some((key, _)) if keys::is_public(key) => text(word),
        Some((key, _)) => format!("{key}={HIDDEN}"),
        None => text(word),
    }
}

/// Removes secrets from sudo's line `alice : TTY=… ; PWD=… ; USER=root ; ENV=… ; COMMAND=…`.
pub(super) fn sudo(line: &str) -> String {
    let Some((head, command)) = line.split_once("COMMAND=") else { return text(line) };
    let head = match head.split_once("ENV=") {
        Some((before, _)) => format!("{before}ENV={HIDDEN} ; "),
        None => head.to_owned(),
    };
    format!("{head}COMMAND={}", typed(command))
}

/// A command line as a person typed it: whole for programs known to take no secrets, else its program and the files it names.
fn typed(line: &str) -> String {
    let mut words = line.split(' ');
    let program = words.next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or(program);
    if PUBLIC_PROGRAMS.contains(&name) {
        return text(line);
    }
    let mut shown = vec![program.to_owned()];
    for word in words {
        let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '@'));
        if plain && PUBLIC_PATHS.iter().any(|dir| word.starts_with(dir)) {
            shown.push(word.to_owned());
        } else if shown.last().is_none_or(|last| last != HIDDEN) {
            shown.push(HIDDEN.to_owned());
        }
    }
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        command(&words).join(" ")
    }

    #[test]
    fn settings_and_properties_keep_what_is_public() {
        assert_eq!(
            shown(
                "java -Xmx1g -Des.path.conf=/etc/elasticsearch -Dfoo=bar -Djavax.net.ssl.keyStorePassword=x -Ehttp.port=9201 -E s3.client.x=y -Exy=z"
            ),
            "java -Xmx1g -Des.path.conf=/etc/elasticsearch -Dfoo=[redacted] -Djavax.net.ssl.keyStorePassword=[redacted] -Ehttp.port=9201 -E s3.client.x=[redacted] -Exy=[redacted]"
        );
        assert_eq!(shown("java --api-key abc -u elastic:x --quiet"), "java --api-key [redacted] -u [redacted] --quiet");
    }

    #[test]
    fn sudo_tells_the_change_and_no_more() {
        let head = "alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ;";
        let keep = format!("{head} COMMAND=/usr/sbin/ufw deny 9200/tcp");
        assert_eq!(sudo(&keep), keep);
        assert_eq!(
            sudo(&format!("{head} COMMAND=/usr/bin/sed -i s/a/hunter2/ /etc/elasticsearch/elasticsearch.yml")),
            format!("{head} COMMAND=/usr/bin/sed [redacted] /etc/elasticsearch/elasticsearch.yml")
        );
        assert_eq!(
            sudo(&format!("{head} ENV=PW=hunter2 ; COMMAND=/usr/bin/systemctl restart es")),
            format!("{head} ENV=[redacted] ; COMMAND=/usr/bin/systemctl restart es")
        );
    }
}
