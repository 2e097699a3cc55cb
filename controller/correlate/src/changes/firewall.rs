//! Rules that came or went.

use super::{Draft, Pair};

pub(super) fn changes(_pair: &Pair<'_>) -> Vec<Draft> {
    Vec::new()
}
