//! Tests against real hosts and real engines. They need root.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure is a failed test")]

mod causes;
mod cloud;
mod edits;
mod embedded;
mod fleet;
mod install;
mod install_rpm;
mod lab_works;
mod remedy;
mod rolling_restart;
mod rolling_secured;
