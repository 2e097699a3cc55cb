//! `user.rules` of ufw: for each rule a line that notes what its user said, which is all that ufw itself reads, and the lines
//! that are loaded. A comment is noted in hex.

use std::fmt::Write;

use super::Rule;
use crate::step::Place;

const TUPLE: &str = "### tuple ### ";

pub(super) fn insert(content: &str, before: Option<&Place>, rule: &Rule) -> Option<String> {
    let Rule { source, port, mark } = rule;
    let (anywhere, chain) =
        if source.address().is_ipv4() { ("0.0.0.0/0", "ufw-user-input") } else { ("::/0", "ufw6-user-input") };
    let note = format!("{TUPLE}allow tcp {port} {anywhere} any {source} in");
    // ufw has no rule twice; one that an administrator made stays theirs.
    if content.lines().any(|line| without_comment(line.trim()) == note) {
        return None;
    }
    let at = match before {
        Some(place) => format!("{TUPLE}{}", place.rule),
        None => "### END RULES ###".to_owned(),
    };
    let mut places = lines(content).filter(|(_, line)| line.trim() == at);
    let ((at, _), None) = (places.next()?, places.next()) else { return None };
    let (head, tail) = content.split_at_checked(at)?;
    let loaded = format!("-A {chain} -p tcp --dport {port} -s {source} -m comment --comment {mark} -j ACCEPT");
    Some(format!("{head}{note} comment={}\n{loaded}\n\n{tail}", hex(mark)))
}

/// Takes out the note, what is loaded for it, and the blank line after.
pub(super) fn remove(content: &str, mark: &str) -> String {
    let comment = format!(" comment={}", hex(mark));
    let mut kept = String::with_capacity(content.len());
    let mut own = false;
    for (_, line) in lines(content) {
        let text = line.trim();
        if text.starts_with("###") {
            own = text.starts_with(TUPLE) && text.ends_with(&comment);
        }
        if !own {
            kept.push_str(line);
        }
        own &= !text.is_empty();
    }
    kept
}

fn without_comment(note: &str) -> &str {
    note.split_once(" comment=").map_or(note, |(note, _)| note)
}

fn lines(content: &str) -> impl Iterator<Item = (usize, &str)> {
    content.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line))
    })
}

pub(super) fn hex(mark: &str) -> String {
    mark.bytes().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}
