//! The settings the engine has: of its running processes' command line, else its unit's, and its yml.

use std::ops::RangeInclusive;

use common_evidence::command;
use common_evidence::settings::{Resolved, ResolvedSetting, resolve};

use super::EngineView;

/// Keys of the HTTP bind address, the one that decides first.
pub const HTTP_BIND: [&str; 4] = ["http.bind_host", "http.host", "network.bind_host", "network.host"];
/// Keys of the transport's bind and publish addresses, which turn the bootstrap checks on.
pub const TRANSPORT_ADDRESS: [&str; 8] = [
    "transport.profiles.default.bind_host",
    "transport.profiles.default.publish_host",
    "transport.bind_host",
    "transport.publish_host",
    "transport.host",
    "network.bind_host",
    "network.publish_host",
    "network.host",
];

impl EngineView {
    /// What every setting that matters comes to, as far as the yml and the command line tell.
    pub fn settings(&self) -> Resolved {
        let config = self.config.known().map(|cited| &cited.value);
        resolve(config, &self.arguments(), self.product(), self.engine.version.as_deref())
    }

    /// Ports the HTTP layer may take. None when that cannot be told.
    pub fn http_ports(&self) -> Option<Vec<RangeInclusive<u16>>> {
        known_ports(&self.settings().http.port)
    }

    /// Ports the transport layer may take. None when that cannot be told.
    pub fn transport_ports(&self) -> Option<Vec<RangeInclusive<u16>>> {
        known_ports(&self.settings().transport.port)
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

fn known_ports(setting: &ResolvedSetting) -> Option<Vec<RangeInclusive<u16>>> {
    let ports = setting.ports();
    (!ports.is_empty()).then_some(ports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{AT, Node};

    #[test]
    fn the_running_process_decides_over_file_and_unit() {
        let node =
            Node::new().yml("http.port: 9200\n", AT).process_with(AT, &["http.port=9201-9205,9300"], "S").build();
        let view = EngineView::all(&node).unwrap().remove(0);
        assert_eq!(view.http_ports(), Some(vec![9201..=9205, 9300..=9300]));
        assert_eq!(view.settings().http.port.origin.to_string(), "argument");
    }
}
