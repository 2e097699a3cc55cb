//! What an actuator tells of itself: `/var/lib/dialtone-actuator/report.json`, which the agent reads and sends like all evidence.

use common_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::SessionId;
use crate::plan::PlanId;
use crate::step::Action;

/// The file. Fields that a newer actuator adds are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Made at this boot; plans have to name it.
    pub session: SessionId,
    /// Wall clock at zero of the boot clock: a plan's `expires_boot_ms` is its `expires_at` less this.
    pub booted_at: Timestamp,
    /// The highest epoch the policy ever had.
    pub highest_epoch: u64,
    /// The newest plans, refused ones too, oldest first; at most 64.
    pub entries: Vec<Entry>,
}

/// One plan, as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub plan: PlanId,
    /// Its sort; none where the bytes could not be read.
    pub action: Option<Action>,
    /// Where it stands.
    pub state: State,
    /// Since when, by the node's clock.
    pub at: Timestamp,
    /// Why, where there is something to say.
    pub because: Option<String>,
    /// Who approved it, by the node's own policy.
    pub approvers: Vec<String>,
    /// Of what was done for a limited time: when it is taken back, by the node's clock.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

/// Where a plan stands on its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Not carried out, and never will be.
    Refused,
    /// Written down; nothing is changed yet.
    Prepared,
    /// Whoever undoes it is waiting.
    Armed,
    /// Live, and undone unless it is confirmed in time.
    Applied,
    /// Confirmed; being made to last.
    Confirmed,
    /// Done, and it lasts.
    Persisted,
    /// Undone: the node is as it was before.
    Reverted,
    /// It could not be undone whole, because somebody else has changed the same since; `because` says what is left.
    Conflict,
    /// It failed before anything was changed, or changed nothing that can be undone.
    Failed,
}

impl State {
    /// Whether it stays so.
    pub fn is_final(self) -> bool {
        !matches!(self, State::Prepared | State::Armed | State::Applied | State::Confirmed)
    }
}
