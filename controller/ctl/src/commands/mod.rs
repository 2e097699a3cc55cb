//! One file per command: what is asked, and how it is shown.

pub(crate) mod approve;
pub(crate) mod audit;
pub(crate) mod diagnose;
pub(crate) mod generate;
pub(crate) mod identities;
pub(crate) mod incidents;
pub(crate) mod inventory;
pub(crate) mod key;
pub(crate) mod login;
pub(crate) mod plans;
pub(crate) mod preflight;
pub(crate) mod reach;
pub(crate) mod rollouts;
