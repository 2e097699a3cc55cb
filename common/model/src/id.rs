//! Names and numbers that identify things, each its own type so that one cannot pass for another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A text that is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {what}: {rule}")]
pub struct InvalidId {
    what: &'static str,
    rule: &'static str,
    text: String,
}

impl InvalidId {
    /// What it should be, and the rule of those; the text is kept as far as it can be shown.
    pub fn new(what: &'static str, rule: &'static str, text: &str) -> Self {
        Self { what, rule, text: text.chars().take(80).collect() }
    }
}

/// Declares a type of texts that keep a rule: read with `parse` and by serde, which both refuse every other text.
///
/// ```
/// common_model::text_id!(
///     /// The colour of a thing.
///     Colour,
///     "colour",
///     "red or green",
///     |text| matches!(text, "red" | "green")
/// );
/// assert!("red".parse::<Colour>().is_ok());
/// assert!("blue".parse::<Colour>().is_err());
/// ```
#[macro_export]
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// It, as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::id::InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err($crate::id::InvalidId::new($what, $rule, text)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::id::InvalidId;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// The name of a node, as its certificate says it: a lower-case host name.
    NodeName,
    "node name",
    "1 to 253 of a-z, 0-9, '-', '.' and '_', beginning with a letter or digit",
    |text| {
        (1..=253).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_'))
    }
);

text_id!(
    /// What sort of evidence an envelope carries, for example `sockets`. An open set: a newer peer may send kinds we do not know.
    Kind,
    "evidence kind",
    "1 to 64 of a-z, 0-9 and '-'",
    kebab
);

text_id!(
    /// The id of a cause in the catalogue, for example `bound-to-loopback`. An open set, kept when unknown.
    CauseId,
    "cause id",
    "1 to 64 of a-z, 0-9 and '-'",
    kebab
);

fn kebab(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Identifies one piece of evidence: `NODE/KIND/SEQ` for what an agent sent, `probe/VANTAGE/N` for a probe.
/// Only ever made by this program, so it needs no validation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EvidenceId(String);

impl EvidenceId {
    /// The id of the envelope `seq` of `node`.
    pub fn of_envelope(node: &NodeName, kind: &Kind, seq: u64) -> Self {
        Self(format!("{node}/{kind}/{seq}"))
    }

    /// The id of the `n`th probe from a vantage.
    pub fn of_probe(vantage: &str, n: usize) -> Self {
        Self(format!("probe/{vantage}/{n}"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EvidenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Random number an agent draws when its spool is created. Together with the sequence number it names an envelope once
/// and for all: a node that was reinstalled starts again at 1 under another incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_are_host_names() {
        for good in ["es-1", "es-1.example.org", "10.0.0.5", "a_b"] {
            assert!(good.parse::<NodeName>().is_ok(), "{good}");
        }
        for bad in ["", "ES-1", "../etc", "a b", "-x", "a\u{1b}[31m", &"x".repeat(254)] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_invalid_id_is_quoted_escaped_and_cut() {
        let error = "a\u{1b}[31m".parse::<Kind>().unwrap_err().to_string();
        assert!(error.contains(r"\u{1b}"), "{error}");
        let error = "X".repeat(9999).parse::<Kind>().unwrap_err().to_string();
        assert!(error.len() < 200, "{error}");
    }
}
