//! The answer, in the shape `dialtone diagnose -o json` prints: `dialtone.diagnosis/1`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::endpoint::Scheme;
use crate::id::{CauseId, EvidenceId, Kind, NodeName};
use crate::probe::{Probe, Symptom};
use crate::stage::Stage;
use crate::time::Timestamp;

/// Value of [`Diagnosis::schema`].
pub const SCHEMA: &str = "dialtone.diagnosis/1";

/// Everything said about one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// What was asked about.
    pub endpoint: EndpointSeen,
    /// What a client gets.
    pub symptom: Symptom,
    /// Why.
    pub verdict: Verdict,
    /// What would still block once the verdict is fixed, nearest first.
    pub blockers: Vec<Verdict>,
    /// The stages of the path, in order.
    pub path: Vec<PathStage>,
    /// Causes that were considered and excluded.
    pub ruled_out: Vec<RuledOut>,
    /// Evidence that is missing or too old.
    pub missing: Vec<MissingEvidence>,
    /// The evidence cited anywhere above.
    pub evidence: Vec<Citation>,
    /// The change that brought the cause, if one explains it.
    pub change: Option<ChangeSeen>,
    /// What fixes it, best first.
    pub remedies: Vec<Remedy>,
    /// The probes made.
    pub probes: Vec<Probe>,
    /// Milliseconds from the question to the answer.
    pub elapsed_ms: u64,
}

/// The endpoint with the addresses its name gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSeen {
    /// Scheme, if the client was given one.
    pub scheme: Option<Scheme>,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What the host resolved to.
    pub addresses: Vec<IpAddr>,
}

/// How sure a verdict is. Ordered: `Undetermined` is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// The evidence does not decide.
    Undetermined,
    /// The evidence points here, and a piece that would make it certain is missing or old.
    Likely,
    /// The evidence leaves no other explanation.
    Certain,
}

/// A cause, as it applies here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Id in the catalogue.
    pub cause: CauseId,
    /// How sure.
    pub certainty: Certainty,
    /// The node it is on, if it is on one.
    pub node: Option<NodeName>,
    /// The cause's one-line title.
    pub title: String,
    /// The sentence people read: what is wrong, here, with its values.
    pub sentence: String,
    /// Typed by cause; see the catalogue.
    pub detail: Value,
    /// From the symptom down to the root.
    pub chain: Vec<Link>,
}

/// One link of a causal chain: this holds because of the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Id in the catalogue, or of an intermediate fact such as `port-closed`.
    pub cause: String,
    /// In words, with values.
    pub sentence: String,
    /// What shows it.
    pub evidence: Vec<EvidenceId>,
}

/// What is known of one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStage {
    /// Which.
    pub stage: Stage,
    /// Passed or not.
    pub state: StageState,
    /// In words.
    pub sentence: String,
    /// What shows it.
    pub evidence: Vec<EvidenceId>,
}

/// Whether a connection passes a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageState {
    /// It does.
    Pass,
    /// It does not.
    Fail,
    /// The evidence does not tell.
    Unknown,
    /// An earlier stage fails and nothing is known of this one.
    NotReached,
}

/// A cause that was excluded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuledOut {
    /// Id in the catalogue.
    pub cause: CauseId,
    /// Why it is not this.
    pub because: String,
    /// What shows it.
    pub evidence: Vec<EvidenceId>,
}

/// Evidence a better verdict would need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingEvidence {
    /// What, for people.
    pub evidence: String,
    /// How to get it.
    pub how_to_get_it: String,
}

/// A piece of evidence as quoted in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// Id.
    pub id: EvidenceId,
    /// Whose.
    pub node: Option<NodeName>,
    /// Sort.
    pub kind: Kind,
    /// When read.
    pub taken_at: Timestamp,
    /// The lines that decide, verbatim (redacted).
    pub excerpt: String,
    /// Where it stands: `FILE:LINE`, or the command that shows the same.
    pub source: String,
}

/// The change that brought the cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSeen {
    /// Id in the change log.
    pub id: String,
    /// Where.
    pub node: NodeName,
    /// When.
    pub at: Timestamp,
    /// Not before.
    pub not_before: Option<Timestamp>,
    /// One line.
    pub what: String,
    /// The difference.
    pub diff: String,
    /// Who, if known.
    pub who: Option<String>,
    /// With what, if known.
    pub how: Option<String>,
    /// What shows it.
    pub evidence: Vec<EvidenceId>,
}

/// Something that fixes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// The plan that carries it out, where there is one.
    pub plan_id: Option<String>,
    /// Id of the action, for example `sysctl-set`.
    pub action: String,
    /// One line.
    pub title: String,
    /// Who carries it out and how.
    pub kind: RemedyKind,
    /// Commands, in order, exact enough to paste.
    pub commands: Vec<String>,
    /// The edit of a file, as a unified diff against the real file.
    pub diff: Option<String>,
    /// What can go wrong.
    pub risk: String,
    /// How to undo it.
    pub undo: String,
}

/// How a remedy is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyKind {
    /// By the node, on approval.
    Approve,
    /// By a pull request, then a restart on approval.
    PullRequest,
    /// On the client.
    Client,
    /// By hand.
    Manual,
}
