//! What `nodes`, `node`, `incidents` and `incident` print to programs.

use common_model::diagnosis::Citation;
use common_model::inventory::NodeSummary;
use common_model::{Diagnosis, Incident, Symptom};
use serde::Serialize;

/// One node.
#[derive(Debug, Serialize)]
pub(crate) struct NodeReport {
    #[serde(flatten)]
    pub(crate) summary: NodeSummary,
    /// Of its engines.
    pub(crate) reachability: Vec<Reachability>,
    /// The newest of each sort; only for a single node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) evidence: Vec<Citation>,
}

/// What the vantages see of one engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reachability {
    /// Where clients elsewhere would find it.
    pub(crate) endpoint: String,
    /// Its port.
    pub(crate) port: u16,
    /// One per vantage.
    pub(crate) seen: Vec<Seen>,
}

/// What one vantage sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Seen {
    pub(crate) vantage: String,
    pub(crate) outcome: Symptom,
}

/// One incident.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct IncidentReport {
    /// `open` or `closed`.
    pub(crate) state: &'static str,
    #[serde(flatten)]
    pub(crate) incident: Incident,
    /// The last one of it while it was open; only for a single incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) diagnosis: Option<Diagnosis>,
}

impl IncidentReport {
    /// An incident, with its last diagnosis where that is known.
    pub(crate) fn new(incident: Incident, diagnosis: Option<Diagnosis>) -> Self {
        Self { state: if incident.is_open() { "open" } else { "closed" }, incident, diagnosis }
    }
}
