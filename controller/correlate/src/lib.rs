//! From evidence to pictures and changes. Pure: the clock, the network and the store are the caller's.

pub mod changes;
pub mod diff;
pub mod engine_view;
pub mod filter;
pub mod inventory;
pub mod picture;
pub mod target;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use engine_view::{EngineView, Running};
pub use filter::Filters;
pub use picture::{AgentState, Cited, NodePicture, Picture, Reading, Resolution};
pub use target::{Found, FoundBy, Target};
