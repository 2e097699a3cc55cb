//! The YAML that `elasticsearch.yml` and `opensearch.yml` are written in: every setting with its place, whatever state the
//! file is in, whether the engines' loader would take the file, and how one setting is changed and nothing else.

mod check;
mod edit;
mod flow;
mod scalar;
mod scan;
#[cfg(test)]
mod tests;

pub use check::{Checked, check};
pub use edit::{Edit, EditError, InvalidKey, InvalidSetting, Key, Setting, apply, current, difference, written};
pub use flow::{Flow, balanced, read as read_flow};
pub use scalar::{Quoted, key as split_key, quoted};

/// One setting as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Dotted key.
    pub key: String,
    /// What it is set to.
    pub value: Value,
    /// Line of the key, from 1.
    pub line: usize,
    /// Column of the key, from 1, in characters.
    pub column: usize,
}

/// What a key is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing: `key:`, `~` or `null`.
    Null,
    /// One value.
    Scalar(String),
    /// A list of values.
    List(Vec<String>),
    /// Settings of its own, which are entries of their own.
    Map,
    /// A list that holds maps, lists or nothing: the engines refuse it.
    NotFlat,
}

/// A place in the file, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: Option<usize>,
    /// The key concerned.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// Lines as editors and the engines count them; a byte order mark is no part of the first.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A lone carriage return ends a line too, but not as the first half of a CRLF.
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}
