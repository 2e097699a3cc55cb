//! Removing secrets from what was read, on the node, before anything is spooled.
//!
//! Settings keep their value only when their key is known to hold none; everything else is replaced by [`HIDDEN`]. What
//! cannot be understood is not let through.

mod keys;
mod pieces;
mod text;
mod words;
mod yml;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::collectors::engine_log::entries::begins_entry;
use crate::collectors::engines::Engines;
use crate::collectors::processes::Processes;
use crate::source::FileRead;

pub(crate) use pieces::{commented, markup, rules};
pub use text::text;
pub use words::command;
pub(crate) use words::setting;
pub use yml::yml;

/// What stands in place of a removed value.
pub const HIDDEN: &str = "[redacted]";

/// Fields of a journal entry that are kept; what else a program attached to it stays on the node.
static JOURNAL_FIELDS: &[&str] = &[
    "__CURSOR",
    "__REALTIME_TIMESTAMP",
    "__MONOTONIC_TIMESTAMP",
    "_BOOT_ID",
    "_PID",
    "_UID",
    "_GID",
    "_COMM",
    "_EXE",
    "_SYSTEMD_UNIT",
    "_TRANSPORT",
    "_AUDIT_LOGINUID",
    "_AUDIT_SESSION",
    "_SYSTEMD_INVOCATION_ID",
    "_HOSTNAME",
    "UNIT",
    "OBJECT_SYSTEMD_UNIT",
    "INVOCATION_ID",
    "MESSAGE",
    "MESSAGE_ID",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
    "EXIT_CODE",
    "EXIT_STATUS",
    "UNIT_RESULT",
    "COMMAND",
    "JOB_RESULT",
    "JOB_TYPE",
];

/// Removes secrets from the JSON of [`Processes`].
pub fn process_json(raw: Vec<u8>) -> Vec<u8> {
    rewrite(&raw, |mut processes: Processes| {
        for process in &mut processes.processes {
            process.command = command(&process.command);
        }
        processes
    })
}

/// Removes secrets from the JSON of [`Engines`].
pub fn engines_json(raw: Vec<u8>) -> Vec<u8> {
    rewrite(&raw, |mut engines: Engines| {
        for engine in &mut engines.engines {
            engine.arguments = engine.arguments.iter().map(|argument| setting(argument)).collect();
        }
        engines
    })
}

/// Removes secrets from the text of a [`FileRead`].
pub fn file_json(raw: Vec<u8>) -> Vec<u8> {
    rewrite(&raw, |mut file: FileRead| {
        file.text = text(&file.text);
        file
    })
}

/// Removes secrets from an engine's log in a [`FileRead`]. Whoever runs an engine chooses where its log is, and may put a link
/// to anything there: lines before the first entry of a log are not let through.
pub fn log_json(raw: Vec<u8>) -> Vec<u8> {
    rewrite(&raw, |mut file: FileRead| {
        let log: usize = file.text.split_inclusive('\n').take_while(|line| !begins_entry(line)).map(str::len).sum();
        let (before, entries) = file.text.split_at(log);
        let hidden =
            before.split_inclusive('\n').map(|line| if line.ends_with('\n') { "[redacted]\n" } else { HIDDEN });
        file.text = hidden.chain([text(entries).as_str()]).collect();
        file
    })
}

/// Keeps of the files that set kernel settings only what sets kernel settings: a link may lead anywhere.
pub fn sysctl_files_json(raw: Vec<u8>) -> Vec<u8> {
    rewrite(&raw, |mut files: Vec<FileRead>| {
        for file in &mut files {
            let lines: Vec<String> = file.text.split('\n').map(sysctl_line).collect();
            file.text = lines.join("\n");
        }
        files
    })
}

fn sysctl_line(line: &str) -> String {
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
        return commented(line);
    }
    let name = trimmed.split_once('=').map_or(trimmed, |(name, _)| name).trim();
    let letters = |c: char| c.is_ascii_alphanumeric() || "._-/*".contains(c);
    let is_name = name.contains(['.', '/']) && name.chars().all(letters);
    if is_name && (trimmed.contains('=') || name.starts_with('-')) { text(line) } else { HIDDEN.to_owned() }
}

/// Removes secrets from the text of each [`FileRead`] of a list.
pub(crate) fn files_json(raw: &[u8], hide: fn(&str) -> String) -> Vec<u8> {
    rewrite(raw, |mut files: Vec<FileRead>| {
        for file in &mut files {
            file.text = hide(&file.text);
        }
        files
    })
}

/// Removes secrets from every text in JSON whose form is not ours.
pub(crate) fn texts_json(raw: &[u8]) -> Vec<u8> {
    rewrite(raw, |mut value: Value| {
        hide_texts(&mut value);
        value
    })
}

fn hide_texts(value: &mut Value) {
    match value {
        Value::String(said) => *said = text(said),
        Value::Array(items) => items.iter_mut().for_each(hide_texts),
        Value::Object(fields) => fields.values_mut().for_each(hide_texts),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Removes secrets from one line of `journalctl -o json`.
pub fn journal_json(raw: Vec<u8>) -> Vec<u8> {
    rewrite(&raw, |fields: Map<String, Value>| {
        let sudo = fields.get("_COMM").and_then(Value::as_str) == Some("sudo");
        let hide: &dyn Fn(&str) -> String = &|message: &str| if sudo { words::sudo(message) } else { text(message) };
        fields
            .into_iter()
            .filter(|(name, _)| JOURNAL_FIELDS.contains(&name.as_str()))
            .map(|(name, value)| {
                let value = match name.as_str() {
                    "MESSAGE" => journal_message(value, hide),
                    trusted if trusted.starts_with('_') => value,
                    _ => journal_message(value, &text),
                };
                (name, value)
            })
            .collect::<Map<String, Value>>()
    })
}

/// A message is text, the bytes of one, or a list of either.
fn journal_message(value: Value, hide: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(message) => Value::String(hide(&message)),
        Value::Array(items) => {
            let byte = |item: &Value| item.as_u64().and_then(|number| u8::try_from(number).ok());
            match items.iter().map(byte).collect::<Option<Vec<u8>>>() {
                Some(bytes) => Value::String(hide(&String::from_utf8_lossy(&bytes))),
                None => Value::Array(items.into_iter().map(|item| journal_message(item, hide)).collect()),
            }
        }
        other => other,
    }
}

/// Reads JSON, changes it, and writes it again. What is no such JSON becomes [`HIDDEN`], which no parser takes for evidence.
pub(crate) fn rewrite<T: DeserializeOwned, U: Serialize>(raw: &[u8], change: impl FnOnce(T) -> U) -> Vec<u8> {
    let changed = serde_json::from_slice(raw).ok().and_then(|value| serde_json::to_vec(&change(value)).ok());
    changed.unwrap_or_else(|| HIDDEN.as_bytes().to_vec())
}

#[cfg(test)]
mod tests;
