//! The engines' bootstrap checks: recognising each, in the wording of every version, in a journal or a log file.

use serde::{Deserialize, Serialize};

/// A start that was ended by bootstrap checks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BootstrapFailure {
    /// The checks that failed, in the engine's order.
    pub checks: Vec<FailedCheck>,
}

/// One failed check; the contract's `detail.checks` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCheck {
    /// Id of the check, for example `max-map-count`; `other` for one we do not know.
    pub check: String,
    /// The value found, where the message has one.
    pub actual: Option<String>,
    /// The value wanted, where the message has one.
    pub required: Option<String>,
    /// The engine's message.
    pub message: String,
}

/// Finds the last bootstrap failure in lines of a log or journal. Each line is the bare message or carries the log's own prefix.
/// Warnings of the same wording in development mode are not failures: only what stands under a `bootstrap checks failed` header counts.
pub fn last_failure<'a>(_lines: impl Iterator<Item = &'a str>) -> Option<BootstrapFailure> {
    None
}
