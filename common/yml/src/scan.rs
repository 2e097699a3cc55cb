//! Reads the file line by line, keeping to the places of things and never giving up.

use std::collections::BTreeMap;

use crate::flow::{self, Flow};
use crate::{Entry, Fault, Value, lines, scalar};

/// A bracket or quote that is not closed within these is not followed further; reading it takes quadratic time.
const MAX_OPEN_LINES: usize = 200;
const MAX_OPEN_BYTES: usize = 64 * 1024;

/// What the lines say.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// In file order.
    pub(super) entries: Vec<Entry>,
    /// What the loader refuses and libyaml takes: mostly tabs.
    pub(super) refused: Vec<Fault>,
    /// Keys that stand twice in one map.
    pub(super) duplicates: Vec<Fault>,
    /// Lines that are neither a key, nor a list's item, nor the continuation of a value.
    pub(super) strays: Vec<Fault>,
    /// Keys indented below a key that has a value of its own.
    pub(super) misplaced: Vec<Fault>,
    /// Lists and quotes that are not closed.
    pub(super) unclosed: Vec<Fault>,
    /// Line of the first anchor, alias, tag, or key behind a `?`.
    pub(super) marked: Option<usize>,
}

/// What begins an anchor, an alias or a tag.
const MARKS: [char; 3] = ['&', '*', '!'];

/// A key whose value may go on in the next lines.
#[derive(Debug)]
struct Frame {
    /// Column of the key, from 0; none for the file itself.
    indent: Option<usize>,
    /// Dotted key with a dot behind it, empty for the file.
    prefix: String,
    /// Its entry.
    entry: Option<usize>,
    /// Keys seen directly in it, with their lines.
    seen: BTreeMap<String, usize>,
}

/// A value that goes on over several lines.
#[derive(Debug)]
enum Pending {
    /// `|` or `>`, below a key or dash in this column.
    Block { indent: usize, folded: bool, lines: Vec<String> },
    /// A list, map or quote that is not closed yet.
    Open { text: String, line: usize, column: usize },
}

/// Where a value belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// It is the entry's value.
    Whole(usize),
    /// It is one of the entry's list.
    Item(usize),
}

impl Slot {
    fn entry(self) -> usize {
        match self {
            Slot::Whole(at) | Slot::Item(at) => at,
        }
    }
}

/// Reads all lines.
pub(crate) fn scan(text: &str) -> Scan {
    let root = Frame { indent: None, prefix: String::new(), entry: None, seen: BTreeMap::new() };
    let mut scanner = Scanner { out: Scan::default(), frames: vec![root], pending: None, plain: None, line: 0 };
    for line in lines(text) {
        scanner.line += 1;
        scanner.line(line);
    }
    scanner.finish();
    scanner.out
}

struct Scanner {
    out: Scan,
    frames: Vec<Frame>,
    pending: Option<(Slot, Pending)>,
    /// A plain value that the next line may go on, and the column of its key.
    plain: Option<(Slot, usize)>,
    line: usize,
}

impl Scanner {
    fn line(&mut self, line: &str) {
        if self.goes_on(line) {
            return;
        }
        let rest = line.trim_start_matches(' ');
        let indent = line.len() - rest.len();
        let rest = self.without_tabs(rest, indent);
        if rest.is_empty() || rest.starts_with('#') {
            return;
        }
        if indent == 0 && rest.starts_with('%') {
            return;
        }
        match after_marker(rest).filter(|_| indent == 0) {
            Some(after) => {
                self.without_tabs(after, rest.len() - after.len());
            }
            None => self.content(rest, indent),
        }
    }

    fn content(&mut self, rest: &str, indent: usize) {
        if let Some(after) = dash(rest) {
            self.frames.retain(|frame| frame.indent.is_none_or(|column| column <= indent));
            return self.item(after, indent, indent + (rest.len() - after.len()));
        }
        if rest.starts_with(MARKS) || rest == "?" || rest.starts_with("? ") {
            self.mark(self.line);
        }
        match scalar::key(rest) {
            Some((key, after)) => {
                if let Some(read) = scalar::quoted(rest) {
                    self.without_tabs(read.rest, indent + (rest.len() - read.rest.len()));
                }
                self.frames.retain(|frame| frame.indent.is_none_or(|column| column < indent));
                self.key(&key, after, indent, indent + (rest.len() - after.len()));
            }
            None => self.text(rest, indent),
        }
    }

    /// Tabs before a token: the loader takes none, but what follows is still read.
    fn without_tabs<'a>(&mut self, text: &'a str, column: usize) -> &'a str {
        let rest = text.trim_start_matches([' ', '\t']);
        let skipped = text.get(..text.len() - rest.len()).unwrap_or_default();
        if let Some(at) = skipped.find('\t') {
            self.refuse(self.line, column + at, "a tab where only spaces may stand");
        }
        rest
    }

    fn key(&mut self, key: &str, after: &str, indent: usize, column: usize) {
        let line = self.line;
        let at = self.out.entries.len();
        let Some(parent) = self.frames.last_mut() else { return };
        let full = format!("{}{key}", parent.prefix);
        let fault = |message: String| Fault { line, column: Some(indent + 1), key: Some(full.clone()), message };
        if let Some(first) = parent.seen.insert(key.to_owned(), line) {
            self.out.duplicates.push(fault(format!("{full} is already set in line {first}")));
        }
        if let Some(owner) = parent.entry.and_then(|entry| self.out.entries.get_mut(entry)) {
            match owner.value {
                Value::Null | Value::Map => owner.value = Value::Map,
                _ => {
                    let message = format!("{key} is indented as if it were part of {}", owner.key);
                    let key = Some(key.to_owned());
                    self.out.misplaced.push(Fault { line, column: Some(indent + 1), key, message });
                }
            }
        }
        self.out.entries.push(Entry { key: full.clone(), value: Value::Null, line, column: indent + 1 });
        let frame = Frame { indent: Some(indent), prefix: format!("{full}."), entry: Some(at), seen: BTreeMap::new() };
        self.frames.push(frame);
        self.plain = None;
        self.value(Slot::Whole(at), after, indent, column);
    }

    fn item(&mut self, after: &str, indent: usize, column: usize) {
        self.plain = None;
        let Some(at) = self.frames.last().and_then(|frame| frame.entry) else {
            let message = "a list's item that belongs to no key".to_owned();
            return self.out.strays.push(Fault { line: self.line, column: Some(indent + 1), key: None, message });
        };
        let rest = self.without_tabs(after, column);
        let nested = dash(rest).is_some() || scalar::key(rest).is_some();
        let Some(entry) = self.out.entries.get_mut(at) else { return };
        match &mut entry.value {
            Value::Null => entry.value = Value::List(Vec::new()),
            Value::List(_) | Value::NotFlat => {}
            _ => {
                let message = format!("a list's item below {}, which has a value of its own", entry.key);
                let key = Some(entry.key.clone());
                self.out.misplaced.push(Fault { line: self.line, column: Some(indent + 1), key, message });
                return;
            }
        }
        if nested || scalar::is_blank(rest) {
            entry.value = Value::NotFlat;
            return;
        }
        self.value(Slot::Item(at), after, indent, column);
    }

    /// The value that begins in this line; it may go on in the next.
    fn value(&mut self, slot: Slot, text: &str, indent: usize, column: usize) {
        let mut rest = self.without_tabs(text, column);
        if rest.starts_with(MARKS) {
            self.mark(self.line);
        }
        // An anchor or tag in front of the value means nothing to the engines.
        while rest.starts_with(['&', '!']) {
            let after = rest.find([' ', '\t']).and_then(|end| rest.get(end..)).unwrap_or_default();
            rest = self.without_tabs(after, column + (text.len() - after.len()));
        }
        let column = column + (text.len() - rest.len());
        match rest.chars().next() {
            None | Some('#') => {}
            Some('|' | '>') => {
                let head = rest.trim_start_matches(|c: char| !c.is_whitespace());
                let end = column + (rest.len() - head.len());
                self.without_tabs(head, end);
                // libyaml takes it for a comment.
                if rest.get(..rest.len() - head.len()).is_some_and(|indicators| indicators.contains('#')) {
                    self.refuse(self.line, column, "no space before the comment");
                }
                let block = Pending::Block { indent, folded: rest.starts_with('>'), lines: Vec::new() };
                self.pending = Some((slot, block));
            }
            Some('"' | '\'' | '[' | '{') => {
                let open = Pending::Open { text: String::new(), line: self.line, column };
                self.pending = Some((slot, open));
                self.goes_on(rest);
            }
            Some(_) => {
                let plain = scalar::plain(rest);
                if scalar::is_null(plain) {
                    if let Slot::Item(at) = slot
                        && let Some(entry) = self.out.entries.get_mut(at)
                    {
                        entry.value = Value::NotFlat;
                    }
                    return;
                }
                let text = match slot {
                    Slot::Whole(_) => scalar::boolean(plain).unwrap_or(plain),
                    Slot::Item(_) => plain,
                };
                self.set(slot, text.strip_prefix('*').unwrap_or(text).to_owned());
                self.plain = Some((slot, indent));
            }
        }
    }

    fn set(&mut self, slot: Slot, text: String) {
        let Some(entry) = self.out.entries.get_mut(slot.entry()) else { return };
        match (slot, &mut entry.value) {
            (Slot::Item(_), Value::List(items)) => items.push(text),
            (Slot::Whole(_), value) => *value = Value::Scalar(text),
            (Slot::Item(_), _) => {}
        }
    }

    /// A line that is neither key nor item: it goes on a plain value, or stands astray.
    fn text(&mut self, rest: &str, indent: usize) {
        let waiting = self.frames.last().and_then(|frame| Some((frame.entry?, frame.indent?)));
        let going_on = self.plain.filter(|(_, column)| indent > *column).map(|(slot, _)| slot);
        let plain = scalar::plain(rest);
        if let Some(slot) = going_on {
            if let Some(entry) = self.out.entries.get_mut(slot.entry()) {
                match &mut entry.value {
                    Value::Scalar(text) => *text = format!("{text} {plain}"),
                    Value::List(items) => {
                        items.last_mut().into_iter().for_each(|text| *text = format!("{text} {plain}"))
                    }
                    _ => {}
                }
            }
            return;
        }
        // `key:` with its value alone on the next line.
        if let Some((at, column)) = waiting.filter(|(_, column)| indent > *column)
            && self.out.entries.get(at).is_some_and(|entry| entry.value == Value::Null)
        {
            return self.value(Slot::Whole(at), rest, column, indent);
        }
        self.out.strays.push(stray(rest, self.line, indent));
    }

    /// Gives the line to a value that is not finished; false when there is none, or it ends before this line.
    fn goes_on(&mut self, line: &str) -> bool {
        let Some((slot, pending)) = self.pending.take() else { return false };
        match pending {
            Pending::Block { indent, folded, mut lines } => {
                let inside = line.trim_matches([' ', '\t']).is_empty()
                    || line.len() - line.trim_start_matches(' ').len() > indent;
                if !inside {
                    self.set(slot, joined(&lines, folded));
                    return false;
                }
                lines.push(line.trim_start_matches(' ').to_owned());
                self.pending = Some((slot, Pending::Block { indent, folded, lines }));
            }
            Pending::Open { mut text, line: from, column } => {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(line);
                self.close(slot, text, from, column);
            }
        }
        true
    }

    /// Takes an open value if it is closed now, else keeps it open. One that runs on for too long is given up.
    fn close(&mut self, slot: Slot, text: String, line: usize, column: usize) {
        if self.line - line > MAX_OPEN_LINES || text.len() > MAX_OPEN_BYTES {
            return;
        }
        if text.starts_with(['[', '{']) {
            let Some(rest) = flow::balanced(&text) else {
                self.pending = Some((slot, Pending::Open { text, line, column }));
                return;
            };
            let inside = text.get(..text.len() - rest.len()).unwrap_or(&text);
            if flow::has_before_token(inside, &['\t']) {
                self.refuse(line, column, "a tab where only spaces may stand");
            }
            if flow::has_before_token(inside, &MARKS) {
                self.mark(line);
            }
            self.without_tabs(rest, column);
            return self.set_flow(slot, flow::read(inside), line);
        }
        let Some(read) = scalar::quoted(&text) else {
            self.pending = Some((slot, Pending::Open { text, line, column }));
            return;
        };
        self.without_tabs(read.rest, column);
        if scalar::escapes_slash(&text) {
            self.refuse(line, column, "\\/ between double quotes");
        }
        self.set(slot, folded_quote(&read.text));
    }

    fn mark(&mut self, line: usize) {
        self.out.marked.get_or_insert(line);
    }

    fn refuse(&mut self, line: usize, column: usize, message: &str) {
        self.out.refused.push(Fault { line, column: Some(column + 1), key: None, message: message.to_owned() });
    }

    fn set_flow(&mut self, slot: Slot, value: Flow, line: usize) {
        let at = slot.entry();
        let Some(entry) = self.out.entries.get_mut(at) else { return };
        let value = match (slot, value) {
            (Slot::Item(_), _) => Value::NotFlat,
            (Slot::Whole(_), Flow::List(items)) => flat(items),
            (Slot::Whole(_), Flow::Map(pairs)) => {
                entry.value = Value::Map;
                let (prefix, column) = (entry.key.clone(), entry.column);
                return self.add_pairs(&prefix, pairs, line, column);
            }
            (Slot::Whole(_), Flow::Scalar(text)) => Value::Scalar(text),
            (Slot::Whole(_), Flow::Null) => Value::Null,
        };
        entry.value = value;
    }

    fn add_pairs(&mut self, prefix: &str, pairs: Vec<(String, Flow)>, line: usize, column: usize) {
        let mut seen = BTreeMap::new();
        for (key, value) in pairs {
            let full = format!("{prefix}.{key}");
            if seen.insert(key, ()).is_some() {
                let message = format!("{full} is set twice");
                self.out.duplicates.push(Fault { line, column: Some(column), key: Some(full.clone()), message });
            }
            let (value, inner) = match value {
                Flow::Null => (Value::Null, None),
                Flow::Scalar(text) => (Value::Scalar(text), None),
                Flow::List(items) => (flat(items), None),
                Flow::Map(pairs) => (Value::Map, Some(pairs)),
            };
            self.out.entries.push(Entry { key: full.clone(), value, line, column });
            if let Some(pairs) = inner {
                self.add_pairs(&full, pairs, line, column);
            }
        }
    }

    fn finish(&mut self) {
        match self.pending.take() {
            Some((slot, Pending::Block { folded, lines, .. })) => self.set(slot, joined(&lines, folded)),
            Some((slot, Pending::Open { text, line, column })) => {
                let key = self.out.entries.get(slot.entry()).map(|entry| entry.key.clone());
                let what = if text.starts_with(['[', '{']) { "bracket" } else { "quote" };
                let message = format!("a {what} that is not closed");
                self.out.unclosed.push(Fault { line, column: Some(column + 1), key, message });
            }
            None => {}
        }
    }
}

fn flat(items: Vec<Flow>) -> Value {
    let texts: Option<Vec<String>> = items
        .into_iter()
        .map(|item| match item {
            Flow::Scalar(text) => Some(text),
            _ => None,
        })
        .collect();
    texts.map_or(Value::NotFlat, Value::List)
}

fn joined(lines: &[String], folded: bool) -> String {
    lines.join(if folded { " " } else { "\n" }).trim_end().to_owned()
}

/// A quoted value over several lines: each break becomes a space.
fn folded_quote(text: &str) -> String {
    if text.contains('\n') { text.split('\n').map(str::trim).collect::<Vec<_>>().join(" ") } else { text.to_owned() }
}

/// What follows a list's dash.
fn dash(rest: &str) -> Option<&str> {
    rest.strip_prefix('-').filter(|after| after.is_empty() || after.starts_with([' ', '\t']))
}

/// What follows `---` or `...`.
fn after_marker(rest: &str) -> Option<&str> {
    let after = rest.strip_prefix("---").or_else(|| rest.strip_prefix("..."))?;
    (after.is_empty() || after.starts_with([' ', '\t'])).then_some(after)
}

fn stray(rest: &str, line: usize, indent: usize) -> Fault {
    let name_end =
        rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))).unwrap_or(rest.len());
    let (name, after) = rest.split_at(name_end);
    let (key, column, message) = match after.chars().next() {
        Some(':') if !name.is_empty() => {
            (Some(name), indent + name_end + 1, format!("there is no space after the colon of {name}"))
        }
        Some('=') if !name.is_empty() => {
            (Some(name), indent + name_end + 1, format!("{name} is followed by = and not by a colon and a space"))
        }
        _ => (None, indent + 1, "this is neither `key: value` nor an item of a list".to_owned()),
    };
    Fault { line, column: Some(column), key: key.map(str::to_owned), message }
}
