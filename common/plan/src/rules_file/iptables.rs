//! The format of `iptables-save`.

use super::Rule;
use crate::step::Place;

pub(super) fn insert(
    content: &str,
    table: &str,
    chain: &str,
    before: Option<&Place>,
    reply: bool,
    rule: &Rule,
) -> Option<String> {
    let mut section = "";
    let mut has_chain = false;
    let mut at = 0;
    for line in content.split_inclusive('\n') {
        let text = line.trim();
        if let Some(name) = text.strip_prefix('*') {
            section = name;
        } else if section == table {
            has_chain |= text.strip_prefix(':').and_then(|rest| rest.split(' ').next()) == Some(chain);
            // After all rules of the chain is the end of the table, too.
            if before.map_or(text == "COMMIT" && has_chain, |place| text == place.rule) {
                let (head, tail) = content.split_at_checked(at)?;
                return Some(format!("{head}{}\n{tail}", line_of(chain, reply, rule)));
            }
        }
        at += line.len();
    }
    None
}

fn line_of(chain: &str, reply: bool, rule: &Rule) -> String {
    let Rule { source, port, mark } = rule;
    let (address, end) = if reply { ("-d", "--sport") } else { ("-s", "--dport") };
    format!("-A {chain} {address} {source} -p tcp -m tcp {end} {port} -m comment --comment {mark} -j ACCEPT")
}

pub(super) fn remove(content: &str, mark: &str) -> String {
    let is_marked = |line: &&str| line.split_whitespace().any(|word| word.trim_matches('"') == mark);
    content.split_inclusive('\n').filter(|line| !is_marked(line)).collect()
}
