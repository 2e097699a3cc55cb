//! Flow style: `[a, b]` and `{a: b}`.

use crate::scalar;

/// Nesting that is followed; deeper is taken as text.
const MAX_DEPTH: usize = 32;

/// A value in flow style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// Nothing.
    Null,
    /// One value.
    Scalar(String),
    /// `[…]`
    List(Vec<Flow>),
    /// `{…}`
    Map(Vec<(String, Flow)>),
}

/// Whether `text`, which begins with a bracket, closes it; then the rest after it.
pub fn balanced(text: &str) -> Option<&str> {
    let mut depth = 0usize;
    let mut at = 0;
    let mut fresh = true;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        match c {
            '"' | '\'' if fresh => {
                let read = scalar::quoted(text.get(at..)?)?;
                at = text.len() - read.rest.len();
                fresh = false;
                continue;
            }
            '#' if text.get(..at).is_some_and(|before| before.ends_with([' ', '\t', '\n'])) => {
                at += text.get(at..)?.find('\n').unwrap_or(text.len() - at);
                continue;
            }
            '[' | '{' => depth += 1,
            ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return text.get(at + 1..);
                }
            }
            _ => {}
        }
        fresh = matches!(c, '[' | '{' | ',' | ':') || (fresh && c.is_whitespace());
        at += c.len_utf8();
    }
    None
}

/// True when one of these characters stands where a token may begin; inside and behind a plain value it may.
pub(crate) fn has_before_token(text: &str, unwanted: &[char]) -> bool {
    let mut at = 0;
    let mut in_plain = false;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        match c {
            c if !in_plain && unwanted.contains(&c) => return true,
            '"' | '\'' if !in_plain => {
                let Some(read) = text.get(at..).and_then(scalar::quoted) else { return false };
                at = text.len() - read.rest.len();
                continue;
            }
            '#' if !in_plain => {
                at += text.get(at..).and_then(|rest| rest.find('\n')).unwrap_or(text.len() - at);
                continue;
            }
            '[' | '{' | ',' | ']' | '}' | '\n' => in_plain = false,
            ':' if text.get(at + 1..).is_some_and(|rest| rest.starts_with([' ', '\t'])) => in_plain = false,
            ' ' | '\t' => {}
            _ => in_plain = true,
        }
        at += c.len_utf8();
    }
    false
}

/// Reads a balanced flow value.
pub fn read(text: &str) -> Flow {
    let mut reader = Reader { rest: text };
    reader.value(0)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return;
            }
            self.rest = self.rest.find('\n').and_then(|end| self.rest.get(end..)).unwrap_or_default();
        }
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Flow {
        self.skip_space();
        if depth >= MAX_DEPTH {
            return Flow::Scalar(std::mem::take(&mut self.rest).to_owned());
        }
        if self.eat('[') {
            return self.list(depth);
        }
        if self.eat('{') {
            return self.map(depth);
        }
        match scalar::quoted(self.rest) {
            Some(read) => {
                self.rest = read.rest;
                Flow::Scalar(read.text)
            }
            None => self.plain(),
        }
    }

    fn list(&mut self, depth: usize) -> Flow {
        let mut items = Vec::new();
        while !self.rest.is_empty() && !self.eat(']') {
            let item = self.value(depth + 1);
            // `[a: b]` is a list of one map.
            if self.eat(':') {
                let value = self.value(depth + 1);
                items.push(Flow::Map(vec![(text_of(&item), value)]));
            } else {
                items.push(item);
            }
            if !self.eat(',') && !self.rest.starts_with(']') {
                self.skip_stray();
            }
        }
        Flow::List(items)
    }

    fn map(&mut self, depth: usize) -> Flow {
        let mut pairs = Vec::new();
        while !self.rest.is_empty() && !self.eat('}') {
            let key = text_of(&self.value(depth + 1));
            let value = if self.eat(':') { self.value(depth + 1) } else { Flow::Null };
            pairs.push((key, value));
            if !self.eat(',') && !self.rest.starts_with('}') {
                self.skip_stray();
            }
        }
        Flow::Map(pairs)
    }

    /// A character that cannot stand here; passing over it makes every loop end.
    fn skip_stray(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    fn plain(&mut self) -> Flow {
        let mut end = self.rest.len();
        let mut before = ' ';
        let mut placeholder = false;
        for (at, c) in self.rest.char_indices() {
            // `${NAME}` is one piece, whatever stands in it.
            placeholder = (placeholder && before != '}') || (c == '{' && before == '$');
            if placeholder {
                before = c;
                continue;
            }
            let after = self.rest.get(at + c.len_utf8()..).and_then(|rest| rest.chars().next());
            let ends_key = c == ':'
                && after.is_none_or(|next| next.is_whitespace() || matches!(next, ',' | '[' | ']' | '{' | '}'));
            if matches!(c, ',' | '[' | ']' | '{' | '}') || ends_key || (c == '#' && before.is_whitespace()) {
                end = at;
                break;
            }
            before = c;
        }
        let (plain, rest) = self.rest.split_at(end);
        self.rest = rest;
        let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        if scalar::is_null(&plain) { Flow::Null } else { Flow::Scalar(plain) }
    }
}

fn text_of(flow: &Flow) -> String {
    match flow {
        Flow::Scalar(text) => text.clone(),
        _ => String::new(),
    }
}
