//! Single values: quoted, plain, and where a key ends.

/// Text between quotes, and the rest of the line after the closing one.
pub struct Quoted<'a> {
    /// What stands between the quotes, escapes resolved.
    pub text: String,
    /// What follows the closing quote.
    pub rest: &'a str,
}

/// Reads a quoted scalar that begins `text`; none when it is not closed in it.
pub fn quoted(text: &str) -> Option<Quoted<'_>> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if quote == '\'' && chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
                out.push('\'');
            }
            '\\' if quote == '"' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push('\t'),
                Some((_, '0')) => out.push('\0'),
                Some((_, other)) => out.push(other),
                None => return None,
            },
            c if c == quote => return Some(Quoted { text: out, rest: text.get(at + 1..).unwrap_or_default() }),
            c => out.push(c),
        }
    }
    None
}

/// A plain scalar without its comment and surrounding white space.
pub(crate) fn plain(text: &str) -> &str {
    let mut end = text.len();
    let mut blank = true;
    for (at, c) in text.char_indices() {
        if c == '#' && blank {
            end = at;
            break;
        }
        blank = c == ' ' || c == '\t';
    }
    text.get(..end).unwrap_or(text).trim_matches([' ', '\t'])
}

/// True when nothing but white space and a comment is left.
pub(crate) fn is_blank(text: &str) -> bool {
    let trimmed = text.trim_start_matches([' ', '\t']);
    trimmed.is_empty() || trimmed.starts_with('#')
}

/// Splits `key: value`; the value keeps its leading white space. None when the line has no key.
pub fn key(text: &str) -> Option<(String, &str)> {
    if text.starts_with(['"', '\'']) {
        let read = quoted(text)?;
        let after = read.rest.trim_start_matches([' ', '\t']).strip_prefix(':')?;
        return ends_key(after).then_some((read.text, after));
    }
    if text.starts_with(['[', '{', '#', '|', '>', '@', '`', '%', ',', ']', '}']) {
        return None;
    }
    let mut blank = false;
    for (at, c) in text.char_indices() {
        if c == '#' && blank {
            return None;
        }
        if c == ':' {
            let after = text.get(at + 1..)?;
            if ends_key(after) {
                let key = text.get(..at)?.trim_end_matches([' ', '\t']);
                return Some((key.to_owned(), after));
            }
        }
        blank = c == ' ' || c == '\t';
    }
    None
}

fn ends_key(after: &str) -> bool {
    after.is_empty() || after.starts_with([' ', '\t'])
}

/// The spellings of nothing.
pub(crate) fn is_null(plain: &str) -> bool {
    matches!(plain, "" | "~" | "null" | "Null" | "NULL")
}

/// The words the loader reads as a boolean, as it then gives them.
pub(crate) fn boolean(plain: &str) -> Option<&'static str> {
    match plain {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some("true"),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some("false"),
        _ => None,
    }
}

/// True for a double-quoted scalar with `\/` in it, an escape of newer YAML than the loader's.
pub(crate) fn escapes_slash(text: &str) -> bool {
    let mut escaped = false;
    text.starts_with('"')
        && text.chars().any(|c| {
            let slash = escaped && c == '/';
            escaped = c == '\\' && !escaped;
            slash
        })
}
