//! Results as text for people: pure functions from results and a [`crate::terminal::Terminal`] to a page.

pub(crate) mod diagnosis;
pub(crate) mod incident;
pub(crate) mod nodes;
mod page;
pub(crate) mod persons;
pub(crate) mod plan;
pub(crate) mod preflight;
pub(crate) mod rollout;
pub(crate) mod time;
pub(crate) mod timeline;

pub(crate) use page::{Page, Span, Style};
pub(crate) use time::local_and_ago;
