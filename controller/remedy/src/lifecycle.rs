//! A plan's life: what may follow what. A state machine without clock or sockets; whoever keeps plans feeds it what happened and
//! stores what it gives back.

#[cfg(test)]
mod tests;

use common_model::Timestamp;
use common_plan::{Approval, Approved, Carrier, Entry, Record, Stage, State, Transition};
use serde::{Deserialize, Serialize};

/// A plan's record, and what else decides how it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// As people see it.
    pub record: Record,
    /// Whether it was seen from outside that the plan worked; none: not asked yet.
    pub proven: Option<bool>,
}

/// Something that happened to a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A person has signed it. That the signature holds for the plan's bytes is the caller's to check.
    Approved {
        /// By the certificate of their connection.
        operator: String,
        /// The signature.
        approval: Approval,
    },
    /// A person has said no.
    Rejected {
        /// By the certificate of their connection.
        operator: String,
        /// Why.
        because: String,
    },
    /// It is about to be handed to the node's agent.
    Dispatched,
    /// It was not handed over after all, and may be later.
    NotSent,
    /// The agent has no actuator to give it to.
    NotHanded {
        /// Why.
        because: String,
    },
    /// The agent has asked for it to be looked at from outside.
    Looked {
        /// Whether it is to be kept.
        keep: bool,
        /// What was seen.
        because: String,
    },
    /// It is of no use any more. Changes only what no node has been handed.
    Withdrawn {
        /// Why.
        because: String,
    },
    /// The actuator's own report.
    Reported(Entry),
    /// How it stands with a plan that the controller carries out itself.
    Carried(Carried),
    /// Time has passed.
    Tick {
        /// The actuator's report is complete up to here, by the controller's clock, and does not know the plan.
        unknown_until: Option<Timestamp>,
    },
}

/// How a plan stands that the controller carries out itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// It is now so.
    pub to: CarriedTo,
    /// In words.
    pub because: String,
    /// Where people see it, for example the address of a pull request.
    pub link: Option<String>,
}

/// What can become of such a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarriedTo {
    /// Begun, and not done so far.
    Begun,
    /// Not done, since it is not as it was when the plan was made.
    Refused,
    /// Not done in time.
    Expired,
    /// Done, and not proven yet.
    Applied,
    /// Proven.
    Verified,
    /// Somebody said no where it was carried to.
    Declined,
    /// Taken back, since it did not prove itself.
    Undone,
    /// It failed, or something else came of it.
    Failed,
}

impl CarriedTo {
    fn stage(self) -> Stage {
        match self {
            CarriedTo::Begun => Stage::Dispatched,
            CarriedTo::Refused => Stage::Refused,
            CarriedTo::Expired => Stage::Expired,
            CarriedTo::Applied => Stage::Applied,
            CarriedTo::Verified => Stage::Verified,
            CarriedTo::Declined => Stage::Rejected,
            CarriedTo::Undone => Stage::RolledBack,
            CarriedTo::Failed => Stage::Failed,
        }
    }
}

/// An event that a plan at this stage cannot take. Nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// It has ended, or is past the point.
    #[error("the plan is {}", word(*.0))]
    Stage(Stage),
    /// Its time is over.
    #[error("the plan expired at {0}: diagnose again for a new one")]
    Expired(Timestamp),
    /// One person counts once.
    #[error("{0} has approved it already; it needs another person")]
    Twice(String),
}

/// A stage as people write it.
pub fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Proposed => "proposed",
        Stage::Approved => "approved",
        Stage::Dispatched => "dispatched",
        Stage::Applied => "applied",
        Stage::Verified => "verified",
        Stage::Ended => "ended",
        Stage::Rejected => "rejected",
        Stage::Refused => "refused",
        Stage::Expired => "expired",
        Stage::RolledBack => "rolled-back",
        Stage::Failed => "failed",
    }
}

/// Clocks of node and controller may differ by this much when it is judged that a node can no longer begin a plan.
const CLOCKS_MS: i64 = 60_000;

impl Life {
    /// A plan that was just proposed.
    pub fn new(mut record: Record) -> Self {
        let transition =
            Transition { stage: Stage::Proposed, at: record.made_at, who: "controller".to_owned(), because: None };
        (record.stage, record.history) = (Stage::Proposed, vec![transition]);
        Self { record, proven: None }
    }

    /// The plan's life after `event` at `now`; none when the event changes nothing. What has ended stays as it is.
    pub fn after(&self, event: &Event, now: Timestamp) -> Result<Option<Self>, Impossible> {
        let mut next = self.clone();
        let stage = self.record.stage;
        let step = match event {
            Event::Approved { operator, approval } => Some(next.approve(operator, approval, now)?),
            Event::Rejected { operator, because } => match stage {
                Stage::Proposed | Stage::Approved => {
                    Some((Stage::Rejected, format!("operator {operator}"), Some(because.clone())))
                }
                _ => return Err(Impossible::Stage(stage)),
            },
            Event::Dispatched => match stage {
                Stage::Approved if now <= self.record.expires_at => {
                    Some((Stage::Dispatched, "controller".to_owned(), None))
                }
                Stage::Approved => return Err(Impossible::Expired(self.record.expires_at)),
                _ => return Err(Impossible::Stage(stage)),
            },
            Event::NotSent => (stage == Stage::Dispatched)
                .then(|| (Stage::Approved, "controller".to_owned(), Some("the agent was not reached".to_owned()))),
            Event::NotHanded { because } => (stage == Stage::Dispatched)
                .then(|| (Stage::Failed, self.node(), Some(format!("it was not carried out: {because}")))),
            Event::Looked { keep, because } => match stage {
                Stage::Dispatched | Stage::Applied if self.proven.is_some() => None,
                Stage::Dispatched | Stage::Applied => {
                    next.proven = Some(*keep);
                    let verdict = if *keep { "proven from outside" } else { "not proven from outside" };
                    let because = format!("{verdict}: {because}");
                    Some((Stage::Applied, "controller".to_owned(), Some(because)))
                }
                _ => return Err(Impossible::Stage(stage)),
            },
            Event::Withdrawn { because } => matches!(stage, Stage::Proposed | Stage::Approved)
                .then(|| (Stage::Rejected, "controller".to_owned(), Some(because.clone()))),
            Event::Reported(entry) => {
                next.record.until = entry.until.filter(|_| entry.state == State::Persisted).or(next.record.until);
                self.reported(entry)
            }
            Event::Carried(carried) => next.carried(carried),
            Event::Tick { unknown_until } => self.tick(*unknown_until, now),
        };
        let Some((stage, who, because)) = step else { return Ok(None) };
        let because = because.filter(|because| !because.is_empty());
        next.record.stage = stage;
        next.record.history.push(Transition { stage, at: now, who, because });
        Ok(Some(next))
    }

    fn approve(&mut self, operator: &str, approval: &Approval, now: Timestamp) -> Result<Step, Impossible> {
        let record = &mut self.record;
        if record.stage != Stage::Proposed {
            return Err(Impossible::Stage(record.stage));
        }
        if now > record.expires_at {
            return Err(Impossible::Expired(record.expires_at));
        }
        // A key, too, is one person's: the node counts persons by their keys.
        if record.approvals.iter().any(|given| given.operator == operator || given.approval.key == approval.key) {
            return Err(Impossible::Twice(operator.to_owned()));
        }
        let approved = Approved { operator: operator.to_owned(), at: now, approval: approval.clone() };
        record.approvals.push(approved);
        let (given, needed) = (record.approvals.len(), usize::from(record.needed.max(1)));
        let stage = if given >= needed { Stage::Approved } else { Stage::Proposed };
        Ok((stage, format!("operator {operator}"), Some(format!("approval {given} of {needed}"))))
    }

    /// What a node says counts only for a plan that was handed to it.
    fn reported(&self, entry: &Entry) -> Option<Step> {
        let stage = self.record.stage;
        if entry.plan != self.record.id {
            return None;
        }
        let because = entry.because.clone();
        if self.record.is_open_for_now() {
            return match entry.state {
                State::Reverted => Some((Stage::Ended, self.node(), because)),
                State::Conflict | State::Failed => Some((Stage::Failed, self.node(), because)),
                _ => None,
            };
        }
        if !matches!(stage, Stage::Dispatched | Stage::Applied) {
            return None;
        }
        let to = match entry.state {
            State::Prepared | State::Armed => return None,
            State::Applied | State::Confirmed if stage == Stage::Applied => return None,
            State::Applied | State::Confirmed => Stage::Applied,
            // It was handed over twice, and the second time was refused.
            State::Refused if stage == Stage::Applied => return None,
            State::Refused => Stage::Refused,
            State::Persisted if self.proven == Some(true) => Stage::Verified,
            State::Persisted => {
                let kept = "the node keeps it although it was not proven from outside".to_owned();
                return Some((Stage::Failed, self.node(), Some(kept)));
            }
            State::Reverted => Stage::RolledBack,
            State::Conflict | State::Failed => Stage::Failed,
        };
        Some((to, self.node(), because))
    }

    /// Counts only for a plan that the controller has begun. What is said again changes nothing.
    fn carried(&mut self, carried: &Carried) -> Option<Step> {
        let record = &mut self.record;
        let is_new = || record.history.last().and_then(|last| last.because.as_ref()) != Some(&carried.because);
        let may_follow = match (record.stage, carried.to) {
            (Stage::Dispatched, CarriedTo::Begun) | (Stage::Applied, CarriedTo::Applied) => is_new(),
            (Stage::Applied, CarriedTo::Begun | CarriedTo::Refused | CarriedTo::Expired) => false,
            (Stage::Dispatched | Stage::Applied, _) => true,
            _ => false,
        };
        if !may_follow || record.action.carrier() != Carrier::Controller {
            return None;
        }
        record.link = carried.link.clone().or_else(|| record.link.take());
        Some((carried.to.stage(), "controller".to_owned(), Some(carried.because.clone())))
    }

    fn tick(&self, unknown_until: Option<Timestamp>, now: Timestamp) -> Option<Step> {
        let over = self.record.expires_at;
        let never_begun = match self.record.stage {
            Stage::Proposed | Stage::Approved => now > over,
            // The node will not begin it any more, and has not begun it.
            Stage::Dispatched => unknown_until.is_some_and(|until| until > over.plus_millis(CLOCKS_MS)),
            _ => false,
        };
        never_begun.then(|| (Stage::Expired, "controller".to_owned(), None))
    }

    fn node(&self) -> String {
        format!("node {}", self.record.node)
    }
}

/// Into which stage, by whom, and why.
type Step = (Stage, String, Option<String>);
