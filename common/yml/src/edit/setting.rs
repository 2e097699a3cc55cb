//! What an edit may name and write.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Value, scalar};

/// The longest key, and the longest text of a value, in bytes.
const MAX_TEXT: usize = 500;
/// The most values of one setting.
const MAX_VALUES: usize = 100;

/// The dotted key of a setting, for example `network.host`: of letters, digits and `._-*`, which no YAML reads as anything else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// A text that is not the key of a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the key of a setting")]
pub struct InvalidKey(String);

impl Key {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let plain = |part: &str| {
            let mut chars = part.chars();
            chars.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
                && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '*'))
        };
        // A key that is no text to YAML would be another one to the engine.
        let is_key = text.len() <= MAX_TEXT
            && text.split('.').all(plain)
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && !scalar::is_null(text)
            && scalar::boolean(text).is_none();
        if is_key { Ok(Self(text.to_owned())) } else { Err(InvalidKey(text.chars().take(80).collect())) }
    }
}

impl TryFrom<String> for Key {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> String {
        key.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key is set to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Unchecked")]
pub enum Setting {
    /// One value.
    One(String),
    /// A list.
    Many(Vec<String>),
}

/// A value that is too long, or that has characters no settings file should have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a value is too long or has characters that are not printable")]
pub struct InvalidSetting;

#[derive(Deserialize)]
#[serde(untagged)]
enum Unchecked {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<Unchecked> for Setting {
    type Error = InvalidSetting;

    fn try_from(unchecked: Unchecked) -> Result<Self, InvalidSetting> {
        let setting = match unchecked {
            Unchecked::One(value) => Setting::One(value),
            Unchecked::Many(values) => Setting::Many(values),
        };
        setting.check()?;
        Ok(setting)
    }
}

impl Setting {
    /// Whether it may stand in a plan.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let values = match self {
            Setting::One(value) => std::slice::from_ref(value),
            Setting::Many(values) => values,
        };
        let is_text = |value: &String| value.len() <= MAX_TEXT && !value.chars().any(char::is_control);
        if values.len() <= MAX_VALUES && values.iter().all(is_text) { Ok(()) } else { Err(InvalidSetting) }
    }

    pub(super) fn value(&self) -> Value {
        match self {
            Setting::One(value) => Value::Scalar(value.clone()),
            Setting::Many(values) => Value::List(values.clone()),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(self))
    }
}

/// The setting as it is written behind its key: a word, a number or an address as it is, everything else in quotes.
pub fn written(setting: &Setting) -> String {
    match setting {
        Setting::One(value) if is_plain(value) => value.clone(),
        Setting::One(value) => quoted(value),
        Setting::Many(values) => {
            format!("[{}]", values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Whether every YAML reads it as this text, or as the number or truth value that it spells.
fn is_plain(value: &str) -> bool {
    let number = value.parse::<u32>().is_ok_and(|number| number.to_string() == value);
    let address = value.parse::<std::net::Ipv4Addr>().is_ok();
    let words = value.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'))
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.'))
        && value.len() > 1
        && !scalar::is_null(value)
        && scalar::boolean(value).is_none_or(|boolean| boolean == value);
    number || address || words
}

/// Between double quotes, which take any text.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
