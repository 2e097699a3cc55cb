//! What the system tests stand on: real hosts and real engines on one machine.
//!
//! Everything here is made by root out of namespaces, overlays and packages of
//! this machine, and is gone when the test process is. Nothing outside the
//! tests depends on this crate.

pub mod fleet;
pub mod lab;
pub mod packages;
pub mod product;
pub mod terminal;
