//! The controller: identity, ingest, probes, diagnosis and the operators' API, wired together.

pub mod access;
mod audit;
pub mod authority;
pub mod config;
pub mod evidence_log;
pub mod init;
pub mod registry;

mod api;
mod carry;
mod clock;
mod cloud;
mod core;
mod diagnosis;
mod dispatch;
mod ingest;
mod live;
mod pictures;
mod plans;
mod question;
mod server;

pub use config::Config;
pub use server::{Controller, StartError};
