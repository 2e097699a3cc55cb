//! One engine of a node with all its evidence joined: what it is configured to do, what runs, what listens.

/// An engine, joined.
pub struct EngineView {}
