//! What `dialtone nodes` shows of a node.

use serde::{Deserialize, Serialize};

use crate::id::NodeName;
use crate::probe::Product;
use crate::time::Timestamp;

/// One node and the engines on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeSummary {
    /// The node's name, from its certificate.
    pub name: NodeName,
    /// Whether its agent's stream stands.
    pub online: bool,
    /// When the controller last heard from the agent, by the controller's clock.
    pub last_seen: Option<Timestamp>,
    /// Version of the agent.
    pub agent_version: Option<String>,
    /// Milliseconds the node's clock is ahead of the controller's.
    pub clock_offset_ms: Option<i64>,
    /// Addresses of the node that are not loopback.
    pub addresses: Vec<String>,
    /// Engines found on it.
    pub engines: Vec<EngineSummary>,
    /// Sources the agent could not read, with the reason.
    pub gaps: Vec<String>,
}

/// One engine of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineSummary {
    /// Name of the engine on its node, usually its unit without `.service`.
    pub name: String,
    /// Which product.
    pub product: Product,
    /// The cluster it is to be in, where its settings name one.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Version of its package, where there is one.
    pub version: Option<String>,
    /// State of its unit, for example `active`, `failed`.
    pub state: Option<String>,
    /// Addresses and ports it listens on, for example `*:9200`.
    pub listening: Vec<String>,
}
