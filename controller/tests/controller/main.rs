//! A whole controller in this process, over real mTLS on a free port.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod access;
mod audit;
mod diagnose;
mod enrollment;
mod incidents;
mod ingest;
mod lifetime;
mod plans;
mod polling;
mod pull_requests;
mod support;
