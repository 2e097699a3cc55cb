//! The change log: what differs between two consecutive pieces of evidence, and what happened.

pub mod attribute;

use common_model::{Change, Envelope};

/// The changes that `next` shows against `previous`, the newest envelope of the same node, kind and subject before it (for
/// events: always none). The first envelope of a state ever seen changes nothing.
pub fn between(_previous: Option<&Envelope>, _next: &Envelope) -> Vec<Change> {
    Vec::new()
}
