//! Changing settings in the text of a yml file, and nothing else: comments, order, line endings and whatever else stands there
//! stay. What a change gives is read again, and it is taken only where exactly the settings differ that were to be changed.

mod setting;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use self::setting::{InvalidKey, InvalidSetting, Key, Setting, written};
use crate::check::BREAKS;
use crate::{Entry, Value, check, flow, scalar};

/// One change of one setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Edit {
    /// Gives a key a value.
    Set {
        /// Which.
        key: Key,
        /// What it has to be set to now; none: it is not in the file.
        from: Option<Setting>,
        /// What it gets.
        to: Setting,
    },
    /// Makes a setting a comment.
    Unset {
        /// Which.
        key: Key,
        /// What it has to be set to now.
        from: Setting,
    },
    /// Calls a setting otherwise; its value stays.
    Rename {
        /// Which.
        key: Key,
        /// What it is called then.
        to: Key,
    },
}

/// Why a text was not edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The engine does not take the text, before or after.
    #[error("the engine does not take the file: line {line}: {message}")]
    Fault {
        /// From 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// It holds what cannot be judged for certain.
    #[error("{0}")]
    Unclear(String),
    /// A setting is not as the edit wants it.
    #[error("{key} is {} in the file; expected: {}", shown(found.as_ref()), shown(wanted.as_ref()))]
    Differs {
        /// Which.
        key: Key,
        /// What the file has.
        found: Option<Setting>,
        /// What the edit wants.
        wanted: Option<Setting>,
    },
    /// The file says it in a way that cannot be changed without changing something else.
    #[error("{0} cannot be changed by itself where it stands")]
    Entangled(Key),
}

fn shown(setting: Option<&Setting>) -> String {
    setting.map_or_else(|| "not set".to_owned(), ToString::to_string)
}

impl Edit {
    /// The key that is changed, as the file has it now.
    pub fn key(&self) -> &Key {
        match self {
            Edit::Set { key, .. } | Edit::Unset { key, .. } | Edit::Rename { key, .. } => key,
        }
    }
}

/// The text with all edits made, one after the other; none of them, where one cannot be.
pub fn apply(text: &str, edits: &[Edit]) -> Result<String, EditError> {
    edits.iter().try_fold(text.to_owned(), |text, edit| one(&text, edit))
}

/// What a key is set to in this text, if it is; of several the last, which is in force.
pub fn current(text: &str, key: &Key) -> Result<Option<Setting>, EditError> {
    Ok(Read::of(text)?.setting(key))
}

/// The edits that make the settings of one text those of another. None where a key stands twice in either, or where they are
/// not settings that an edit can name.
pub fn difference(old: &str, new: &str) -> Result<Option<Vec<Edit>>, EditError> {
    let (old, new) = (Read::of(old)?, Read::of(new)?);
    let mut edits = Vec::new();
    let keys = |read: &Read| read.flat().map(|entry| entry.key.clone()).collect::<Vec<_>>();
    for name in keys(&old).iter().chain(keys(&new).iter().filter(|key| !keys(&old).contains(key))) {
        let once = |read: &Read| read.flat().filter(|entry| entry.key == *name).count() <= 1;
        let Ok(key) = name.parse::<Key>() else { return Ok(None) };
        if !once(&old) || !once(&new) {
            return Ok(None);
        }
        match (old.setting(&key), new.setting(&key)) {
            (from, Some(to)) if from.as_ref() != Some(&to) => edits.push(Edit::Set { key, from, to }),
            (Some(from), None) => edits.push(Edit::Unset { key, from }),
            _ => {}
        }
    }
    Ok(Some(edits))
}

fn one(text: &str, edit: &Edit) -> Result<String, EditError> {
    let before = Read::of(text)?;
    let key = edit.key();
    let found = before.setting(key);
    let wanted = match edit {
        Edit::Set { from, .. } => from.clone(),
        Edit::Unset { from, .. } => Some(from.clone()),
        Edit::Rename { .. } => found.clone(),
    };
    if found != wanted || (found.is_none() && !matches!(edit, Edit::Set { .. })) {
        return Err(EditError::Differs { key: key.clone(), found, wanted });
    }
    let candidates = match (edit, before.at(key)) {
        (Edit::Set { to, .. }, Some(at)) => before.replaced(at, &written(to)).into_iter().collect(),
        (Edit::Set { to, .. }, None) => before.added(key, &written(to)),
        (Edit::Unset { .. }, Some(at)) => vec![before.commented_out(at)],
        (Edit::Rename { to, .. }, Some(at)) => before.renamed(at, to).into_iter().collect(),
        (Edit::Unset { .. } | Edit::Rename { .. }, None) => Vec::new(),
    };
    let expected = before.after(edit);
    let is_right = |text: &String| Read::of(text).is_ok_and(|after| expected.as_ref() == Some(&after.settings(edit)));
    candidates.into_iter().find(is_right).ok_or_else(|| EditError::Entangled(key.clone()))
}

/// A text and its settings, all of them understood.
struct Read<'a> {
    text: &'a str,
    entries: Vec<Entry>,
}

/// Settings in the order of the file, and apart from them those a new key was given.
type Settings = (Vec<(String, Value)>, Vec<Value>);

impl<'a> Read<'a> {
    fn of(text: &'a str) -> Result<Self, EditError> {
        let checked = check(text);
        let unclear = unclear(text).or_else(|| {
            let line = checked.marked?;
            Some(format!(
                "line {line} has an anchor, an alias, a tag or a `?`, of which the engines make something of their own"
            ))
        });
        if let Some(why) = unclear {
            return Err(EditError::Unclear(why));
        }
        if let Some(fault) = checked.fault {
            return Err(EditError::Fault { line: fault.line, message: fault.message });
        }
        if let Some(problem) = checked.problems.into_iter().next() {
            return Err(EditError::Unclear(problem));
        }
        Ok(Self { text, entries: checked.entries })
    }

    /// What is set, without the maps that settings are nested in.
    fn flat(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.value != Value::Map)
    }

    /// Of several the last, which is in force.
    fn at(&self, key: &Key) -> Option<usize> {
        self.entries.iter().rposition(|entry| entry.key == key.as_str() && entry.value != Value::Map)
    }

    fn setting(&self, key: &Key) -> Option<Setting> {
        match &self.entries.get(self.at(key)?)?.value {
            Value::Scalar(text) => Some(Setting::One(text.clone())),
            Value::List(items) => Some(Setting::Many(items.clone())),
            Value::Null | Value::Map | Value::NotFlat => None,
        }
    }

    /// The settings as they are compared: where a new key may stand is free.
    fn settings(&self, edit: &Edit) -> Settings {
        let new = match edit {
            Edit::Set { key, from: None, .. } => Some(key.as_str()),
            Edit::Set { .. } | Edit::Unset { .. } | Edit::Rename { .. } => None,
        };
        let (new, rest): (Vec<&Entry>, Vec<&Entry>) = self.flat().partition(|entry| Some(entry.key.as_str()) == new);
        let pair = |entry: &Entry| (entry.key.clone(), entry.value.clone());
        (rest.into_iter().map(pair).collect(), new.into_iter().map(|entry| entry.value.clone()).collect())
    }

    /// What the settings have to be after the edit.
    fn after(&self, edit: &Edit) -> Option<Settings> {
        let (mut settings, mut new) = self.settings(edit);
        let last =
            |settings: &[(String, Value)], key: &Key| settings.iter().rposition(|(name, _)| name == key.as_str());
        match edit {
            Edit::Set { from: None, to, .. } => new = vec![to.value()],
            Edit::Set { key, to, .. } => {
                let at = last(&settings, key)?;
                settings.get_mut(at)?.1 = to.value();
            }
            Edit::Unset { key, .. } => {
                settings.remove(last(&settings, key)?);
                // One before it would be in force then.
                if last(&settings, key).is_some() {
                    return None;
                }
            }
            Edit::Rename { key, to } => {
                if last(&settings, to).is_some() {
                    return None;
                }
                let at = last(&settings, key)?;
                settings.get_mut(at)?.0 = to.to_string();
            }
        }
        Some((settings, new))
    }

    /// The lines with their ends; a byte order mark stays with the first.
    fn lines(&self) -> Vec<&'a str> {
        self.text.split_inclusive('\n').collect()
    }

    /// The lines that an entry takes, what is nested in it included, from its key to the last that holds more than a comment.
    fn extent(&self, entry: &Entry, lines: &[&str]) -> Range<usize> {
        let from = entry.line.saturating_sub(1);
        let inner = format!("{}.", entry.key);
        let outside = |next: &&Entry| next.line > entry.line && !next.key.starts_with(&inner);
        let next = self.entries.iter().filter(outside).map(|next| next.line - 1).min().unwrap_or(lines.len());
        let is_marker = |line: &&str| line.starts_with("---") || line.starts_with("...");
        let body = lines.get(from + 1..next).unwrap_or_default();
        let body = body.iter().take_while(|line| !is_marker(line)).collect::<Vec<_>>();
        let last = body.iter().rposition(|line| !scalar::is_blank(line.trim_end_matches(['\n', '\r'])));
        from..from + 1 + last.map_or(0, |last| last + 1)
    }

    /// Head and rest of the entry's first line, apart at the colon behind its key, and the end of the line.
    fn split(&self, entry: &Entry, lines: &[&'a str]) -> Option<(&'a str, &'a str, &'a str)> {
        let line = lines.get(entry.line.checked_sub(1)?)?;
        let body = line.trim_end_matches(['\n', '\r']);
        let mark = if entry.line == 1 && body.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let column = entry.column.checked_sub(1)?;
        let from = mark + body.get(mark..)?.char_indices().map(|(at, _)| at).nth(column)?;
        let (name, rest) = scalar::key(body.get(from..)?)?;
        // In one line with other keys it is not the one at this place.
        let is_key = entry.key == name || entry.key.ends_with(&format!(".{name}"));
        let head = body.get(..body.len().checked_sub(rest.len() + 1)?)?;
        is_key.then_some((head, rest, line.get(body.len()..)?))
    }

    /// With another value. A value of several lines stays as a comment below.
    fn replaced(&self, at: usize, value: &str) -> Option<String> {
        let (lines, entry) = (self.lines(), self.entries.get(at)?);
        let (head, rest, end) = self.split(entry, &lines)?;
        let extent = self.extent(entry, &lines);
        let (kept, comment) = match extent.len() {
            1 => (String::new(), comment(rest).map(|comment| format!(" {comment}")).unwrap_or_default()),
            _ => (commented(lines.get(extent.clone())?), String::new()),
        };
        let end = if end.is_empty() && !kept.is_empty() { "\n" } else { end };
        let line = format!("{head}: {value}{comment}{end}");
        Some(
            [&lines.get(..extent.start)?.concat(), &line, &kept, &lines.get(extent.end..)?.concat()]
                .map(String::as_str)
                .concat(),
        )
    }

    /// With a line of its own for a key that is not there: below its commented-out example, else at the end.
    fn added(&self, key: &Key, value: &str) -> Vec<String> {
        let lines = self.lines();
        let end = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        let indent = " ".repeat(self.entries.first().map_or(0, |entry| entry.column.saturating_sub(1)));
        let is_example =
            |line: &&str| line.starts_with('#') && line.trim_start_matches(['#', ' ']).starts_with(&format!("{key}:"));
        let example = lines.iter().rposition(is_example).map(|at| at + 1);
        let with_line_at = |at: usize| {
            let (before, after) = lines.split_at_checked(at)?;
            let break_before = if before.last().is_some_and(|last| !last.ends_with('\n')) { end } else { "" };
            let line = format!("{break_before}{indent}{key}: {value}{end}");
            Some([&before.concat(), &line, &after.concat()].map(String::as_str).concat())
        };
        example.into_iter().chain([lines.len()]).filter_map(with_line_at).collect()
    }

    /// With the entry as a comment, and with it every key above that would be left with nothing.
    fn commented_out(&self, at: usize) -> String {
        let lines = self.lines();
        let Some(entry) = self.entries.get(at) else { return self.text.to_owned() };
        let holds_only_it = |outer: &&Entry| {
            let inner = format!("{}.", outer.key);
            outer.value == Value::Map
                && entry.key.starts_with(&inner)
                && self.flat().filter(|other| other.key.starts_with(&inner)).count() == 1
        };
        let outermost = self.entries.iter().find(holds_only_it).unwrap_or(entry);
        let extent = self.extent(outermost, &lines);
        let part = |range: Range<usize>| lines.get(range).unwrap_or_default();
        [part(0..extent.start).concat(), commented(part(extent.clone())), part(extent.end..lines.len()).concat()]
            .concat()
    }

    /// With another key in its place, where the line spells out what differs.
    fn renamed(&self, at: usize, to: &Key) -> Option<String> {
        let (lines, entry) = (self.lines(), self.entries.get(at)?);
        let (head, _, _) = self.split(entry, &lines)?;
        let spelt = (0..=entry.key.len())
            .filter_map(|at| entry.key.get(at..))
            .find(|part| !part.is_empty() && head.ends_with(part))?;
        let outer = entry.key.strip_suffix(spelt)?;
        let new = to.as_str().strip_prefix(outer).filter(|new| !new.is_empty())?;
        let line = lines.get(entry.line.checked_sub(1)?)?;
        let changed = format!("{}{new}{}", head.strip_suffix(spelt)?, line.get(head.len()..)?);
        Some(
            [&lines.get(..entry.line - 1)?.concat(), &changed, &lines.get(entry.line..)?.concat()]
                .map(String::as_str)
                .concat(),
        )
    }
}

/// A character of which not everybody makes the same: what ends a line for YAML only, and a byte order mark that does not begin the
/// file.
fn unclear(text: &str) -> Option<String> {
    if text.replace("\r\n", "\n").contains('\r') {
        return Some("a line ends in a carriage return only".to_owned());
    }
    let is_odd = |(at, c): &(usize, char)| BREAKS.contains(c) || (*at > 0 && *c == '\u{feff}');
    text.char_indices().find(is_odd).map(|(_, c)| format!("the file holds the character {}", c.escape_unicode()))
}

/// Each of the lines as a comment.
fn commented(lines: &[&str]) -> String {
    let comment = |line: &&str| match line.strip_prefix('\u{feff}') {
        _ if scalar::is_blank(line.trim_end_matches(['\n', '\r'])) => (*line).to_owned(),
        Some(rest) => format!("\u{feff}#{rest}"),
        None => format!("#{line}"),
    };
    lines.iter().map(comment).collect()
}

/// The comment after a value that ends in its line.
fn comment(rest: &str) -> Option<&str> {
    let value = rest.trim_start_matches([' ', '\t']);
    let after = match value.chars().next()? {
        '"' | '\'' => scalar::quoted(value)?.rest,
        '[' | '{' => flow::balanced(value)?,
        _ => rest.get(rest.len() - value.len() + scalar::plain(value).len()..)?,
    };
    Some(after.trim_matches([' ', '\t'])).filter(|comment| comment.starts_with('#'))
}
