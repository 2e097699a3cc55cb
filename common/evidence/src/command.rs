//! Command lines of the engines' JVMs and launchers.

use common_model::probe::Product;

/// What an engine's process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The process that starts the JVM and keeps the `-E` settings; Elasticsearch from 8.3 on.
    Launcher,
    /// The JVM that owns the sockets.
    Server,
}

/// Which engine a command line runs, and as what; none when it runs none.
///
/// The tools of the engines (`elasticsearch-keystore` …) share the launcher's class, not its `cli.name`.
pub fn recognise(command: &[String]) -> Option<(Product, Role)> {
    let program = command.first()?;
    if !program.rsplit('/').next().is_some_and(|name| name.starts_with("java")) {
        return None;
    }
    command.iter().skip(1).find_map(|word| match word.as_str() {
        "org.elasticsearch.bootstrap.Elasticsearch"
        | "org.elasticsearch.server/org.elasticsearch.bootstrap.Elasticsearch" => {
            Some((Product::Elasticsearch, Role::Server))
        }
        "org.opensearch.bootstrap.OpenSearch" => Some((Product::Opensearch, Role::Server)),
        "org.elasticsearch.launcher.CliToolLauncher" if starts_server(command) => {
            Some((Product::Elasticsearch, Role::Launcher))
        }
        _ => None,
    })
}

fn starts_server(command: &[String]) -> bool {
    command.iter().any(|word| {
        word == "-Dcli.name=server"
            || word.strip_prefix("-Dcli.script=").is_some_and(|script| script.ends_with("bin/elasticsearch"))
    })
}

/// The last value given for a Java system property.
pub fn property<'a>(command: &'a [String], name: &str) -> Option<&'a str> {
    command
        .iter()
        .rev()
        .find_map(|word| word.strip_prefix("-D")?.strip_prefix(name)?.strip_prefix('='))
        .filter(|value| !value.is_empty())
}

/// The engine's configuration directory, where the command line names it.
pub fn config_dir(command: &[String]) -> Option<&str> {
    property(command, "es.path.conf").or_else(|| property(command, "opensearch.path.conf"))
}

/// The engine's home directory, where the command line names it.
pub fn home(command: &[String]) -> Option<&str> {
    property(command, "es.path.home").or_else(|| property(command, "opensearch.path.home")).or_else(|| {
        let at = command.iter().position(|word| word == "--module-path" || word == "-p")?;
        command.get(at + 1)?.strip_suffix("/lib")
    })
}

/// The settings given by `-E key=value` or `-Ekey=value`, each as `key=value`, in order.
pub fn settings(command: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = command.iter();
    while let Some(word) = words.next() {
        let Some(glued) = word.strip_prefix("-E") else { continue };
        let setting = if glued.is_empty() { words.next().map(String::as_str) } else { Some(glued) };
        found.extend(setting.filter(|setting| setting.contains('=')).map(str::to_owned));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn every_generation_is_recognised() {
        let es7 = words(
            "/usr/share/elasticsearch/jdk/bin/java -Xms1g -Des.path.home=/usr/share/elasticsearch -Des.path.conf=/etc/elasticsearch -cp /usr/share/elasticsearch/lib/* org.elasticsearch.bootstrap.Elasticsearch -p /run/e.pid --quiet",
        );
        assert_eq!(recognise(&es7), Some((Product::Elasticsearch, Role::Server)));
        assert_eq!(config_dir(&es7), Some("/etc/elasticsearch"));
        assert_eq!(home(&es7), Some("/usr/share/elasticsearch"));

        let launcher = words(
            "/usr/share/elasticsearch/jdk/bin/java -Dcli.name=server -Dcli.script=/usr/share/elasticsearch/bin/elasticsearch -Des.path.conf=/etc/elasticsearch -cp x org.elasticsearch.launcher.CliToolLauncher -E http.port=9201 -Enetwork.host=_site_ --quiet",
        );
        assert_eq!(recognise(&launcher), Some((Product::Elasticsearch, Role::Launcher)));
        assert_eq!(settings(&launcher), ["http.port=9201", "network.host=_site_"]);

        let child = words(
            "/opt/es/jdk/bin/java -Xmx1g --module-path /opt/es/lib --add-modules=jdk.net -m org.elasticsearch.server/org.elasticsearch.bootstrap.Elasticsearch",
        );
        assert_eq!(recognise(&child), Some((Product::Elasticsearch, Role::Server)));
        assert_eq!(home(&child), Some("/opt/es"));

        let os = words("java -Dopensearch.path.conf=/etc/opensearch -cp x org.opensearch.bootstrap.OpenSearch");
        assert_eq!(recognise(&os), Some((Product::Opensearch, Role::Server)));
        assert_eq!(config_dir(&os), Some("/etc/opensearch"));
    }

    #[test]
    fn neither_tools_nor_mentions_are_engines() {
        for other in [
            "java -Dcli.name= -Dcli.script=/usr/share/elasticsearch/bin/elasticsearch-keystore org.elasticsearch.launcher.CliToolLauncher list",
            "grep org.elasticsearch.bootstrap.Elasticsearch",
            "java -jar logstash.jar",
            "",
        ] {
            assert_eq!(recognise(&words(other)), None, "{other}");
        }
        assert_eq!(recognise(&[]), None);
        assert!(settings(&words("x -E")).is_empty());
    }
}
