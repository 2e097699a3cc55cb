//! Rolling restarts: kept, proposed, and brought from node to node.

mod cluster;
mod drive;
mod merged;
mod propose;
mod store;

pub(crate) use drive::{is_back, keep, void_the_rest};
pub(crate) use propose::{propose, propose_merged};
pub(crate) use store::{KeptRollout, RolloutError, Rollouts};
