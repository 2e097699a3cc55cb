//! All that the console shows, and all that can happen to it.

use common_model::inventory::NodeSummary;
use common_model::{Change, Incident, IncidentId, Timestamp};
use common_plan::rollout::{Rollout, RolloutStage};
use common_plan::{PlanId, PublicKey, Record, RolloutId, Stage};

use crate::commands::reach::Reached;
use crate::plan::Fetched;
use crate::report::{IncidentReport, NodeReport};
use crate::rollout::FetchedRollout;
use crate::terminal::Terminal;

/// The state of the console.
#[derive(Debug)]
pub(super) struct Model {
    /// Size and abilities of the screen, and the time.
    pub(super) terminal: Terminal,
    /// Rows of the screen.
    pub(super) height: usize,
    /// `HOST:PORT` of the controller.
    pub(super) controller: String,
    /// As whom the controller is called, if that is known.
    pub(super) operator: Option<String>,
    /// The key that signs, or why there is none.
    pub(super) key: Result<PublicKey, String>,
    /// What was heard last of the controller.
    pub(super) heard: Heard,
    /// Those that are open, then those that have ended, newest first.
    pub(super) incidents: Vec<Incident>,
    /// What waits for people, then what is under way, then what has ended.
    pub(super) work: Vec<Work>,
    /// By name.
    pub(super) nodes: Vec<NodeReport>,
    /// What was probed last.
    pub(super) reached: Vec<Reached>,
    /// Newest first.
    pub(super) changes: Vec<Change>,
    pub(super) focus: Pane,
    /// The row that is marked, for each pane.
    pub(super) marked: [usize; Pane::ALL.len()],
    /// The incident that is open, over the panes.
    pub(super) incident: Option<OpenIncident>,
    /// The plan or rollout that is open, over both.
    pub(super) open: Option<Open>,
    /// Said until the next key.
    pub(super) notice: Option<String>,
}

impl Model {
    /// Before anything has happened.
    pub(super) fn new(terminal: Terminal, height: usize, controller: String, key: Result<PublicKey, String>) -> Self {
        Self {
            terminal,
            height,
            controller,
            operator: None,
            key,
            heard: Heard::Never,
            incidents: Vec::new(),
            work: Vec::new(),
            nodes: Vec::new(),
            reached: Vec::new(),
            changes: Vec::new(),
            focus: Pane::Incidents,
            marked: [0; Pane::ALL.len()],
            incident: None,
            open: None,
            notice: None,
        }
    }
}

/// Whether the controller is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing yet.
    Never,
    /// What is shown is of this moment.
    Well(Timestamp),
    /// What is shown is of that moment, and why it is no newer.
    Not(Option<Timestamp>, String),
}

/// The lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    Incidents,
    Work,
    Nodes,
    Changes,
}

impl Pane {
    pub(super) const ALL: [Pane; 4] = [Pane::Incidents, Pane::Work, Pane::Nodes, Pane::Changes];
}

/// A row of what people approve.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// A plan of its own.
    Plan(Box<Record>),
    /// A rollout, with the records of its plans: these are approved with it, and are no rows.
    Rollout(Box<Rollout>, Vec<Record>),
}

impl Work {
    pub(super) fn subject(&self) -> Subject {
        match self {
            Work::Plan(record) => Subject::Plan(record.id.clone()),
            Work::Rollout(rollout, _) => Subject::Rollout(rollout.id.clone()),
        }
    }

    pub(super) fn made_at(&self) -> Timestamp {
        match self {
            Work::Plan(record) => record.made_at,
            Work::Rollout(rollout, _) => rollout.made_at,
        }
    }

    /// Whether somebody has to approve it.
    pub(super) fn waits(&self) -> bool {
        match self {
            Work::Plan(record) => record.stage == Stage::Proposed,
            Work::Rollout(rollout, _) => rollout.stage == RolloutStage::Proposed,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        match self {
            Work::Plan(record) => record.is_over(),
            Work::Rollout(rollout, _) => rollout.stage.is_final(),
        }
    }
}

/// What is approved or rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Plan(PlanId),
    Rollout(RolloutId),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::Plan(id) => write!(f, "plan {id}"),
            Subject::Rollout(id) => write!(f, "rollout {id}"),
        }
    }
}

/// The same as the controller has sent it, checked against its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    Plan(Box<Fetched>),
    Rollout(Box<FetchedRollout>),
}

impl Sent {
    /// Whether somebody has to approve it.
    pub(super) fn waits(&self) -> bool {
        match self {
            Sent::Plan(plan) => plan.record.stage == Stage::Proposed,
            Sent::Rollout(rollout) => rollout.rollout.stage == RolloutStage::Proposed,
        }
    }

    /// Whether there is a plan in it that waits and is not signed with this key.
    pub(super) fn lacks(&self, key: &PublicKey) -> bool {
        let lacks = |plan: &Fetched| {
            plan.record.stage == Stage::Proposed && !plan.valid_approvals().any(|given| given.approval.key == *key)
        };
        match self {
            Sent::Plan(plan) => lacks(plan),
            Sent::Rollout(rollout) => self.waits() && rollout.plans.iter().any(lacks),
        }
    }

    /// Whether the approval of this person would count, as far as that is known.
    pub(super) fn counts(&self, operator: &str) -> bool {
        let counts = |plan: &Fetched| {
            let could = &plan.record.could_approve;
            let has = plan.record.approvals.iter().any(|given| given.operator == operator);
            could.is_empty() || has || could.iter().any(|name| name == operator)
        };
        match self {
            Sent::Plan(plan) => counts(plan),
            Sent::Rollout(rollout) => rollout.plans.iter().all(counts),
        }
    }

    /// What a no of one person would do now.
    pub(super) fn no(&self) -> Option<No> {
        match self {
            Sent::Plan(plan) => matches!(plan.record.stage, Stage::Proposed | Stage::Approved).then_some(No::Reject),
            Sent::Rollout(rollout) => match rollout.rollout.stage {
                RolloutStage::Proposed => Some(No::Reject),
                RolloutStage::Running if rollout.rollout.stop.is_none() => Some(No::Stop),
                _ => None,
            },
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        match self {
            Sent::Plan(plan) => plan.record.is_over(),
            Sent::Rollout(rollout) => rollout.rollout.stage.is_final(),
        }
    }
}

/// Two sorts of no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum No {
    /// Nothing is done.
    Reject,
    /// The node it is at is brought to its end, the others are left.
    Stop,
}

/// An incident that is looked at.
#[derive(Debug)]
pub(super) struct OpenIncident {
    pub(super) id: IncidentId,
    /// None until the controller has sent it.
    pub(super) report: Option<Result<Box<IncidentReport>, String>>,
    /// Lines above the screen.
    pub(super) scroll: usize,
    /// The words to end it with, while they are typed.
    pub(super) words: Option<String>,
}

/// A plan or rollout that is looked at.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) subject: Subject,
    /// None until the controller has sent it.
    pub(super) sent: Option<Result<Sent, String>>,
    /// Everything, the exact bytes included.
    pub(super) details: bool,
    /// Lines above the screen.
    pub(super) scroll: usize,
    /// The most lines that were on the screen so far, counted from the top: what is below was not read.
    pub(super) seen: usize,
    /// A signature of ours is on its way.
    pub(super) sending: bool,
    /// Why it is told of no more at the moment.
    pub(super) trouble: Option<String>,
    /// The words to say no with, while they are typed.
    pub(super) words: Option<String>,
}

/// What happens.
#[derive(Debug)]
pub(super) enum Event {
    Key(Key),
    /// Columns and rows.
    Resized(usize, usize),
    /// The time, now and then.
    Tick(Timestamp),
    /// What the controller knows.
    Board(Vec<Incident>, Vec<Record>, Vec<Rollout>),
    Nodes(Vec<NodeSummary>),
    /// Which engines answer.
    Reached(Vec<Reached>),
    Changes(Vec<Change>),
    /// Asking it failed.
    Lost(String),
    /// What is open, at first and at every step of its life.
    Sent(Subject, Result<Sent, String>),
    /// The controller has taken our signature, or not.
    Signed(Subject, Result<(), String>),
    /// The open incident with its last diagnosis.
    Incident(IncidentId, Result<Box<IncidentReport>, String>),
    /// What became of something that was asked for.
    Told(String),
}

/// Keys that mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    NextPane,
    Enter,
    Back,
    Erase,
    Char(char),
    Interrupt,
}

/// What is to be done about an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Ask for a plan or rollout, and go on telling of it.
    Watch(Subject),
    /// Tell of it no more.
    Unwatch,
    /// Sign exactly these bytes, and send the signatures.
    Sign(Sent),
    /// Say no for everybody, with these words.
    Reject(Subject, String),
    /// Ask for an incident with its last diagnosis.
    Fetch(IncidentId),
    /// Have this endpoint diagnosed now; that proposes plans where it can.
    Look(String),
    /// End an incident with these words.
    End(IncidentId, String),
    Quit,
}
