//! What the controller's own plans are carried to, for tests: a real Gitea, and moto, a real server of the EC2 API.
#![allow(clippy::unwrap_used, reason = "what cannot be started ends the test")]

mod gitea;
mod moto;

pub use gitea::Gitea;
pub use moto::{Instance, Moto, REGION, value};
