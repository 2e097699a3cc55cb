//! Between the wire and the shared model, once, at the edge. A peer may be newer: unknown fields are ignored by protobuf,
//! unknown kinds are kept as they are.

pub mod envelope;

pub use envelope::InvalidEnvelope;
