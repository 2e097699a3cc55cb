//! All that the console shows, and all that can happen to it.

use common_model::inventory::NodeSummary;
use common_model::{Change, Incident, IncidentId, Timestamp};
use common_plan::{PlanId, PublicKey, Record};

use crate::commands::reach::Reached;
use crate::plan::Fetched;
use crate::report::{IncidentReport, NodeReport};
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
    /// The key that signs, or why there is none.
    pub(super) key: Result<PublicKey, String>,
    /// What was heard last of the controller.
    pub(super) heard: Heard,
    /// Those that are open, then those that have ended, newest first.
    pub(super) incidents: Vec<Incident>,
    /// Those that wait, then those under way, then those that have ended.
    pub(super) plans: Vec<Record>,
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
    /// The plan that is open, over both.
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
            key,
            heard: Heard::Never,
            incidents: Vec::new(),
            plans: Vec::new(),
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
    Plans,
    Nodes,
    Changes,
}

impl Pane {
    pub(super) const ALL: [Pane; 4] = [Pane::Incidents, Pane::Plans, Pane::Nodes, Pane::Changes];
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

/// A plan that is looked at.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: PlanId,
    /// None until the controller has sent it.
    pub(super) plan: Option<Result<Box<Fetched>, String>>,
    /// Everything, the exact bytes included.
    pub(super) details: bool,
    /// Lines above the screen.
    pub(super) scroll: usize,
    /// The most lines that were on the screen so far, counted from the top: what is below was not read.
    pub(super) seen: usize,
    /// A signature of ours is on its way.
    pub(super) sending: bool,
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
    Board(Vec<Incident>, Vec<Record>),
    Nodes(Vec<NodeSummary>),
    /// Which engines answer.
    Reached(Vec<Reached>),
    Changes(Vec<Change>),
    /// Asking it failed.
    Lost(String),
    /// The open plan, at first and at every step of its life.
    Plan(PlanId, Result<Box<Fetched>, String>),
    /// The controller has taken our signature, or not.
    Signed(PlanId, Result<(), String>),
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
    /// Ask for a plan, and go on telling of it.
    Watch(PlanId),
    /// Tell of it no more.
    Unwatch,
    /// Sign exactly these bytes, and send the signature.
    Sign(Box<Fetched>),
    /// Ask for an incident with its last diagnosis.
    Fetch(IncidentId),
    /// Have this endpoint diagnosed now; that proposes plans where it can.
    Look(String),
    /// End an incident with these words.
    End(IncidentId, String),
    Quit,
}
