//! `dialtone console`: incidents, plans, rollouts, nodes and changes on one screen, live, and approving or rejecting.
//!
//! [`model`] is all there is to show, [`update`] and [`decide`] what an event makes of it, [`view`] and [`lists`] how it looks; all
//! of them are pure.
//! [`run`] alone has the terminal, and [`ask`] the controller.

mod ask;
mod decide;
mod lists;
mod model;
#[cfg(test)]
mod rollout_tests;
mod run;
#[cfg(test)]
mod tests;
mod update;
mod view;

pub(crate) use run::console;
