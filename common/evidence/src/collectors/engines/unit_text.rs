//! What a service unit's text says about the engine it starts.

use common_model::probe::Product;

use crate::command;

/// The parts of a unit that tell where its engine's things are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct UnitText {
    /// Words of the last `ExecStart=`.
    pub(super) exec: Vec<String>,
    /// `Environment=`, in order.
    environment: Vec<(String, String)>,
    /// `EnvironmentFile=`, without the `-`, in order.
    pub(super) environment_files: Vec<String>,
}

/// Reads a unit's text with its drop-ins. `name` is for the specifiers of an instance.
pub(super) fn read(name: &str, text: &str) -> UnitText {
    let mut unit = UnitText::default();
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    for line in joined.lines().map(str::trim) {
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = expand(name, value.trim());
        match (key.trim(), value.is_empty()) {
            ("ExecStart", _) => {
                // A shell's `-c` argument holds words of its own.
                unit.exec = words(&value).iter().flat_map(|word| word.split_whitespace()).map(str::to_owned).collect();
            }
            ("Environment", true) => unit.environment.clear(),
            ("Environment", false) => unit.environment.extend(words(&value).iter().filter_map(|word| assignment(word))),
            ("EnvironmentFile", true) => unit.environment_files.clear(),
            ("EnvironmentFile", false) => unit.environment_files.push(value.trim_start_matches('-').to_owned()),
            _ => {}
        }
    }
    unit
}

impl UnitText {
    /// The value of a variable: the environment files win over `Environment=`, as in systemd.
    pub(super) fn variable<'a>(&'a self, name: &str, files: &'a [(String, String)]) -> Option<&'a str> {
        let last = |list: &'a [(String, String)]| {
            list.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        last(files).or_else(|| last(&self.environment)).filter(|value| !value.is_empty())
    }

    /// The engine its command starts, and that engine's home.
    pub(super) fn engine(&self) -> Option<(Product, Option<String>)> {
        if let Some((product, _)) = command::recognise(&self.exec) {
            return Some((product, command::home(&self.exec).map(str::to_owned)));
        }
        let started = self.exec.iter().find_map(|word| {
            let (dir, program) = word.rsplit_once('/')?;
            let home = dir.strip_suffix("/bin")?;
            let product = match program {
                "elasticsearch" => Product::Elasticsearch,
                "opensearch" => Product::Opensearch,
                _ if program.ends_with("systemd-entrypoint") => product_of(home),
                _ => return None,
            };
            Some((product, Some(home.to_owned())))
        });
        started.or_else(|| {
            let sets = |name: &str| self.environment.iter().any(|(key, _)| key == name);
            if sets("OPENSEARCH_PATH_CONF") {
                Some((Product::Opensearch, None))
            } else {
                sets("ES_PATH_CONF").then_some((Product::Elasticsearch, None))
            }
        })
    }
}

fn product_of(home: &str) -> Product {
    if home.contains("opensearch") || home.contains("wazuh-indexer") {
        Product::Opensearch
    } else {
        Product::Elasticsearch
    }
}

/// Variables of an environment file: `KEY=value` lines, quotes removed, comments skipped.
pub(super) fn environment_file(text: &str) -> Vec<(String, String)> {
    text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])).filter_map(assignment).collect()
}

fn assignment(text: &str) -> Option<(String, String)> {
    let text = text.strip_prefix("export ").unwrap_or(text);
    let (key, value) = text.split_once('=')?;
    Some((key.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
}

/// Splits as systemd does, as far as engines' units need it: at white space outside quotes. The prefixes of a program
/// (`-`, `@`, `+`, `!`, `:`) are dropped.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    if let Some(program) = words.first_mut() {
        *program = program.trim_start_matches(['-', '@', '+', '!', ':']).to_owned();
    }
    words
}

/// Replaces the specifiers that engines' units use: `%i`, `%I`, `%n`, `%N`, `%p`, `%%`.
fn expand(name: &str, value: &str) -> String {
    let stem = name.strip_suffix(".service").unwrap_or(name);
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('i' | 'I') => out.push_str(instance),
            Some('n') => out.push_str(name),
            Some('N') => out.push_str(stem),
            Some('p') => out.push_str(prefix),
            Some('%') => out.push('%'),
            Some(other) => out.extend(['%', other]),
            None => out.push('%'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_packaged_unit() {
        let unit = read(
            "elasticsearch.service",
            "[Service]\nEnvironment=ES_HOME=/usr/share/elasticsearch\nEnvironment=ES_PATH_CONF=/etc/elasticsearch\nEnvironmentFile=-/etc/default/elasticsearch\nExecStart=/usr/share/elasticsearch/bin/systemd-entrypoint -p ${PID_DIR}/elasticsearch.pid --quiet\n",
        );
        assert_eq!(unit.engine(), Some((Product::Elasticsearch, Some("/usr/share/elasticsearch".to_owned()))));
        assert_eq!(unit.variable("ES_PATH_CONF", &[]), Some("/etc/elasticsearch"));
        let file = environment_file("# ES_PATH_CONF=/no\nES_PATH_CONF=\"/srv/conf\"\n");
        assert_eq!(unit.variable("ES_PATH_CONF", &file), Some("/srv/conf"));
    }

    #[test]
    fn an_instance_and_a_drop_in_change_what_is_started() {
        let unit = read(
            "es@hot.service",
            "ExecStart=/opt/es/bin/elasticsearch\nEnvironment=\"ES_PATH_CONF=/etc/es/%i\" X=1\nExecStart=\nExecStart=-/bin/bash -c \\\n  'exec /opt/es/bin/elasticsearch -Ehttp.port=9201'\n",
        );
        assert_eq!(unit.variable("ES_PATH_CONF", &[]), Some("/etc/es/hot"));
        assert_eq!(unit.exec[0], "/bin/bash");
        assert_eq!(command::settings(&unit.exec), ["http.port=9201"]);
        assert_eq!(unit.engine(), Some((Product::Elasticsearch, Some("/opt/es".to_owned()))));
    }

    #[test]
    fn other_services_are_not_engines() {
        for text in [
            "ExecStart=/usr/bin/docker run elasticsearch:8",
            "ExecStart=/usr/share/kibana/bin/kibana\nAfter=elasticsearch.service",
            "ExecStart=/usr/bin/prometheus-elasticsearch-exporter",
            "ExecStart=/usr/share/opensearch-dashboards/bin/opensearch-dashboards",
            "ExecStart=\\",
            "=\n%\nEnvironment=%",
        ] {
            assert_eq!(read("x.service", text).engine(), None, "{text}");
        }
    }
}
