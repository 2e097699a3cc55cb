//! The settings the engine has, and where each comes from.

use std::ops::RangeInclusive;

use common_evidence::command;
use common_model::EvidenceId;

use super::EngineView;

/// The HTTP bind address, the setting that decides first.
pub const HTTP_BIND: [&str; 4] = ["http.bind_host", "http.host", "network.bind_host", "network.host"];
/// The transport bind address, the setting that decides first.
pub const TRANSPORT_BIND: [&str; 5] = [
    "transport.profiles.default.bind_host",
    "transport.bind_host",
    "transport.host",
    "network.bind_host",
    "network.host",
];
/// The HTTP port.
pub const HTTP_PORT: [&str; 1] = ["http.port"];
/// The transport port.
pub const TRANSPORT_PORT: [&str; 3] = ["transport.profiles.default.port", "transport.port", "transport.tcp.port"];

/// A setting in force, as far as the node's evidence tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The key that decides; the last of the chain asked for when none is set.
    pub key: String,
    /// Its values; empty for a default.
    pub values: Vec<String>,
    /// Where it stands.
    pub source: Origin,
}

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of the yml.
    File {
        /// Path of the file.
        path: String,
        /// Line, from 1.
        line: usize,
        /// The evidence.
        evidence: EvidenceId,
    },
    /// `-E` on the command line.
    Argument(Option<EvidenceId>),
    /// Nothing sets it.
    Default,
}

impl Effective {
    /// The values as one text; none for a default.
    pub fn value(&self) -> Option<String> {
        (self.source != Origin::Default).then(|| self.values.join(", "))
    }

    /// `FILE:LINE`, `argument` or `default`.
    pub fn shown_source(&self) -> String {
        match &self.source {
            Origin::File { path, line, .. } => format!("{path}:{line}"),
            Origin::Argument(_) => "argument".to_owned(),
            Origin::Default => "default".to_owned(),
        }
    }
}

impl EngineView {
    /// The first of `chain` that is set: `force.` keys and `-E` arguments before the yml. None when the yml is unknown and no
    /// argument decides.
    pub fn effective(&self, chain: &[&str]) -> Option<Effective> {
        let arguments = self.arguments();
        let config = self.config.known().filter(|cited| cited.value.unreadable.is_none());
        for key in chain {
            for spelled in [format!("force.{key}"), (*key).to_owned()] {
                let argument = arguments.iter().rev().find_map(|argument| {
                    let (name, value) = argument.split_once('=')?;
                    (name == spelled).then(|| value.to_owned())
                });
                if let Some(value) = argument.filter(|value| !value.is_empty()) {
                    let values = value.split(',').map(|part| part.trim().to_owned()).collect();
                    let source = Origin::Argument(self.processes.known().map(|cited| cited.id.clone()));
                    return Some(Effective { key: spelled, values, source });
                }
                let Some(cited) = config else { continue };
                let set = cited.value.get(&spelled).filter(|set| set.values.iter().any(|value| !value.is_empty()));
                if let Some(set) = set {
                    let source =
                        Origin::File { path: cited.value.path.clone(), line: set.line, evidence: cited.id.clone() };
                    return Some(Effective { key: spelled, values: set.values.clone(), source });
                }
            }
        }
        let key = chain.last().map(|key| (*key).to_owned())?;
        config.map(|_| Effective { key, values: Vec::new(), source: Origin::Default })
    }

    /// Ports the HTTP layer may take.
    pub fn http_ports(&self) -> Option<Vec<RangeInclusive<u16>>> {
        Some(ranges(&self.effective(&HTTP_PORT)?).unwrap_or_else(|| vec![9200..=9300]))
    }

    /// Ports the transport layer may take.
    pub fn transport_ports(&self) -> Option<Vec<RangeInclusive<u16>>> {
        Some(ranges(&self.effective(&TRANSPORT_PORT)?).unwrap_or_else(|| vec![9300..=9400]))
    }

    /// `key=value` of every `-E`: of the running processes, else of the unit's command line.
    pub fn arguments(&self) -> Vec<String> {
        let running = self.running_processes();
        if running.is_empty() {
            return self.engine.arguments.clone();
        }
        running.iter().flat_map(|process| command::settings(&process.command)).collect()
    }
}

/// Port ranges of a value such as `9200`, `9200-9205` or `9200-9205,9300`; none for a default or a value the engine refuses.
fn ranges(setting: &Effective) -> Option<Vec<RangeInclusive<u16>>> {
    let parts = setting.values.iter().flat_map(|value| value.split(','));
    let ranges: Option<Vec<RangeInclusive<u16>>> = parts
        .map(|part| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            Some(from.trim().parse().ok()?..=to.trim().parse().ok()?)
        })
        .collect();
    ranges.filter(|ranges| !ranges.is_empty())
}

/// Whether a bind address is reachable from this machine only, as the engine resolves it. None when that depends on the node.
pub fn is_loopback_value(value: &str) -> Option<bool> {
    let bare = value.trim().trim_matches(['[', ']']);
    if bare.is_empty() {
        return Some(true);
    }
    if let Ok(address) = bare.parse::<std::net::IpAddr>() {
        return Some(address.to_canonical().is_loopback());
    }
    let name = bare.trim_matches(['_', '#']).split(':').next().unwrap_or_default();
    match name {
        "local" | "lo" | "localhost" => Some(true),
        "site" | "global" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{AT, Node};

    fn view(yml: &str) -> EngineView {
        EngineView::all(&Node::new().yml(yml, AT).build()).unwrap().remove(0)
    }

    #[test]
    fn the_most_specific_bind_setting_decides() {
        let view = view("network.host: 0.0.0.0\nnetwork.bind_host: 127.0.0.1\n");
        let bind = view.effective(&HTTP_BIND).unwrap();
        assert_eq!((bind.key.as_str(), bind.value().as_deref()), ("network.bind_host", Some("127.0.0.1")));
        assert_eq!(bind.shown_source(), "/etc/elasticsearch/elasticsearch.yml:2");
    }

    #[test]
    fn an_empty_value_is_the_default() {
        let bind = view("network.host: \"\"\n").effective(&HTTP_BIND).unwrap();
        assert_eq!((bind.value(), bind.shown_source()), (None, "default".to_owned()));
    }

    #[test]
    fn arguments_win_over_the_file() {
        let node =
            Node::new().yml("http.port: 9200\n", AT).process_with(AT, &["http.port=9201-9205,9300"], "S").build();
        let view = EngineView::all(&node).unwrap().remove(0);
        assert_eq!(view.http_ports(), Some(vec![9201..=9205, 9300..=9300]));
        assert_eq!(view.effective(&HTTP_PORT).unwrap().shown_source(), "argument");
    }

    #[test]
    fn the_five_spellings_of_loopback() {
        for local in ["127.0.0.1", "::1", "[::1]", "_local_", "localhost", "_lo_", "127.0.1.1", "_local:ipv4_", ""] {
            assert_eq!(is_loopback_value(local), Some(true), "{local}");
        }
        for open in ["0.0.0.0", "::", "_site_", "10.0.0.5", "0"] {
            assert_eq!(is_loopback_value(open), Some(false), "{open}");
        }
        assert_eq!(is_loopback_value("es-1.example.org"), None);
    }
}
