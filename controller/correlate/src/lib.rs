//! From evidence to pictures and changes. Pure: the clock, the network and the store are the caller's.

pub mod changes;
pub mod engine_view;
pub mod inventory;
pub mod picture;

pub use engine_view::EngineView;
pub use picture::{AgentState, Cited, NodePicture, Picture, Reading, Resolution};
