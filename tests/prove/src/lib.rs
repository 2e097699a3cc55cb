//! What the remedy loop promises, tried many times over against the real programs: kills, stops, races and lies. Every trial
//! draws what it does from a seed, so that one that fails can be had again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a trial that cannot go on has failed, and says where")]

mod agent;
mod attacks;
mod authority;
mod carried;
mod chain;
mod executed;
mod firewall;
mod hostile;
pub mod invariants;
mod liar;
mod machine;
mod mutants;
mod network;
mod operator;
mod programs;
mod report;
mod run;
mod scene;
mod scripted;
mod secrets;
mod whole;
mod writes;

pub use invariants::{ALL, Invariant};
pub use report::{Report, table};
pub use run::{Run, Trial};
