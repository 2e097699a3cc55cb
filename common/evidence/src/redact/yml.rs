//! Secrets in the engines' yml, line for line: a value stays only where its key is known to hold none.

use super::{HIDDEN, keys, text};
use common_yml::{Flow, balanced, quoted, read_flow, split_key};

/// Replaces every value whose key is not known to be public, wherever it goes on; keys, structure and line numbers stay.
pub fn yml(input: &str) -> String {
    let mut redactor = Redactor { keys: Vec::new(), inside: None };
    let mut out = String::with_capacity(input.len());
    for piece in input.split_inclusive('\n') {
        let line = piece.trim_end_matches(['\n', '\r']);
        let end = piece.get(line.len()..).unwrap_or_default();
        let (mark, line) = line.strip_prefix('\u{feff}').map_or(("", line), |rest| ("\u{feff}", rest));
        out.push_str(mark);
        out.push_str(&redactor.line(line));
        out.push_str(end);
    }
    out
}

/// [`HIDDEN`], as a value of its own in any place.
const QUOTED: &str = "\"[redacted]\"";
/// In place of a line that goes on a value whose first line was hidden whole.
const HIDDEN_LINE: &str = "# [redacted]";

/// An open bracket or quote is looked for this many lines; longer ones are hidden to the end.
const MAX_OPEN_LINES: usize = 200;

/// A value that goes on in the next lines.
struct Inside {
    /// Column of its key or dash: a block ends at a line that is not deeper.
    indent: usize,
    public: bool,
    /// What was read of an open bracket or quote, and in how many lines; none in a block scalar.
    open: Option<(String, usize)>,
}

/// A key above.
struct Above {
    indent: usize,
    name: String,
    /// Whether its own value, in its line, is public; none when it has none and holds settings.
    value: Option<bool>,
}

struct Redactor {
    keys: Vec<Above>,
    inside: Option<Inside>,
}

impl Redactor {
    fn line(&mut self, line: &str) -> String {
        let body = line.trim_start_matches([' ', '\t']);
        let (space, indent) = (line.get(..line.len() - body.len()).unwrap_or_default(), line.len() - body.len());
        if body.is_empty() {
            return line.to_owned();
        }
        if let Some(shown) = self.goes_on(space, body) {
            return shown;
        }
        if let Some(comment) = body.strip_prefix('#') {
            return format!("{space}#{}", self::comment(comment));
        }
        if body == "---" || body == "..." {
            return line.to_owned();
        }
        if let Some(after) = body.strip_prefix('-').filter(|after| after.is_empty() || after.starts_with([' ', '\t'])) {
            self.keys.retain(|above| above.indent <= indent);
            let owner = self.keys.last().map(|above| above.name.clone()).unwrap_or_default();
            // A map in a list is no setting: nothing is known of its keys.
            let public = keys::is_public(&owner) && split_key(after.trim_start()).is_none();
            let shown = self.value(after, &owner, public, indent).0;
            // Bare it would be a list in a list, which no setting can be.
            return format!("{space}-{}", if shown.trim() == HIDDEN { shown.replace(HIDDEN, QUOTED) } else { shown });
        }
        self.setting(space, body, indent)
    }

    fn setting(&mut self, space: &str, body: &str, indent: usize) -> String {
        let key = split_key(body);
        let deeper = |above: &Above| if key.is_some() { above.indent < indent } else { above.indent <= indent };
        self.keys.retain(deeper);
        let above = self.keys.last().filter(|above| above.indent < indent);
        // Below a value there are no settings: this goes on the value, or is out of place.
        if above.is_some_and(|above| above.value == Some(false)) {
            return format!("{space}{HIDDEN_LINE}");
        }
        let Some((key, after)) = key else {
            return format!("{space}{}", stray(body));
        };
        let name = match above {
            Some(above) if above.value.is_none() => format!("{}.{key}", above.name),
            _ => key,
        };
        let shown_key = body.get(..body.len() - after.len()).unwrap_or_default();
        let (shown, value) = self.value(after, &name, keys::is_public(&name), indent);
        self.keys.push(Above { indent, name, value });
        // The colon apart: to `text` it would announce the value of a key that is called a password.
        let (name, colon) = shown_key.split_at(shown_key.rfind(':').unwrap_or(shown_key.len()));
        format!("{space}{}{colon}{shown}", text(name))
    }

    /// The value behind a key or dash, with its leading white space, and whether it was let through.
    fn value(&mut self, after: &str, key: &str, public: bool, indent: usize) -> (String, Option<bool>) {
        let value = after.trim_start_matches([' ', '\t']);
        let space = after.get(..after.len() - value.len()).unwrap_or_default();
        if value.is_empty() {
            return (after.to_owned(), None);
        }
        if let Some(comment) = value.strip_prefix('#') {
            return (format!("{space}#{}", self::comment(comment)), None);
        }
        let public = match value.chars().next() {
            Some('{') => flow_is_public(value, key),
            Some('[') => public && is_plain_list(value),
            _ => public,
        };
        let block = value.starts_with(['|', '>']);
        let open = value.starts_with(['"', '\'', '[', '{']) && !is_closed(value);
        if block || open {
            self.inside = Some(Inside { indent, public: public && open, open: open.then(|| (value.to_owned(), 1)) });
        }
        let shown = match (public, block) {
            // The head of a block scalar is an indicator and nothing else.
            (_, true) => value.split([' ', '\t']).next().unwrap_or_default().chars().take(3).collect(),
            (true, false) => public_text(value),
            (false, false) => HIDDEN.to_owned(),
        };
        (format!("{space}{shown}"), Some(public))
    }

    /// A line of a value that began before; none when that value has ended.
    fn goes_on(&mut self, space: &str, body: &str) -> Option<String> {
        let inside = self.inside.as_mut()?;
        match &mut inside.open {
            None if space.len() <= inside.indent => {
                self.inside = None;
                return None;
            }
            None => {}
            Some((open, lines)) => {
                // A quote or bracket nobody closed swallows the settings below it: those are judged as settings.
                if inside.public && (split_key(body).is_some() || *lines > MAX_OPEN_LINES) {
                    self.inside = None;
                    return None;
                }
                // Only lists are public over several lines.
                let inside_public = inside.public;
                let public = inside_public && open.starts_with('[') && is_plain_list(body);
                if *lines <= MAX_OPEN_LINES {
                    open.push('\n');
                    open.push_str(body);
                    *lines += 1;
                    if is_closed(open) {
                        self.inside = None;
                    }
                }
                let hidden = if inside_public { HIDDEN } else { HIDDEN_LINE };
                return Some(format!("{space}{}", if public { public_text(body) } else { hidden.to_owned() }));
            }
        }
        Some(format!("{space}{HIDDEN}"))
    }
}

/// A public value, and the comment behind it.
fn public_text(value: &str) -> String {
    match value.find(" #").or_else(|| value.find("\t#")) {
        Some(at) => {
            let (head, tail) = value.split_at(at);
            let (mark, inner) = tail.split_at(2);
            format!("{}{mark}{}", text(head), comment(inner))
        }
        None => text(value),
    }
}

fn is_closed(value: &str) -> bool {
    if value.starts_with(['[', '{']) { balanced(value).is_some() } else { quoted(value).is_some() }
}

/// True for (a part of) a list in brackets that holds no maps.
fn is_plain_list(value: &str) -> bool {
    let value = value.replace("${", "");
    !value.contains('{') && !value.contains(": ")
}

/// `{host: 0.0.0.0}` below `network`: every key in it has to be public.
fn flow_is_public(value: &str, key: &str) -> bool {
    let Some(rest) = balanced(value).filter(|_| value.starts_with('{')) else { return false };
    let inside = value.get(..value.len() - rest.len()).unwrap_or_default();
    rest.trim().is_empty() && every_key_is_public(&read_flow(inside), key)
}

fn every_key_is_public(flow: &Flow, key: &str) -> bool {
    match flow {
        Flow::Map(pairs) => {
            !pairs.is_empty() && pairs.iter().all(|(name, value)| every_key_is_public(value, &format!("{key}.{name}")))
        }
        Flow::List(items) => keys::is_public(key) && items.iter().all(|item| matches!(item, Flow::Scalar(_))),
        Flow::Scalar(_) | Flow::Null => keys::is_public(key),
    }
}

/// A comment: a setting that is commented out is judged as a setting, prose that speaks of secrets goes.
fn comment(inner: &str) -> String {
    let body = inner.trim_start_matches(['#', ' ', '\t', '-']);
    let lead = inner.get(..inner.len() - body.len()).unwrap_or_default();
    if let Some((key, value)) = split_key(body)
        && !key.contains(' ')
        && !value.trim().is_empty()
    {
        let shown = if keys::is_public(&key) { text(body) } else { format!("{}: {HIDDEN}", text(&key)) };
        return format!("{lead}{shown}");
    }
    if keys::is_secret(body) { format!("{lead}{HIDDEN}") } else { format!("{lead}{}", text(body)) }
}

/// A line that is no setting; one that was meant as one (`key:value`, `key=value`) keeps its key.
fn stray(body: &str) -> String {
    let end = body.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))).unwrap_or(body.len());
    let (name, after) = body.split_at(end);
    let value = after.trim_start_matches([' ', ':', '=']);
    let between = after.get(..after.len() - value.len()).unwrap_or_default();
    if between.is_empty() || !between.contains([':', '=']) || !name.contains(['.', '_']) {
        return HIDDEN.to_owned();
    }
    if keys::is_public(name) { text(body) } else { format!("{name}{between}{HIDDEN}") }
}
