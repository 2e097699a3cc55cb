//! All that the console shows, and all that can happen to it.

use common_model::inventory::NodeSummary;
use common_model::{Change, Timestamp};
use common_plan::{PlanId, PublicKey, Record};

use crate::commands::reach::Reached;
use crate::plan::Fetched;
use crate::report::NodeReport;
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
    pub(super) marked: [usize; 3],
    /// The plan that is open, over the panes.
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
            plans: Vec::new(),
            nodes: Vec::new(),
            reached: Vec::new(),
            changes: Vec::new(),
            focus: Pane::Plans,
            marked: [0; 3],
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

/// The three lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    Plans,
    Nodes,
    Changes,
}

impl Pane {
    pub(super) const ALL: [Pane; 3] = [Pane::Plans, Pane::Nodes, Pane::Changes];
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
    Plans(Vec<Record>),
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
    Quit,
}
