//! Engine packages installed, and the package manager's recent history.

use common_model::{Class, Timestamp};
use jiff::civil::DateTime;

use crate::source::{Collector, FileRead, Source, Trigger};
use crate::{Evidence, Parsed, local_time, parse_json};

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: Packages::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| vec![(String::new(), Source::FileTail { path: "/var/log/dpkg.log".to_owned(), cap: 64 * 1024 })],
    triggers: |_| vec![Trigger::Directory("/var/log".to_owned())],
    redact: crate::redact::file_json,
};

/// The newest part of the package manager's history that concerns engines, Java, kernels and firewalls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packages {
    /// Oldest first.
    pub history: Vec<PackageAction>,
}

/// One action of a package manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageAction {
    /// When, by the node's clock; the log is in local time.
    pub at: Timestamp,
    /// `install`, `upgrade`, `remove`, `purge`.
    pub action: String,
    /// Package name.
    pub package: String,
    /// Version before.
    pub old: Option<String>,
    /// Version after.
    pub new: Option<String>,
}

impl Evidence for Packages {
    const KIND: &'static str = "packages";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        let Parsed { value: file, mut problems } = parse_json::<FileRead>(raw);
        problems.extend(file.error);
        let lines: Vec<Line<'_>> = file.text.lines().filter_map(read).collect();
        let Some(last) = lines.last() else { return Parsed { value: Self::default(), problems } };
        let Some(offset) = local_time::offset_ms(last.local, file.modified_ms) else {
            problems
                .push("the times in the package log cannot be told: the file's own time fits no time zone".to_owned());
            return Parsed { value: Self::default(), problems };
        };
        let history = lines.iter().filter_map(|line| line.action(offset)).collect();
        Parsed { value: Self { history }, problems }
    }
}

/// A line of `dpkg.log`: `2026-11-20 23:50:11 upgrade elasticsearch:amd64 8.14.0 8.14.1`.
struct Line<'a> {
    local: DateTime,
    words: Vec<&'a str>,
}

fn read(line: &str) -> Option<Line<'_>> {
    let mut words = line.split_whitespace();
    let local = format!("{}T{}", words.next()?, words.next()?).parse().ok()?;
    Some(Line { local, words: words.collect() })
}

impl Line<'_> {
    fn action(&self, offset_ms: i64) -> Option<PackageAction> {
        let [action @ ("install" | "upgrade" | "remove" | "purge"), package, old, new] = self.words.as_slice() else {
            return None;
        };
        let package = package.split_once(':').map_or(*package, |(name, _)| name);
        let version = |text: &str| (text != "<none>").then(|| text.to_owned());
        matters(package).then(|| {
            Some(PackageAction {
                at: Timestamp(local_time::as_utc_ms(self.local)?.saturating_sub(offset_ms)),
                action: (*action).to_owned(),
                package: package.to_owned(),
                old: version(old),
                new: version(new),
            })
        })?
    }
}

/// Engines, their plugins and clients, Java, kernels, firewalls, and what sets kernel settings at boot.
fn matters(package: &str) -> bool {
    let begins = [
        "elasticsearch",
        "opensearch",
        "opendistro",
        "wazuh-indexer",
        "linux-image",
        "ufw",
        "firewalld",
        "nftables",
        "iptables",
        "systemd",
        "procps",
        "temurin",
        "dialtone",
    ];
    begins.iter().any(|begin| package.starts_with(begin)) || package.contains("jdk") || package.contains("jre")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    static LOG: &str = "2026-11-20 23:50:10 startup archives unpack\n2026-11-20 23:50:11 install elasticsearch:amd64 <none> 8.14.0\n2026-11-20 23:50:12 status installed elasticsearch:amd64 8.14.0\n2026-11-20 23:51:00 upgrade openjdk-17-jre-headless:amd64 17.0.14 17.0.15\n2026-11-20 23:52:00 install cowsay:all <none> 3\n2026-11-20 23:53:00 remove ufw:all 0.36 <none>\n";

    fn parse(text: &str, modified: &str) -> Parsed<Packages> {
        let modified: Timestamp = modified.parse().unwrap();
        let body = json!({"path": "/var/log/dpkg.log", "text": text, "modified_ms": modified.0});
        Packages::parse(body.to_string().as_bytes(), "", 1)
    }

    #[test]
    fn the_history_of_what_matters_in_utc() {
        let history = parse(LOG, "2026-11-20T22:53:00.5Z").value.history;
        let shown: Vec<String> =
            history.iter().map(|a| format!("{} {} {} {:?} {:?}", a.at, a.action, a.package, a.old, a.new)).collect();
        assert_eq!(
            shown,
            [
                "2026-11-20T22:50:11.000Z install elasticsearch None Some(\"8.14.0\")",
                "2026-11-20T22:51:00.000Z upgrade openjdk-17-jre-headless Some(\"17.0.14\") Some(\"17.0.15\")",
                "2026-11-20T22:53:00.000Z remove ufw Some(\"0.36\") None",
            ]
        );
    }

    #[test]
    fn a_log_that_cannot_be_dated_is_not_guessed() {
        let parsed = parse(LOG, "2026-11-20T22:58:00Z");
        assert!(parsed.value.history.is_empty());
        assert_eq!(parsed.problems.len(), 1);
    }

    #[test]
    fn broken_lines_are_passed_over() {
        assert_eq!(
            parse("x\n2026-13-99 99:99:99 install a b c\n2026-11-20\n", "2026-11-20T00:00:00Z"),
            Parsed::default()
        );
    }
}
