//! Everything known as of one instant. Diagnosis sees nothing else, not even the clock.

use std::collections::BTreeMap;
use std::net::IpAddr;

use common_evidence::Evidence;
use common_evidence::cloud::AwsNetwork;
use common_model::time::clock_difference;
use common_model::{Body, Change, Endpoint, Envelope, EvidenceId, Failure, FailureReason, NodeName, Probe, Timestamp};

/// Everything known about one endpoint and the nodes as of [`Picture::at`].
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The instant.
    pub at: Timestamp,
    /// What the client was told.
    pub endpoint: Endpoint,
    /// What its host resolved to, at the vantages.
    pub resolution: Resolution,
    /// Probes of the endpoint, by vantage and address.
    pub probes: Vec<Probe>,
    /// What the client printed, if anything was handed in.
    pub client_error: Option<String>,
    /// The node that the vantage `here` is on, where that is known: everything in one process, or evidence pasted from one
    /// machine. It is what `localhost` means.
    pub here: Option<NodeName>,
    /// Every node that is known, by name.
    pub nodes: BTreeMap<NodeName, NodePicture>,
}

/// What became of the endpoint's host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Nobody tried (a bundle without the client's view).
    NotTried,
    /// It has these addresses; a literal address has itself.
    Addresses(Vec<IpAddr>),
    /// It has none; what the resolver said.
    Failed(String),
}

/// What is known of one node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodePicture {
    /// Its name.
    pub name: NodeName,
    /// The agent's side.
    pub agent: AgentState,
    /// The newest envelope of each state, and the events since the last good start, oldest first.
    pub evidence: Vec<Envelope>,
    /// The change log since the last good start, oldest first.
    pub changes: Vec<Change>,
    /// What the controller itself has read of the cloud the node is in; none where it was told of no cloud. Never the agent's.
    pub cloud: Option<Envelope>,
}

/// What is known of the agent that speaks for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentState {
    /// Whether its stream stands.
    pub online: bool,
    /// When the controller last heard from it, by the controller's clock.
    pub last_seen: Option<Timestamp>,
    /// Up to when its states are confirmed unchanged, by the controller's clock. Older than [`Picture::at`] by more than
    /// a few seconds means the evidence is stale.
    pub confirmed_at: Option<Timestamp>,
    /// Milliseconds the node's clock is ahead of the controller's.
    pub clock_offset_ms: i64,
    /// Whether it was asked to read everything again and had not done so when the picture was made.
    pub late: bool,
}

impl AgentState {
    /// A time of the node, by the controller's clock; as it is where the two agree well enough.
    pub fn by_controller(&self, at: Timestamp) -> Timestamp {
        match clock_difference(self.clock_offset_ms) {
            Some(_) => at.plus_millis(self.clock_offset_ms.saturating_neg()),
            None => at,
        }
    }
}

/// A parsed piece of evidence, with what is needed to cite it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cited<T> {
    /// Cite this.
    pub id: EvidenceId,
    /// The envelope's subject.
    pub subject: String,
    /// When it was read, by the node's clock.
    pub taken_at: Timestamp,
    /// What it says.
    pub value: T,
    /// What in it could not be understood.
    pub problems: Vec<String>,
}

/// What there is of a kind of evidence. Absence is never health.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading<T> {
    /// It was read.
    Known(Cited<T>),
    /// The agent could not read it.
    Failed(EvidenceId, Failure),
    /// The subject is gone.
    Gone(EvidenceId),
    /// Nothing was ever received.
    Missing,
}

impl<T> Reading<T> {
    /// What was read, if it was.
    pub fn known(&self) -> Option<&Cited<T>> {
        match self {
            Reading::Known(cited) => Some(cited),
            Reading::Failed(..) | Reading::Gone(_) | Reading::Missing => None,
        }
    }
}

impl NodePicture {
    /// The one piece of evidence of this kind, about `subject`.
    pub fn one<T: Evidence + Default + PartialEq>(&self, subject: &str) -> Reading<T> {
        self.evidence
            .iter()
            .rev()
            .find(|envelope| envelope.kind.as_str() == T::KIND && envelope.subject == subject)
            .map_or(Reading::Missing, read)
    }

    /// All evidence of this kind that was read, oldest first.
    pub fn all<T: Evidence + Default + PartialEq>(&self) -> Vec<Cited<T>> {
        self.evidence
            .iter()
            .filter(|envelope| envelope.kind.as_str() == T::KIND)
            .filter_map(|envelope| match read(envelope) {
                Reading::Known(cited) => Some(cited),
                Reading::Failed(..) | Reading::Gone(_) | Reading::Missing => None,
            })
            .collect()
    }

    /// What AWS says of the node.
    pub fn aws(&self) -> Reading<AwsNetwork> {
        let own = self.cloud.as_ref().filter(|envelope| envelope.kind.as_str() == AwsNetwork::KIND);
        own.map_or(Reading::Missing, read)
    }

    /// The envelopes whose source could not be read.
    pub fn failures(&self) -> impl Iterator<Item = (&Envelope, &Failure)> {
        self.evidence.iter().filter_map(|envelope| match &envelope.body {
            Body::Failed(failure) => Some((envelope, failure)),
            Body::Raw(_) | Body::Gone => None,
        })
    }
}

fn read<T: Evidence + Default + PartialEq>(envelope: &Envelope) -> Reading<T> {
    match &envelope.body {
        Body::Raw(raw) => {
            let parsed = T::parse(raw, &envelope.subject, envelope.schema);
            // An empty value of which nothing was understood must not pass for an empty host.
            if !parsed.problems.is_empty() && parsed.value == T::default() {
                let message = parsed.problems.join("; ");
                return Reading::Failed(envelope.id(), Failure { reason: FailureReason::Other, message });
            }
            Reading::Known(Cited {
                id: envelope.id(),
                subject: envelope.subject.clone(),
                taken_at: envelope.taken_at,
                value: parsed.value,
                problems: parsed.problems,
            })
        }
        Body::Failed(failure) => Reading::Failed(envelope.id(), failure.clone()),
        Body::Gone => Reading::Gone(envelope.id()),
    }
}
