//! A lab of real hosts: Debian booted by systemd-nspawn on one bridge.
//!
//! - [`Host::boot`] gives a running host with its own systemd, journal,
//!   packages, users, firewall and network namespace.
//! - [`client()`] is everything outside the hosts: commands run from an address
//!   on the bridge, where a client or a controller stands.
//! - [`Engine`] installs, configures, starts and stops Elasticsearch and
//!   OpenSearch on a host as their packages do.
//! - [`shared`] lends one healthy node of each engine to many tests in turn.
//! - [`cloud`] puts a host behind a security group of an emulated AWS.
//! - [`gitea`] is a forge, outside the hosts.
//! - [`SysctlGuard`] changes a kernel setting that all hosts share.
//!
//! Limits: hosts share the machine's kernel, so `vm.*` and most of `kernel.*`
//! are global; a host has no kernel log of its own and no memory controller; a
//! limit the machine itself is under (open files, locked memory) cannot be
//! raised in a host.

mod apt;
mod cache;
mod client;
pub mod cloud;
mod command;
pub mod engine;
pub mod gitea;
mod host;
mod image;
mod java;
mod nspawn;
pub mod persistent;
mod run;
pub mod shared;
mod sysctl;
pub mod tls;
mod wait;

pub use client::{Client, Connect, client};
pub use command::{Output, output};
pub use engine::Engine;
pub use host::{Host, PathCut};
pub use sysctl::SysctlGuard;
pub use wait::until;
