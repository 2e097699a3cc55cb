//! Node pictures from the evidence log and the live streams. Blocking.

use common_evidence::Evidence;
use common_evidence::collectors::host::Host;
use common_evidence::collectors::interfaces::Interfaces;
use common_model::{Envelope, NodeName};
use controller_correlate::{AgentState, NodePicture};

use crate::core::Core;
use crate::evidence_log::EvidenceLogError;

/// Events of a node in a picture: the newest ones.
const EVENTS: usize = 2_000;
/// Changes of a node in a picture: the newest ones.
const CHANGES: usize = 500;

impl Core {
    /// Every node that joined, or sent evidence and was not revoked, in order of name.
    pub(crate) fn known_nodes(&self) -> Result<Vec<NodeName>, tonic::Status> {
        let mut nodes = self.registry.nodes()?;
        for node in self.evidence.nodes()? {
            let member = self.registry.member(&crate::registry::MemberName::Node(node.clone()))?;
            if member.is_none_or(|member| member.revoked_at.is_none()) {
                nodes.push(node);
            }
        }
        nodes.sort();
        nodes.dedup();
        Ok(nodes)
    }

    /// All that is known of a node.
    pub(crate) fn picture(&self, node: &NodeName) -> Result<NodePicture, EvidenceLogError> {
        let mut evidence = self.evidence.states(node)?;
        evidence.extend(self.evidence.recent_events(node, EVENTS)?);
        let changes = self.evidence.recent_changes(node, CHANGES)?;
        Ok(NodePicture {
            name: node.clone(),
            agent: self.agent_state(node)?,
            evidence,
            changes,
            cloud: self.evidence.own(node)?,
        })
    }

    /// How a node is now, without what happened on it.
    pub(crate) fn present(&self, node: &NodeName) -> Result<NodePicture, EvidenceLogError> {
        let evidence = self.evidence.states(node)?;
        Ok(NodePicture {
            name: node.clone(),
            agent: self.agent_state(node)?,
            evidence,
            changes: Vec::new(),
            cloud: None,
        })
    }

    /// What tells whether an endpoint means this node: its names and addresses.
    pub(crate) fn outline(&self, node: &NodeName) -> Result<NodePicture, EvidenceLogError> {
        let mut evidence: Vec<Envelope> = self.evidence.states_of(node, Interfaces::KIND)?;
        evidence.extend(self.evidence.states_of(node, Host::KIND)?);
        let agent = self.agent_state(node)?;
        Ok(NodePicture { name: node.clone(), agent, evidence, changes: Vec::new(), cloud: None })
    }

    /// What the agent of a node calls itself, live or when it was last heard.
    pub(crate) fn agent_version(&self, node: &NodeName) -> Result<Option<String>, EvidenceLogError> {
        match self.live.agent(node) {
            Some(agent) => Ok(Some(agent.agent_version.clone())),
            None => Ok(self.evidence.contact(node)?.agent_version),
        }
    }

    fn agent_state(&self, node: &NodeName) -> Result<AgentState, EvidenceLogError> {
        if let Some(agent) = self.live.agent(node) {
            return Ok(agent.state());
        }
        let contact = self.evidence.contact(node)?;
        Ok(AgentState {
            online: false,
            last_seen: contact.last_seen,
            confirmed_at: contact.last_seen,
            clock_offset_ms: contact.clock_offset_ms,
            late: false,
        })
    }
}
