//! The language of evidence: for every kind, what to read, what to hide before it leaves the node, and what it means.
//!
//! One folder of [`collectors`] per kind. Agents use its declaration ([`Collector`]); the controller, and whoever reads a
//! bundle, use its parser ([`Evidence`]). Everything here is pure.

pub mod bootstrap;
pub mod cloud;
pub mod collectors;
pub mod command;
pub mod engine;
pub mod firewall;
mod local_time;
pub mod redact;
pub mod settings;
pub mod source;

pub use collectors::ALL;
pub use source::{Collector, Source, Trigger};

use common_model::{Class, Kind};

/// A parsed kind of evidence.
pub trait Evidence: Sized {
    /// The kind, as in the envelope.
    const KIND: &'static str;

    /// Understands as much of `raw` as it can. Never panics; what it could not understand is in the problems.
    /// `subject` is the envelope's, `schema` the version of the raw bytes' shape.
    fn parse(raw: &[u8], subject: &str, schema: u32) -> Parsed<Self>;
}

/// What a parser understood, and what it did not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed<T> {
    /// The part that was understood.
    pub value: T,
    /// What was not, for people.
    pub problems: Vec<String>,
}

impl<T> Parsed<T> {
    /// Everything was understood.
    pub fn clean(value: T) -> Self {
        Self { value, problems: Vec::new() }
    }
}

/// Parses a JSON body, the shape of every source that is not a file or a command's own output.
pub fn parse_json<T: serde::de::DeserializeOwned + Default>(raw: &[u8]) -> Parsed<T> {
    match serde_json::from_slice(raw) {
        Ok(value) => Parsed::clean(value),
        Err(error) => Parsed { value: T::default(), problems: vec![format!("not the expected JSON: {error}")] },
    }
}

/// Parses the one file that a node may do without, read by `Source::Files`. None where it is not there, or cannot be read whole and
/// understood, which the problems say.
fn parse_optional_file<T, E: std::fmt::Display>(raw: &[u8], parse: impl Fn(&str) -> Result<T, E>) -> Parsed<Option<T>> {
    let Parsed { value: files, mut problems } = parse_json::<Vec<source::FileRead>>(raw);
    let mut value = None;
    for source::FileRead { path, text, error, cut, .. } in files {
        match (error, parse(&text)) {
            (Some(error), _) => problems.push(format!("{path}: {error}")),
            (None, _) if cut => problems.push(format!("{path}: read in part")),
            (None, Ok(read)) => value = Some(read),
            (None, Err(error)) => problems.push(format!("{path}: {error}")),
        }
    }
    Parsed { value, problems }
}

/// Whether a kind is state or event; kinds we do not know are taken as events, so that none is lost.
pub fn class_of(kind: &Kind) -> Class {
    ALL.iter().find(|collector| collector.kind == kind.as_str()).map_or(Class::Event, |collector| collector.class)
}
