//! Results as text for people: pure functions from results and a [`crate::terminal::Terminal`] to a page.

pub(crate) mod diagnosis;
pub(crate) mod nodes;
mod page;
pub(crate) mod plan;
mod time;
pub(crate) mod timeline;

pub(crate) use page::{Page, Style};
pub(crate) use time::local_and_ago;
