//! The words every part of Dialtone shares: who a node is, what a piece of evidence is, what a probe saw,
//! what a verdict says. Pure data: no clock, no file system, no network.

pub mod change;
pub mod diagnosis;
pub mod endpoint;
pub mod envelope;
pub mod id;
pub mod incident;
pub mod inventory;
pub mod network;
pub mod preflight;
pub mod probe;
pub mod stage;
pub mod text;
pub mod time;

pub use change::Change;
pub use diagnosis::{Certainty, Diagnosis, Verdict};
pub use endpoint::{Endpoint, Scheme};
pub use envelope::{Body, Class, Envelope, Failure, FailureReason};
pub use id::{CauseId, EvidenceId, Incarnation, Kind, NodeName};
pub use incident::{Incident, IncidentId};
pub use network::Network;
pub use probe::{Probe, Symptom};
pub use stage::Stage;
pub use time::Timestamp;
