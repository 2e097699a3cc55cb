//! The envelope in which evidence travels and is stored.

use serde::{Deserialize, Serialize};

use crate::id::{EvidenceId, Incarnation, Kind, NodeName};
use crate::time::Timestamp;

/// The most raw bytes one envelope may carry. Agents cut longer sources and say so.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Whether an envelope describes how something is, or tells that something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The state of a subject; the newest envelope of a (node, kind, subject) replaces the ones before.
    State,
    /// Something that happened; every envelope counts.
    Event,
}

/// One piece of evidence, or the failure to get it. Raw bytes are redacted before they are put in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Who says so; must equal the identity in the sender's certificate.
    pub node: NodeName,
    /// Names the life of the agent's spool; sequence numbers count within it.
    pub incarnation: Incarnation,
    /// 1, 2, 3 … without a gap.
    pub seq: u64,
    /// What sort of evidence.
    pub kind: Kind,
    /// State or event.
    pub class: Class,
    /// Version of the raw bytes' shape.
    pub schema: u32,
    /// Which one of its kind, for example the path of a file or the name of a unit; empty when there is only one.
    pub subject: String,
    /// When it was read, by the node's clock.
    pub taken_at: Timestamp,
    /// The evidence.
    pub body: Body,
}

impl Envelope {
    /// The id findings cite.
    pub fn id(&self) -> EvidenceId {
        EvidenceId::of_envelope(&self.node, &self.kind, self.seq)
    }
}

/// What a read gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// The redacted bytes of the source.
    Raw(Vec<u8>),
    /// The source could not be read.
    Failed(Failure),
    /// The subject is no longer there (a file deleted, an engine uninstalled).
    Gone,
}

/// Why a source could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The sort of failure.
    pub reason: FailureReason,
    /// What was read and what the system said, for people.
    pub message: String,
}

/// The sorts of failure that rules tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureReason {
    /// The agent lacks the right to read it.
    Denied,
    /// There is no such file, program or kernel interface.
    Missing,
    /// It did not answer in its time.
    Timeout,
    /// Anything else.
    Other,
}
