//! Whether an engine would start, and be reachable, if it were restarted now.

use serde::{Deserialize, Serialize};

use crate::id::NodeName;
use crate::time::Timestamp;

/// Value of [`Preflight::schema`].
pub const PREFLIGHT_SCHEMA: &str = "dialtone.preflight/1";

/// The answer for one engine, by what was known of its node at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// Always [`PREFLIGHT_SCHEMA`].
    pub schema: String,
    /// The node.
    pub node: NodeName,
    /// The engine's name on it.
    pub engine: String,
    /// As of when, by the controller's clock.
    pub at: Timestamp,
    /// Would it start?
    pub starts: Answer,
    /// Would others reach it then?
    pub reachable: Answer,
    /// One line.
    pub sentence: String,
    /// Where it would listen for HTTP, as `ADDRESS:PORT`.
    pub listens: Vec<String>,
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// What nobody looked at, in words.
    pub not_looked_at: Vec<String>,
}

/// Yes, no, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Nothing that was looked at speaks against it.
    Yes,
    /// Something is not known.
    Unknown,
    /// Something speaks against it.
    No,
}

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Whether it starts.
    Start,
    /// Whether others reach it.
    Reach,
    /// Neither: worth knowing before a restart.
    Note,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The cause, or the bootstrap check, it looks for.
    pub id: String,
    /// What it is about.
    pub about: Question,
    /// How it went.
    pub passes: Answer,
    /// What was seen, in words.
    pub sentence: String,
    /// What shows it, or how to get what is missing.
    pub source: String,
}
