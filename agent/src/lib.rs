//! The agent: finds the engines of its node, reads its sources, notices changes, and sends what it read to the controller.
//!
//! What is read is declared in `common/evidence/src/collectors/`; the reads themselves are in `agent/sources`. Here is the
//! wiring:
//!
//! | module | does |
//! |---|---|
//! | [`agent`] | puts the parts together; what the embedded mode of `dialtone` starts |
//! | `survey` | the loop that reads what is due, redacts it, and queues what changed |
//! | `jobs` | decides what is due; pure |
//! | `journal` | follows the journal |
//! | [`queue`] | what is read and not yet acknowledged, on disk |
//! | [`uplink`] | the stream to the controller |
//! | [`relay`] | carries plans to the actuator, and its questions to the controller |
//! | `renew` | a new certificate in time |
//! | [`enroll`] | the first certificate, for a token |
//! | [`cli`] | the `dialtone-agent` command |

pub mod agent;
pub mod cli;
mod clock;
pub mod config;
mod draft;
pub mod enroll;
mod inspect;
mod jobs;
mod join;
mod journal;
pub mod queue;
pub mod relay;
mod renew;
mod service;
mod survey;
pub mod uplink;

pub use agent::{Agent, AgentConfig, StartError};
