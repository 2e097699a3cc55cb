//! iptables-save's lines (and those of `iptables -S`, which are the same without tables' names).

use std::collections::BTreeMap;

use super::{Iptables, options, target};
use crate::Parsed;
use crate::firewall::ruleset::{Base, Chain, Family, Hook, Rule, Step, Table, Tool};
use crate::parse_json;
use crate::source::FileRead;

/// Reads the output of a save program.
pub(super) fn saved(raw: &[u8], subject: &str) -> Parsed<Iptables> {
    let family = if subject.ends_with('6') { Family::Ip6 } else { Family::Ip };
    let tool = if subject.starts_with("legacy") { Tool::IptablesLegacy } else { Tool::Iptables };
    let text = String::from_utf8_lossy(raw);
    let mut iptables = Iptables::default();
    let mut problems = Vec::new();
    let mut open = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('#') {
            iptables.of_nftables |=
                line.contains("(nf_tables)") || line.contains("nft-save") || line.contains("xtables-save");
        } else if let Some(name) = line.strip_prefix('*') {
            iptables.tables.push(table(family, tool, name));
            open = true;
        } else if line == "COMMIT" {
            open = false;
        } else if !line.is_empty() {
            if iptables.tables.is_empty() {
                iptables.tables.push(table(family, tool, "filter"));
            }
            if let Some(table) = iptables.tables.last_mut() {
                problems.extend(take(table, line));
            }
        }
    }
    if open {
        iptables.cut = Some("the iptables ruleset was read in part: the last table has no end".to_owned());
    } else if let Some(problem) = problems.first() {
        iptables.cut = Some(format!("the iptables ruleset was not understood: {problem}"));
    }
    link(&mut iptables.tables, &text);
    Parsed { value: iptables, problems }
}

fn table(family: Family, tool: Tool, name: &str) -> Table {
    Table {
        family,
        name: name.trim().to_owned(),
        handle: 0,
        tool,
        dormant: false,
        chains: Vec::new(),
        sets: BTreeMap::new(),
    }
}

/// Takes a line in; rules wait until all chains of the table are known, as a target may be a chain that comes later.
fn take(table: &mut Table, line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let declared = match first.strip_prefix(':') {
        Some(name) => Some((name, words.next().unwrap_or("-"))),
        None if first == "-P" => Some((words.next()?, words.next().unwrap_or("ACCEPT"))),
        None if first == "-N" => Some((words.next()?, "-")),
        None => None,
    };
    if let Some((name, policy)) = declared {
        let base = (policy != "-").then(|| base(&table.name, name, policy == "DROP")).flatten();
        table.chains.push(Chain { name: name.to_owned(), handle: 0, base, rules: Vec::new() });
        return None;
    }
    (!first.starts_with('[') && first != "-A").then(|| format!("a line that is no rule: {line:.80}"))
}

/// Adds every table's rules, now that its chains are known.
fn link(tables: &mut [Table], text: &str) {
    let mut current = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('*') {
            current = Some(current.map_or(0, |index: usize| index + 1));
            continue;
        }
        let Some(table) = tables.get_mut(current.unwrap_or(0)) else { continue };
        let line = without_counters(line);
        let parsed = appended(line, &|name| table.chain(name).is_some());
        let Some((name, steps)) = parsed else { continue };
        let rule = Rule { steps, text: line.to_owned(), handle: None, counted: true };
        match table.chains.iter_mut().find(|chain| chain.name == name) {
            Some(chain) => chain.rules.push(rule),
            None => {
                let base = base(&table.name, &name, false);
                table.chains.push(Chain { name, handle: 0, base, rules: vec![rule] });
            }
        }
    }
}

fn without_counters(line: &str) -> &str {
    match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, rule)) => rule.trim_start(),
        None => line,
    }
}

/// The chain and steps of an `-A` line.
pub(super) fn appended(line: &str, is_chain: &dyn Fn(&str) -> bool) -> Option<(String, Vec<Step>)> {
    let words = words(line);
    let mut words = words.iter().map(String::as_str);
    if words.next()? != "-A" {
        return None;
    }
    let chain = words.next()?.to_owned();
    let rest: Vec<&str> = words.collect();
    let (mut steps, target) = options::steps(&rest);
    steps.extend(target::steps(&target, is_chain));
    Some((chain, steps))
}

/// Words of a line; quotes hold white space together, a backslash takes the next character as it is.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(chars.next()),
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Where a built-in chain hooks in; priorities as in `linux/netfilter_ipv4.h`.
fn base(table: &str, chain: &str, drops: bool) -> Option<Base> {
    let hook = Hook::from_word(chain).filter(|_| chain.chars().all(|c| c.is_ascii_uppercase()))?;
    let priority = match (table, hook) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", Hook::Prerouting | Hook::Output) => -100,
        ("nat", _) => 100,
        ("security", _) => 50,
        _ => 0,
    };
    Some(Base { nat: table == "nat", hook, priority, drops, devices: Vec::new() })
}

/// Reads `/proc/net/ip_tables_names` and `/proc/net/ip6_tables_names`.
pub(super) fn legacy_tables(raw: &[u8]) -> Parsed<Iptables> {
    let Parsed { value: files, mut problems } = parse_json::<Vec<FileRead>>(raw);
    let mut iptables = Iptables::default();
    for file in files {
        let family = if file.path.ends_with("/ip6_tables_names") { "ip6" } else { "ip" };
        iptables.legacy.extend(file.text.lines().map(|name| (family.to_owned(), name.trim().to_owned())));
        if let Some(error) = file.error {
            problems.push(format!("{}: {error}", file.path));
            iptables.cut = Some(format!("whether there are tables of iptables-legacy is not known: {error}"));
        }
    }
    Parsed { value: iptables, problems }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(
            words(r#"-A INPUT -m comment --comment "say \"no\" \\ twice" -j DROP"#),
            ["-A", "INPUT", "-m", "comment", "--comment", r#"say "no" \ twice"#, "-j", "DROP"]
        );
        assert_eq!(words(r#"--log-prefix "" x"#), ["--log-prefix", "", "x"]);
    }

    #[test]
    fn a_cut_or_broken_listing_says_so() {
        let raw = include_bytes!("fixtures/docker.txt");
        assert_eq!(saved(raw, "ip").value.cut, None);
        let end = raw.windows(6).rposition(|window| window == b"COMMIT").unwrap();
        let start = raw.windows(4).rposition(|window| window == b"*nat").unwrap();
        for cut in (start + 5..end).step_by(31) {
            assert!(saved(&raw[..cut], "ip").value.cut.is_some(), "{cut}");
        }
        assert!(saved(b"*filter\n\xff\xfe -A\nCOMMIT\n", "ip").value.cut.is_some());
    }

    #[test]
    fn reads_what_iptables_lists_as_commands() {
        let parsed = saved(b"-P INPUT DROP\n-N es\n-A INPUT -j es\n-A es -s 10.0.0.0/8 -j ACCEPT\n", "ip");
        assert_eq!(parsed.problems, Vec::<String>::new());
        let table = &parsed.value.tables[0];
        assert!(table.chain("INPUT").unwrap().base.as_ref().unwrap().drops);
        assert_eq!(table.chain("es").unwrap().rules.len(), 1);
    }
}
