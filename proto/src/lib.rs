//! The wire between agents, controller and operators: generated code, and the conversions to and from the shared model.

pub mod convert;

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, unused_qualifications)]
/// Generated from `proto/proto/*.proto` by `cargo xtask gen-proto`; never edited.
pub mod v1 {
    include!("gen/dialtone.v1.rs");
}

/// The descriptor set of all services, for the test that compares them with the access table.
pub const DESCRIPTOR: &[u8] = include_bytes!("gen/descriptor.bin");
