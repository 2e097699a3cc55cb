//! Splits a log into entries: the plain form, and the JSON forms of version 7 (`_server.json`) and of ECS.

use common_model::Timestamp;
use jiff::civil::DateTime;
use serde_json::Value;

use super::LogLine;
use crate::local_time;

/// An entry whose time, in the plain form, still lacks its zone.
#[derive(Debug)]
pub(super) struct Undated {
    /// The entry; its time is set where the log tells the zone.
    pub(super) line: LogLine,
    /// The time as it is written.
    pub(super) local: Option<DateTime>,
}

/// All entries, each with its continuation lines.
pub(super) fn split(text: &str) -> Vec<Undated> {
    let mut entries: Vec<Undated> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(entry) = plain(line, number).or_else(|| json(line, number)) {
            entries.push(entry);
        } else if let Some(last) = entries.last_mut() {
            last.line.message.push('\n');
            last.line.message.push_str(line);
        } else if !line.trim().is_empty() {
            let (level, logger, message) = (String::new(), String::new(), line.to_owned());
            entries.push(Undated { line: LogLine { line: number, at: None, level, logger, message }, local: None });
        }
    }
    entries
}

/// True for a line that begins an entry of an engine's log.
pub(crate) fn begins_entry(line: &str) -> bool {
    plain(line, 0).or_else(|| json(line, 0)).is_some()
}

/// Dates every entry of the plain form; returns why it could not.
pub(super) fn date(entries: &mut [Undated], modified_ms: i64) -> Option<String> {
    let last = entries.iter().rev().find_map(|entry| entry.local)?;
    let Some(offset) = local_time::offset_ms(last, modified_ms) else {
        return Some("the times in the log cannot be told: the file's own time fits no time zone".to_owned());
    };
    for entry in entries {
        let utc = entry.local.and_then(local_time::as_utc_ms);
        entry.line.at = entry.line.at.or(utc.map(|ms| Timestamp(ms.saturating_sub(offset))));
    }
    None
}

/// `[2026-11-20T23:53:35,521][INFO ][o.e.n.Node               ] [h7] message`; the node's name may be missing.
fn plain(line: &str, number: usize) -> Option<Undated> {
    let (time, rest) = bracket(line)?;
    let local: DateTime = time.replace(',', ".").parse().ok()?;
    let (level, rest) = bracket(rest)?;
    let (logger, rest) = bracket(rest)?;
    let rest = rest.trim_start();
    let message = bracket(rest).map_or(rest, |(_, message)| message.trim_start());
    let line = LogLine {
        line: number,
        at: None,
        level: level.to_owned(),
        logger: logger.to_owned(),
        message: message.to_owned(),
    };
    Some(Undated { line, local: Some(local) })
}

fn bracket(text: &str) -> Option<(&str, &str)> {
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    Some((inside.trim(), rest))
}

fn json(line: &str, number: usize) -> Option<Undated> {
    if !line.starts_with('{') {
        return None;
    }
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |names: &[&str]| names.iter().find_map(|name| value.get(name)?.as_str()).unwrap_or_default();
    let time = text(&["@timestamp", "timestamp"]);
    if time.is_empty() || value.get("message").is_none() {
        return None;
    }
    let mut message = text(&["message"]).to_owned();
    for name in ["error.message", "error.stack_trace", "stacktrace"] {
        for part in texts(value.get(name)) {
            message.push('\n');
            message.push_str(part);
        }
    }
    let at = instant(time);
    let level = text(&["log.level", "level"]).trim().to_owned();
    let logger = shortened(text(&["log.logger", "component"]));
    Some(Undated { line: LogLine { line: number, at, level, logger, message }, local: None })
}

/// A text, or a list of texts.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// `2026-11-20T23:53:35,521Z`, `…+01:00` or `…+0100`.
fn instant(text: &str) -> Option<Timestamp> {
    let mut text = text.replace(',', ".");
    let split = text.len().checked_sub(5)?;
    if text
        .get(split..)
        .is_some_and(|zone| zone.starts_with(['+', '-']) && zone.chars().skip(1).all(|c| c.is_ascii_digit()))
    {
        text.insert(split + 3, ':');
    }
    text.parse().ok()
}

/// `org.elasticsearch.node.Node` as the plain form writes it: `o.e.n.Node`.
fn shortened(logger: &str) -> String {
    match logger.trim().rsplit_once('.') {
        Some((package, class)) => {
            let letters: Vec<String> = package.split('.').map(|part| part.chars().take(1).collect()).collect();
            format!("{}.{class}", letters.join("."))
        }
        None => logger.trim().to_owned(),
    }
}
