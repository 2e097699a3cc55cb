//! The YAML that `elasticsearch.yml` and `opensearch.yml` are written in: every setting with its place, whatever state the
//! file is in, and whether the engines' loader would take the file.

mod check;
mod flow;
mod scalar;
mod scan;
#[cfg(test)]
mod tests;

pub(crate) use check::check;
pub(crate) use flow::{Flow, balanced, read as read_flow};
pub(crate) use scalar::{key as split_key, quoted};

/// One setting as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Dotted key.
    pub(crate) key: String,
    /// What it is set to.
    pub(crate) value: Value,
    /// Line of the key, from 1.
    pub(crate) line: usize,
    /// Column of the key, from 1, in characters.
    pub(crate) column: usize,
}

/// What a key is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
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
pub(crate) struct Fault {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column, from 1.
    pub(crate) column: Option<usize>,
    /// The key concerned.
    pub(crate) key: Option<String>,
    /// What is wrong.
    pub(crate) message: String,
}

/// Lines as editors and the engines count them; a byte order mark is no part of the first.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A lone carriage return ends a line too, but not as the first half of a CRLF.
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}
