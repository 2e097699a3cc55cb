//! The controller: identity, ingest, probes, diagnosis and the operators' API, wired together.

pub mod access;
mod audit;
pub mod authority;
pub mod config;
pub mod evidence_log;
pub mod faults;
pub mod init;
pub mod registry;

mod api;
mod approvers;
mod carry;
mod clock;
mod cloud;
mod core;
mod diagnosis;
mod dispatch;
mod engine_api;
mod incidents;
mod ingest;
mod live;
mod pictures;
mod plans;
mod question;
mod repositories;
mod rollouts;
mod server;
mod watch;

pub use audit::settings::AuditExport;
pub use config::Config;
pub use server::{Controller, StartError};
pub use watch::settings::{Incidents, Unwatchable};
