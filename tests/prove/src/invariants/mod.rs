//! The invariants: a file for each, and a word here.

use crate::run::Run;

/// Something that is promised, and how it is tried.
#[derive(Debug)]
pub struct Invariant {
    /// `I1`.
    pub id: &'static str,
    /// What is promised.
    pub promise: &'static str,
    /// Trials for a release.
    pub trials: u64,
    /// Trials with every change.
    pub few: u64,
    /// Makes them.
    pub prove: fn(&Run),
}

macro_rules! registry {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*

        /// All of them.
        pub const ALL: &[Invariant] = &[$($name::INVARIANT),*];
    };
}

registry! {
    i1_once,
    i2_in_time,
    i3_as_it_was,
    i4_signed,
    i5_taken_over,
    i12_contact,
    i13_undone,
    i19_secrets,
    i20_text,
    i21_programs,
    c1_carried,
}

/// Trials for a release.
pub(crate) fn trials_of(id: &str) -> u64 {
    ALL.iter().find(|invariant| invariant.id == id).map_or(0, |invariant| invariant.trials)
}
