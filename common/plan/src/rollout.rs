//! A rolling restart of a cluster: one plan for each node, in an order, and how it goes.

use std::fmt;

use common_model::{NodeName, Timestamp, text_id};
use serde::{Deserialize, Serialize};

use crate::names::{Digest, is_hex};
use crate::plan::PlanId;

/// Value of [`Order::schema`].
pub const ROLLOUT_SCHEMA: &str = "dialtone.rollout/1";
/// The most nodes of one rollout.
pub const MAX_NODES: usize = 64;

/// What is restarted in which order. Immutable: its bytes give the id, and each plan's id is in them, so that whoever knows the id
/// knows what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Always [`ROLLOUT_SCHEMA`].
    pub schema: String,
    /// The cluster's name.
    pub cluster: String,
    /// When it was made, by the controller's clock.
    pub made_at: Timestamp,
    /// Why.
    pub why: String,
    /// Whether the cluster is asked, and how.
    pub calls: Calls,
    /// The plans, the first node's first.
    pub plans: Vec<PlanId>,
    /// What the reader of it has to know: nodes left out, what could not be checked.
    pub remarks: Vec<String>,
}

/// What is asked of the cluster around each restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Calls {
    /// Allocation held to primaries, a synced flush (before Elasticsearch 7.6, and OpenSearch 1), health compared.
    SyncedFlush,
    /// The same with a plain flush.
    Flush,
    /// Nothing: the only node, whose API answers nobody outside of it.
    Nothing,
}

/// An order that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not a rollout: {0}")]
pub struct InvalidOrder(String);

impl Order {
    /// Its exact bytes.
    pub fn encode(&self) -> Result<Vec<u8>, InvalidOrder> {
        self.check()?;
        serde_json::to_vec(self).map_err(|error| InvalidOrder(error.to_string()))
    }

    /// Reads what [`Order::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidOrder> {
        let order: Self = serde_json::from_slice(bytes).map_err(|error| InvalidOrder(error.to_string()))?;
        order.check()?;
        Ok(order)
    }

    fn check(&self) -> Result<(), InvalidOrder> {
        if self.schema != ROLLOUT_SCHEMA {
            return Err(InvalidOrder("its schema is another".to_owned()));
        }
        if self.plans.is_empty() || self.plans.len() > MAX_NODES {
            return Err(InvalidOrder(format!("it has {} nodes, not 1 to {MAX_NODES}", self.plans.len())));
        }
        Ok(())
    }
}

text_id!(
    /// Identifies a rollout: `r` and the first 16 hex digits of the SHA-256 of its exact bytes.
    RolloutId,
    "rollout id",
    "'r' and 16 hex digits",
    |text| text.strip_prefix('r').is_some_and(|digits| is_hex(digits, 16))
);

impl RolloutId {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("r{}", Digest::of(bytes).as_str().get(..16).unwrap_or_default()))
    }
}

/// How a rollout goes, as the controller keeps and tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Which.
    pub id: RolloutId,
    /// The cluster's name.
    pub cluster: String,
    /// By the controller's clock.
    pub made_at: Timestamp,
    /// When the last of its approvals ends, by the controller's clock.
    pub expires_at: Timestamp,
    /// Where it stands.
    pub stage: RolloutStage,
    /// Its nodes, in order.
    pub turns: Vec<Turn>,
    /// Whether shard allocation is, or may be, held to primaries by it. Written before the cluster is asked.
    pub held: bool,
    /// Why it does not go on after this.
    pub stop: Option<String>,
    /// What happened, oldest first.
    pub history: Vec<Moment>,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutStage {
    /// Waits until all of its plans are approved.
    Proposed,
    /// Under way.
    Running,
    /// Something was worse than before; allocation is put back before it ends.
    Stopping,
    /// Every node was restarted, and the cluster is no worse than before.
    Done,
    /// It ended before its last node.
    Stopped,
    /// Somebody said no, before anything was done.
    Rejected,
    /// Not approved in time; nothing was done.
    Expired,
}

impl RolloutStage {
    /// Whether it stays so.
    pub fn is_final(self) -> bool {
        !matches!(self, RolloutStage::Proposed | RolloutStage::Running | RolloutStage::Stopping)
    }
}

/// One node's turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Which node.
    pub node: NodeName,
    /// What is carried out there.
    pub plan: PlanId,
    /// How far it is.
    pub phase: Phase,
    /// Since when, by the controller's clock.
    pub since: Timestamp,
    /// What was last seen, in words.
    pub said: Option<String>,
    /// The cluster right before this node was touched.
    pub before: Option<Health>,
    /// How the cluster called the node's run right before: another one shows that it was restarted.
    pub run_before: Option<String>,
}

/// How far a node's turn is, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It is not this node's turn yet.
    Waits,
    /// Would it start again, and how is the cluster?
    Checks,
    /// Shard allocation is held to primaries.
    Holds,
    /// What is in memory is written, so that the shards come back fast.
    Flushes,
    /// The node carries out its plan.
    Restarts,
    /// Until the cluster has the node again, with a run of its own.
    Rejoins,
    /// Allocation is put back.
    Releases,
    /// Until the cluster is no worse than before.
    Recovers,
    /// Done, and the cluster is no worse than before.
    Done,
    /// It stopped here.
    Failed,
    /// It stopped before this node, which was not touched.
    Untouched,
}

/// A cluster's health, as far as it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Its colour.
    pub status: Status,
    /// Nodes in it.
    pub nodes: u32,
}

/// The colour of a cluster, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A primary is missing.
    Red,
    /// A copy is missing.
    Yellow,
    /// Everything is there.
    Green,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Red => "red",
            Status::Yellow => "yellow",
            Status::Green => "green",
        })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = if self.nodes == 1 { "node" } else { "nodes" };
        write!(f, "{}, {} {nodes}", self.status, self.nodes)
    }
}

/// A step of a rollout's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When, by the controller's clock.
    pub at: Timestamp,
    /// Who brought it about: `operator alice`, `controller`.
    pub who: String,
    /// About which node, if about one.
    pub node: Option<NodeName>,
    /// What happened.
    pub what: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_told_from_a_plans() {
        let id = RolloutId::of(b"x");
        assert_eq!(id.as_str().parse::<RolloutId>().unwrap(), id);
        assert!(id.as_str().parse::<PlanId>().is_err());
        assert!("0123456789abcdef".parse::<RolloutId>().is_err());
        assert!("r0123456789abcde".parse::<RolloutId>().is_err());
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let order = Order {
            schema: ROLLOUT_SCHEMA.to_owned(),
            cluster: "logs".to_owned(),
            made_at: Timestamp(1),
            why: "because".to_owned(),
            calls: Calls::Flush,
            plans: vec!["0123456789abcdef".parse().unwrap()],
            remarks: Vec::new(),
        };
        assert_eq!(Order::decode(&order.encode().unwrap()).unwrap(), order);
        assert!(Order { plans: Vec::new(), ..order.clone() }.encode().is_err());
        assert!(Order { schema: "x".to_owned(), ..order }.encode().is_err());
    }
}
