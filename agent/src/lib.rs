//! The agent: finds the engines of its node, reads its sources, notices changes, and sends what it read to the controller.

pub mod enroll;
mod renew;
pub mod uplink;
