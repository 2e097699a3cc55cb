//! What `dialtone nodes` shows, from a node's picture.

use std::net::IpAddr;

use common_model::inventory::{EngineSummary, NodeSummary};

use crate::engine_view::{EngineView, Running};
use crate::picture::NodePicture;
use crate::target::outside_addresses;

/// The node and its engines in short. `agent_version` is what the agent said at its last connection.
pub fn summary(node: &NodePicture, agent_version: Option<String>) -> NodeSummary {
    let engines = EngineView::all(node);
    let unseen = engines.is_none().then(|| "engines: not reported yet".to_owned());
    let failures = node.failures().map(|(envelope, failure)| format!("{}: {}", envelope.kind, failure.message));
    NodeSummary {
        name: node.name.clone(),
        online: node.agent.online,
        last_seen: node.agent.last_seen,
        agent_version,
        clock_offset_ms: node.agent.last_seen.map(|_| node.agent.clock_offset_ms),
        addresses: outside_addresses(node).iter().map(IpAddr::to_string).collect(),
        engines: engines.iter().flatten().map(engine).collect(),
        gaps: unseen.into_iter().chain(failures).collect(),
    }
}

fn engine(view: &EngineView) -> EngineSummary {
    let unit = view.unit.known().map(|unit| unit.value.active_state.clone());
    let process = match view.running() {
        Running::Yes(_) => Some("running".to_owned()),
        Running::No => Some("not running".to_owned()),
        Running::Unknown => None,
    };
    let listeners = view.listeners().unwrap_or_default();
    EngineSummary {
        name: view.engine.name.clone(),
        product: view.product(),
        cluster: view.settings().cluster_name.shown(),
        version: view.engine.version.clone(),
        state: unit.or(process),
        listening: listeners.iter().map(|listener| listener.shown()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Node;

    #[test]
    fn an_engine_is_shown_with_its_state_and_sockets() {
        let node = Node::new().listening(&["[::ffff:127.0.0.1]:9200", "[::]:9300"]).build();
        let shown = summary(&node, Some("0.1.0".to_owned()));
        assert_eq!(shown.gaps, Vec::<String>::new());
        assert_eq!(shown.addresses, ["10.0.0.5"]);
        let engine = &shown.engines[0];
        assert_eq!((engine.name.as_str(), engine.state.as_deref()), ("elasticsearch", Some("active")));
        assert_eq!(engine.listening, ["127.0.0.1:9200", "*:9300"]);
    }

    #[test]
    fn what_is_not_known_is_a_gap() {
        let shown = summary(&Node::bare().build(), None);
        assert!(shown.engines.is_empty());
        assert_eq!(shown.gaps, ["engines: not reported yet"]);
    }
}
