//! The engines' bootstrap checks: recognising each, in the wording of every version, in a journal or a log file.
//!
//! Texts of `BootstrapChecks` and of the security and watcher plugins, Elasticsearch 6.8 to 9.5 and OpenSearch 1.0 to 3.8.

mod checks;

use serde::{Deserialize, Serialize};

/// A start that was ended by bootstrap checks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BootstrapFailure {
    /// The checks that failed, in the engine's order.
    pub checks: Vec<FailedCheck>,
}

/// One failed check; the contract's `detail.checks` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCheck {
    /// Id of the check, for example `max-map-count`; `other` for one we do not know.
    pub check: String,
    /// The value found, where the message has one.
    pub actual: Option<String>,
    /// The value wanted, where the message has one.
    pub required: Option<String>,
    /// The engine's message.
    pub message: String,
}

impl FailedCheck {
    /// Reads one message, without number and link around it.
    pub fn of(message: &str) -> Self {
        checks::recognise(message)
    }
}

/// What a line is in a report of failed checks.
enum Part<'a> {
    /// `[3] bootstrap checks failed…`, with the number where it could be read.
    Header(Option<usize>),
    /// A failed check: its number where it has one, and its message.
    Check(Option<usize>, &'a str),
    /// Anything else.
    Other,
}

/// Finds the last bootstrap failure in lines of a log or journal. Each line is the bare message or carries the log's own
/// prefix, or is one of a JSON log. Warnings of the same wording in development mode are not failures: only what stands under
/// a `bootstrap checks failed` header counts, or carries its own `bootstrap check failure` number, as when a launcher lost the
/// header. The list is empty when only the header was left.
pub fn last_failure<'a>(lines: impl Iterator<Item = &'a str>) -> Option<BootstrapFailure> {
    let mut reader = Reader::default();
    for line in lines {
        match json_message(line) {
            Some(message) => message.lines().for_each(|line| reader.line(line)),
            None => line.lines().for_each(|line| reader.line(line)),
        }
    }
    reader.last
}

/// The message of a line of a JSON log, where the line is one.
pub(crate) fn json_message(line: &str) -> Option<String> {
    let line = line.trim_start();
    if !line.starts_with('{') {
        return None;
    }
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    value.get("message")?.as_str().map(str::to_owned)
}

#[derive(Default)]
struct Reader {
    last: Option<BootstrapFailure>,
    /// How many checks the header still announces; none outside of a report.
    open: Option<usize>,
    /// The header came behind a full report, as launchers print it: what follows may be a new one.
    again: bool,
}

impl Reader {
    fn line(&mut self, line: &str) {
        match part(line) {
            Part::Header(count) => {
                let announced = |failure: &BootstrapFailure| Some(failure.checks.len()) == count;
                self.again = self.open.is_none() && self.last.as_ref().is_some_and(announced);
                if !self.again {
                    self.last = Some(BootstrapFailure::default());
                }
                self.open = Some(count.unwrap_or(usize::MAX));
            }
            Part::Check(number, message) if self.open.is_some() || line.contains(NUMBERED) => {
                self.again |= number == Some(1);
                self.add(message);
            }
            // The first versions print the bare messages below the header.
            Part::Other if self.open.is_some() && checks::is_known(line) => self.add(line.trim()),
            Part::Check(..) | Part::Other => {}
        }
    }

    fn add(&mut self, message: &str) {
        if std::mem::take(&mut self.again) {
            self.last = None;
        }
        self.last.get_or_insert_default().checks.push(FailedCheck::of(message));
        self.open = self.open.map(|left| left.saturating_sub(1)).filter(|left| *left > 0);
    }
}

const NUMBERED: &str = "bootstrap check failure [";

fn part(line: &str) -> Part<'_> {
    if let Some((before, after)) = line.split_once("bootstrap checks failed") {
        let number = before.trim_end().strip_suffix(']').and_then(|text| text.rsplit_once('[')?.1.parse().ok());
        return if number.is_some() || after.trim().is_empty() { Part::Header(number) } else { Part::Other };
    }
    if let Some((_, after)) = line.split_once(NUMBERED)
        && let Some((number, rest)) = after.split_once(']')
        && let Some((_, message)) = rest.split_once("]: ")
    {
        return Part::Check(number.parse().ok(), message.trim());
    }
    line.match_indices('[').find_map(|(at, _)| listed(line, at)).unwrap_or(Part::Other)
}

/// `[1]: message` at this place, which is the line's beginning or stands apart from what is before it.
fn listed(line: &str, at: usize) -> Option<Part<'_>> {
    let (before, rest) = line.split_at(at);
    let inside = rest.get(1..)?;
    let (number, after) = inside.split_at(inside.find(|c: char| !c.is_ascii_digit())?);
    let message = after.strip_prefix("]: ")?;
    let apart = before.is_empty() || before.ends_with([' ', '\t']);
    let number: usize = number.parse().ok().filter(|_| apart)?;
    Some(Part::Check(Some(number), message.trim()))
}

#[cfg(test)]
mod tests;
