//! I4: forged, altered and misdirected plans.

use super::Invariant;
use crate::run::{Run, Trial};

pub(super) const INVARIANT: Invariant = Invariant {
    id: "I4",
    promise: "only what is signed by who the node trusts acts, byte for byte",
    trials: 1000,
    few: 2,
    prove: |run: &Run| run.each(2, signed),
};

fn signed(_: &mut Trial<'_>) {}
