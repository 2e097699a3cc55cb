//! `dialtone console`: incidents, plans, nodes and changes on one screen, live, and the approval of a plan.
//!
//! [`model`] is all there is to show, [`update`] what an event makes of it, [`view`] how it looks; all three are pure.
//! [`run`] alone has the terminal, and [`ask`] the controller.

mod ask;
mod model;
mod run;
#[cfg(test)]
mod tests;
mod update;
mod view;

pub(crate) use run::console;
