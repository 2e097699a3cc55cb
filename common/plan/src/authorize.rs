//! Whether a node carries out a plan: one function, in an order that gives an attacker nothing to work with. Signatures are
//! checked over the raw bytes before anything in them is read; what is cheap and says most comes first.

use std::collections::BTreeSet;

use common_model::{NodeName, Timestamp};

use crate::approval::Approval;
use crate::names::SessionId;
use crate::plan::{InvalidPlan, OnNode, Plan, PlanBytes};
use crate::policy::Policy;

/// The most approvals that are looked at.
const MAX_APPROVALS: usize = 16;

/// What a node knows of itself when it decides.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    /// Its name, from its own configuration.
    pub name: &'a NodeName,
    /// Made at this boot.
    pub session: &'a SessionId,
    /// The highest epoch its policy ever had.
    pub highest_epoch: u64,
    /// Its policy.
    pub policy: &'a Policy,
    /// Its wall clock.
    pub now: Timestamp,
    /// Its boot clock, milliseconds.
    pub boot_ms: u64,
    /// Whether its ledger knows this plan already.
    pub in_ledger: bool,
    /// Plans it carried out within the last hour.
    pub last_hour: u32,
}

/// A plan that may be carried out, and who approved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized {
    /// The plan.
    pub plan: Plan,
    /// What binds it to this node.
    pub on_node: OnNode,
    /// Names from the node's own policy, sorted.
    pub approvers: Vec<String>,
}

/// Why a node does not carry out a plan. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody the node trusts has signed these bytes.
    #[error("nobody listed in /etc/dialtone/policy.yaml has signed exactly this plan")]
    Unsigned,
    /// The bytes are no plan.
    #[error(transparent)]
    Invalid(#[from] InvalidPlan),
    /// For the controller to carry out.
    #[error("it is for the controller to carry out, not for a node")]
    NotForNodes,
    /// For another node.
    #[error("it is for node {0}")]
    OtherNode(NodeName),
    /// The administrator has since raised the epoch, or the file was put back.
    #[error("it was made under epoch {plan} of the node's policy, which now is {node}")]
    Epoch {
        /// The plan's.
        plan: u64,
        /// The node's.
        node: u64,
    },
    /// Another boot.
    #[error("it was made before the node's last boot")]
    OtherBoot,
    /// Too late.
    #[error("it expired at {0}")]
    Expired(Timestamp),
    /// It has been carried out, or tried, before.
    #[error("it has been handed in before; a plan acts at most once")]
    Repeated,
    /// The policy does not allow it.
    #[error("/etc/dialtone/policy.yaml does not allow it: {0}")]
    Policy(String),
    /// Too few.
    #[error("{needed} persons have to approve it, {given} have")]
    TooFew {
        /// By policy.
        needed: u8,
        /// Distinct persons who signed.
        given: usize,
    },
    /// Too many plans.
    #[error("{0} plans were carried out within the last hour, which is the most the policy allows")]
    Rate(u32),
    /// Another plan is not finished.
    #[error("another plan is being carried out")]
    Busy,
    /// The node is not as the plan says.
    #[error("the node is not as it was when the plan was made: {0}")]
    Changed(String),
    /// The actuator cannot do it here.
    #[error("{0}")]
    Impossible(String),
}

impl Refusal {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Unsigned => "unsigned",
            Refusal::Invalid(_) => "invalid",
            Refusal::NotForNodes => "not-for-nodes",
            Refusal::OtherNode(_) => "other-node",
            Refusal::Epoch { .. } => "epoch",
            Refusal::OtherBoot => "other-boot",
            Refusal::Expired(_) => "expired",
            Refusal::Repeated => "repeated",
            Refusal::Policy(_) => "policy",
            Refusal::TooFew { .. } => "too-few",
            Refusal::Rate(_) => "rate",
            Refusal::Busy => "busy",
            Refusal::Changed(_) => "changed",
            Refusal::Impossible(_) => "impossible",
        }
    }
}

/// Decides. What is left to the caller is the precondition, which has to be read under the lock right before the act.
pub fn authorize(bytes: &PlanBytes, approvals: &[Approval], node: &Node<'_>) -> Result<Authorized, Refusal> {
    let approvers = signers(bytes, approvals, node.policy);
    if approvers.is_empty() {
        return Err(Refusal::Unsigned);
    }
    let plan = bytes.decode()?;
    let Some(on_node) = plan.on_node().cloned() else { return Err(Refusal::NotForNodes) };
    if plan.node != *node.name {
        return Err(Refusal::OtherNode(plan.node));
    }
    // A policy file that was put back counts as the newest there ever was.
    let epoch = node.policy.epoch.max(node.highest_epoch);
    if on_node.epoch != epoch || node.policy.epoch != epoch {
        return Err(Refusal::Epoch { plan: on_node.epoch, node: epoch });
    }
    if on_node.session != *node.session {
        return Err(Refusal::OtherBoot);
    }
    if plan.is_expired(node.now, node.boot_ms) {
        return Err(Refusal::Expired(plan.expires_at));
    }
    if node.in_ledger {
        return Err(Refusal::Repeated);
    }
    let valid_s = plan.expires_at.millis_since(plan.made_at) / 1000;
    if valid_s > i64::from(node.policy.plans_valid_s) {
        let most = node.policy.plans_valid_s;
        return Err(Refusal::Policy(format!("its approval is good for {valid_s} s, and plans_valid_s is {most}")));
    }
    let needed = node.policy.permits(&plan.step).map_err(Refusal::Policy)?;
    if approvers.len() < usize::from(needed) {
        return Err(Refusal::TooFew { needed, given: approvers.len() });
    }
    if node.last_hour >= node.policy.plans_per_hour {
        return Err(Refusal::Rate(node.last_hour));
    }
    Ok(Authorized { plan, on_node, approvers: approvers.into_iter().collect() })
}

impl Plan {
    /// Whether it is too late for it by either of the node's clocks. Asked once more right before the act.
    pub fn is_expired(&self, now: Timestamp, boot_ms: u64) -> bool {
        now > self.expires_at || self.on_node().is_none_or(|on_node| boot_ms > on_node.expires_boot_ms)
    }
}

/// The distinct persons whose signature holds.
fn signers(bytes: &PlanBytes, approvals: &[Approval], policy: &Policy) -> BTreeSet<String> {
    let valid = approvals.iter().take(MAX_APPROVALS).filter_map(|approval| {
        let approver = policy.approvers.iter().find(|approver| approver.key == approval.key)?;
        approval.holds_for(bytes).then(|| approver.name.clone())
    });
    valid.collect()
}

#[cfg(test)]
#[path = "authorize_tests.rs"]
mod tests;
