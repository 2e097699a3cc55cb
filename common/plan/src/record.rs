//! A plan's life as the controller tells it to people.

use common_model::{NodeName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::approval::Approval;
use crate::plan::{Goal, PlanId};
use crate::rollout::RolloutId;
use crate::step::Action;

/// One plan with all that happened to it. Its exact bytes travel beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which.
    pub id: PlanId,
    /// Where.
    pub node: NodeName,
    /// What sort.
    pub action: Action,
    /// One line.
    pub title: String,
    /// What it is for.
    pub goal: Goal,
    /// By the controller's clock.
    pub made_at: Timestamp,
    /// By the controller's clock.
    pub expires_at: Timestamp,
    /// How many persons have to approve it: by the node's policy as last seen, or by the controller's configuration.
    pub needed: u8,
    /// Who has.
    pub approvals: Vec<Approved>,
    /// Who still could, by name: while it waits for approval, and as far as the controller knows. It says so whenever it tells of
    /// the plan, and keeps nothing of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub could_approve: Vec<String>,
    /// Where it stands.
    pub stage: Stage,
    /// How it came there, oldest first; the last one's stage is [`Record::stage`].
    pub history: Vec<Transition>,
    /// Where people see what was made of it, for example the address of a pull request.
    #[serde(default)]
    pub link: Option<String>,
    /// The plan that takes this one back, if one was made.
    pub reverted_by: Option<PlanId>,
    /// The rollout it belongs to, which says when its turn is.
    #[serde(default)]
    pub rollout: Option<RolloutId>,
    /// The rollout that is to bring to the nodes what this plan had merged, which no node has by that.
    #[serde(default)]
    pub follow_up: Option<RolloutId>,
    /// When the node takes it back by itself, by the node's clock, where it was verified for a limited time.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

impl Record {
    /// Whether it was verified for a limited time, and its node has not told yet that it took it back.
    pub fn is_open_for_now(&self) -> bool {
        self.stage == Stage::Verified && self.until.is_some()
    }

    /// Whether nothing more will be heard of it.
    pub fn is_over(&self) -> bool {
        self.stage.is_final() && !self.is_open_for_now()
    }
}

/// One person's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// By the certificate of the connection it came over.
    pub operator: String,
    /// When it came.
    pub at: Timestamp,
    /// The signature.
    pub approval: Approval,
}

/// Where a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Waits for approval.
    Proposed,
    /// Enough persons have approved it.
    Approved,
    /// Handed to the node, or begun by the controller.
    Dispatched,
    /// Live, and not proven yet: a node undoes it unless it proves itself.
    Applied,
    /// Seen from outside to have worked; it lasts, or for as long as it was made for.
    Verified,
    /// Verified for a limited time, and taken back by the node when that was over.
    Ended,
    /// Somebody said no.
    Rejected,
    /// Whoever was to carry it out said no; nothing was changed.
    Refused,
    /// Not approved, or not carried out, in time; nothing was changed.
    Expired,
    /// It did not prove itself and is undone.
    RolledBack,
    /// It failed, or could not be undone whole; the history says what is left.
    Failed,
}

impl Stage {
    /// Whether nothing is left to do: it stays so, or what was verified for a limited time is taken back by the node alone.
    pub fn is_final(self) -> bool {
        !matches!(self, Stage::Proposed | Stage::Approved | Stage::Dispatched | Stage::Applied)
    }
}

/// A step of its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Into this.
    pub stage: Stage,
    /// When, by the controller's clock.
    pub at: Timestamp,
    /// Who brought it about: `operator alice`, `node es-1`, `controller`.
    pub who: String,
    /// Why, where there is something to say.
    pub because: Option<String>,
}
