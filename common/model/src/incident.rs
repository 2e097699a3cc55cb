//! Incidents: an endpoint that cannot be reached, from when that was first seen until it answers again.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::diagnosis::{Certainty, PathStage};
use crate::id::{CauseId, NodeName};
use crate::probe::Symptom;
use crate::time::Timestamp;

/// Numbers the incidents of one controller: 1, 2, 3 … As text and in JSON: the number in decimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IncidentId(pub u64);

/// A text that does not number an incident.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an incident has a number, for example 12")]
pub struct InvalidIncidentId;

/// One incident with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Which.
    pub id: IncidentId,
    /// What cannot be reached, as it was first asked for, with its scheme.
    pub endpoint: String,
    /// Other names under which the same addresses and port were asked for.
    pub also: Vec<String>,
    /// What its name resolved to.
    pub addresses: Vec<IpAddr>,
    /// Since when it is one.
    pub opened_at: Timestamp,
    /// When it was last seen to answer before that; none where nobody looked.
    pub answered_before: Option<Timestamp>,
    /// What a client gets.
    pub symptom: Symptom,
    /// Why, as last judged.
    pub verdict: IncidentVerdict,
    /// The stages of the path, as last judged.
    pub path: Vec<PathStage>,
    /// When it was last judged.
    pub judged_at: Timestamp,
    /// Since when it answers although the incident is open: a plan that is on trial may still be undone.
    pub answers_since: Option<Timestamp>,
    /// What became of it, oldest first.
    pub history: Vec<Happening>,
    /// The plans that were made for it, oldest first.
    pub plans: Vec<IncidentPlan>,
    /// What changed on its node meanwhile, oldest first.
    pub changes: Vec<IncidentChange>,
    /// How it ended; none: it has not.
    pub closed: Option<Closing>,
}

/// A verdict in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentVerdict {
    /// Id in the catalogue.
    pub cause: CauseId,
    /// How sure.
    pub certainty: Certainty,
    /// The node it is on, if it is on one.
    pub node: Option<NodeName>,
    /// The sentence people read.
    pub sentence: String,
}

/// Something that happened to an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// By the controller's clock.
    pub at: Timestamp,
    /// Who brought it about: `operator alice`, `controller`.
    pub who: String,
    /// What.
    pub what: What,
    /// In words.
    pub sentence: String,
}

/// What can happen to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It was first seen.
    Opened,
    /// It had ended by itself, and soon did not answer again.
    Reopened,
    /// Another cause was found.
    Verdict,
    /// It answers, and a plan is still on trial.
    Answers,
    /// It does not answer any more.
    Lost,
    /// It ended.
    Closed,
}

/// A plan that was made for an incident, in short. Outlives the plan itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentPlan {
    /// The plan's id.
    pub id: String,
    /// One line.
    pub title: String,
    /// Where.
    pub node: NodeName,
    /// By the controller's clock.
    pub proposed_at: Timestamp,
    /// Where it stands, as `dialtone plans -o json` says it.
    pub stage: String,
    /// Whether it stays so.
    pub ended: bool,
    /// Whether it is handed over or live, and not proven yet.
    pub on_trial: bool,
    /// How many persons have to approve it.
    pub needed: u8,
    /// Who has.
    pub approved_by: Vec<ApprovedBy>,
    /// Who still could, by name, as far as is known; not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub could_approve: Vec<String>,
    /// When it came to where it stands.
    pub since: Timestamp,
    /// Why it stands there, where something was said.
    pub because: Option<String>,
    /// Where people see what was made of it, for example the address of a pull request.
    pub link: Option<String>,
    /// When what it did is taken back by itself, where that was asked for.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// The rollout it belongs to: it is approved with all of that one's plans.
    #[serde(default)]
    pub rollout: Option<String>,
    /// The rollout that brings to the nodes what this plan had merged.
    #[serde(default)]
    pub follow_up: Option<String>,
}

/// One person's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovedBy {
    /// Who.
    pub operator: String,
    /// When, by the controller's clock.
    pub at: Timestamp,
}

/// A change on the node of an incident, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentChange {
    /// By the node's clock.
    pub at: Timestamp,
    /// Where.
    pub node: NodeName,
    /// One line.
    pub what: String,
    /// Who, where that is known.
    pub who: Option<String>,
}

/// How an incident ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// By the controller's clock.
    pub at: Timestamp,
    /// Who: `controller`, when it saw the endpoint answer; else the operator.
    pub who: String,
    /// Why.
    pub because: String,
}

impl Incident {
    /// Whether it has not ended.
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// How it came to be open the last time.
    pub fn began(&self) -> Option<&Happening> {
        self.history.iter().rev().find(|happening| matches!(happening.what, What::Opened | What::Reopened))
    }

    /// Whether a plan for it is handed over or live, and not proven yet.
    pub fn is_on_trial(&self) -> bool {
        self.plans.iter().any(|plan| plan.on_trial)
    }
}

impl FromStr for IncidentId {
    type Err = InvalidIncidentId;

    fn from_str(text: &str) -> Result<Self, InvalidIncidentId> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        match digits.parse() {
            Ok(number) if number > 0 && digits.starts_with(|c: char| c.is_ascii_digit()) => Ok(Self(number)),
            _ => Err(InvalidIncidentId),
        }
    }
}

impl TryFrom<String> for IncidentId {
    type Error = InvalidIncidentId;

    fn try_from(text: String) -> Result<Self, InvalidIncidentId> {
        text.parse()
    }
}

impl From<IncidentId> for String {
    fn from(id: IncidentId) -> String {
        id.to_string()
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_has_a_number() {
        assert_eq!("12".parse(), Ok(IncidentId(12)));
        assert_eq!("#12".parse(), Ok(IncidentId(12)));
        assert_eq!(serde_json::to_string(&IncidentId(12)).unwrap(), "\"12\"");
        for bad in ["", "#", "0", "-1", "+1", "1a", "99999999999999999999"] {
            assert_eq!(bad.parse::<IncidentId>(), Err(InvalidIncidentId), "{bad}");
        }
    }
}
