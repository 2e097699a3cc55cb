//! What `dialtone nodes` shows, from a node's picture.

use common_model::inventory::NodeSummary;

use crate::picture::NodePicture;

/// The node and its engines in short. `agent_version` is what the agent said at its last connection.
pub fn summary(node: &NodePicture, agent_version: Option<String>) -> NodeSummary {
    NodeSummary {
        name: node.name.clone(),
        online: node.agent.online,
        last_seen: node.agent.last_seen,
        agent_version,
        clock_offset_ms: Some(node.agent.clock_offset_ms),
        addresses: Vec::new(),
        engines: Vec::new(),
        gaps: node.failures().map(|(envelope, failure)| format!("{}: {}", envelope.kind, failure.message)).collect(),
    }
}
