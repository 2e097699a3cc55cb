//! The actuator: the only part of Dialtone that changes a node. It runs as root, has no network and no shell, and trusts nobody
//! but the administrator's own files: whether a plan is carried out [`common_plan::authorize`] decides alone.
//!
//! What it is about to do it writes down first ([`ledger`]); who undoes it waits before it acts ([`guard`]); and whoever is
//! killed, when it starts again it undoes what was not confirmed ([`carry::recover`]). Actuator, guard and recovery share one
//! lock and one way of undoing, which can be repeated any number of times.
#![forbid(unsafe_code)]

pub mod carry;
pub mod clock;
pub mod faults;
pub mod files;
pub mod guard;
pub mod ledger;
pub mod own;
pub mod places;
pub mod serve;
pub mod steps;
pub mod tools;

/// A line for the node's journal.
fn tell(line: &str) {
    use std::io::Write;
    // Nobody is left to tell when that fails.
    writeln!(std::io::stderr(), "{}", line.escape_debug()).ok();
}
