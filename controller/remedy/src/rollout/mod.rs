//! Rolling restarts: which order, and what follows what. A state machine without clock or sockets; whoever keeps rollouts does
//! what [`todo`] says, tells [`after`] how that went, and stores what it gives back before doing anything else.

mod machine;
mod propose;
#[cfg(test)]
mod propose_tests;
#[cfg(test)]
mod tests;

pub use machine::{Outcome, Todo, after, ask_to_stop, todo};
pub use propose::{Member, Merged, Proposed, edited, lacks, propose};
