//! Secrets in what programs read: rules of firewalls and XML. What is hidden there must not take a quote or a bracket with it.

use super::text::pem;
use super::{HIDDEN, keys, text};

/// Rules of iptables, nftables and ufw, and the comments among them.
pub(crate) fn rules(input: &str) -> String {
    let rule = |line: &str| pieces(&noted(line), &['"', '\'']);
    pem(input).split_inclusive('\n').map(|line| remark(line).unwrap_or_else(|| rule(line))).collect()
}

/// Text with comments.
pub(crate) fn commented(input: &str) -> String {
    text(input).split_inclusive('\n').map(|line| remark(line).unwrap_or_else(|| line.to_owned())).collect()
}

/// A line that is a comment and speaks of secrets, in whatever words; none for others.
fn remark(line: &str) -> Option<String> {
    let body = line.trim_start().strip_prefix(['#', ';']).filter(|body| !body.starts_with("## tuple ###"))?;
    let end = if body.ends_with('\n') { "\n" } else { "" };
    keys::is_secret(body).then(|| format!("# {HIDDEN}{end}"))
}

/// XML.
pub(crate) fn markup(input: &str) -> String {
    pieces(&pem(input), &['<', '>', '"', '\''])
}

/// Judges what stands between two of these marks by itself, and as the value of what stands before it: `password="x"`.
fn pieces(input: &str, marks: &[char]) -> String {
    let mut out = String::with_capacity(input.len());
    let mut read = 0;
    for piece in input.split_inclusive(marks) {
        let body = piece.strip_suffix(marks).unwrap_or(piece);
        match is_announced(input.get(..read).unwrap_or_default()) && !is_between(body) {
            true => out.push_str(HIDDEN),
            false => out.push_str(&text(body)),
        }
        out.push_str(piece.get(body.len()..).unwrap_or_default());
        read += piece.len();
    }
    out
}

/// Whether the value of something secret comes next: after `password = "`.
fn is_announced(before: &str) -> bool {
    let quote = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\');
    let name = before.trim_end_matches(quote).strip_suffix(['=', ':']).map(|before| before.trim_end_matches(quote));
    name.and_then(|name| name.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.')).next_back())
        .is_some_and(keys::is_secret)
}

/// Nothing but what stands between a name and its value.
fn is_between(body: &str) -> bool {
    body.chars().all(|c| c.is_whitespace() || matches!(c, '=' | ':' | '\\' | '>'))
}

/// ufw's note of a rule, which has the comment in hexadecimal digits.
fn noted(line: &str) -> String {
    const MARK: &str = " comment=";
    let Some((head, rest)) = line.split_once(MARK).filter(|(head, _)| head.starts_with("### tuple ###")) else {
        return line.to_owned();
    };
    let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    let (digits, tail) = rest.split_at(end);
    let comment = bytes(digits).map(|bytes| text(&String::from_utf8_lossy(&bytes))).unwrap_or_default();
    let digits: String = comment.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{head}{MARK}{digits}{tail}")
}

/// None where they are no pairs.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok())
        .collect()
}
