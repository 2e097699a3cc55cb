//! One rule in a chain of nftables, marked with its plan's id so that it is found again whatever its handle.

use common_plan::{Label, Place, Refusal};

use super::firewall::Rules;
use crate::files;
use crate::tools;

const NFT: &str = "/usr/sbin/nft";

/// A chain and a place in it.
pub(super) struct Chain<'a> {
    pub(super) family: &'a Label,
    pub(super) table: &'a Label,
    pub(super) chain: &'a Label,
    pub(super) before: Option<&'a Place>,
    pub(super) reply: bool,
}

impl Chain<'_> {
    /// Whether the rule it goes before is where it was seen, and nft would take the new one.
    pub(super) fn observe(&self, rules: Rules<'_>) -> Result<(), Refusal> {
        let present = self.list(rules).map_err(Refusal::Impossible)?;
        if let Some(place) = self.before
            && self.handle(&present) != Some(place.number)
        {
            return Err(Refusal::Changed(format!("rule {} of chain {} is another", place.number, self.chain)));
        }
        if present.iter().any(|(_, rule)| is_marked(rule, &rules.mark())) {
            return Err(Refusal::Changed("its rule is there already".to_owned()));
        }
        self.insert(&present, &["--check"], rules).map_err(Refusal::Impossible)
    }

    /// The rule it goes before: the one that was seen, else the first that is as that was; a reload gives new handles.
    fn handle(&self, present: &[(u64, String)]) -> Option<u64> {
        let place = self.before?;
        let same = || present.iter().filter(|(_, rule)| *rule == normal(&place.rule)).map(|(handle, _)| *handle);
        same().find(|handle| *handle == place.number).or_else(|| same().next())
    }

    /// nft cannot compare and insert in one, so it is looked afterwards whether the rule stands before the one it was planned for:
    /// a ruleset that was loaded in between may have another one of the same handle.
    pub(super) fn open(&self, rules: Rules<'_>) -> Result<(), String> {
        self.insert(&self.list(rules)?, &[], rules)?;
        if self.stands_right(&self.list(rules)?, &rules.mark()) {
            return Ok(());
        }
        self.close(rules)?;
        Err(format!("chain {} was loaded anew a moment ago", self.chain))
    }

    fn stands_right(&self, present: &[(u64, String)], mark: &str) -> bool {
        let at = present.iter().position(|(_, rule)| is_marked(rule, mark));
        let next = at.and_then(|at| present.get(at + 1)).map(|(_, rule)| rule);
        at.is_some() && self.before.is_none_or(|place| next == Some(&normal(&place.rule)))
    }

    /// Deletes every rule marked with the plan's id. A chain that has gone took it along.
    pub(super) fn close(&self, rules: Rules<'_>) -> Result<(), String> {
        for (handle, _) in self.list_if_there(rules)?.iter().filter(|(_, rule)| is_marked(rule, &rules.mark())) {
            let [family, table, chain] = self.name();
            let arguments = ["delete", "rule", family, table, chain, "handle", &handle.to_string()];
            tools::run(rules.places, NFT, &arguments)?;
        }
        Ok(())
    }

    pub(super) fn is_open(&self, rules: Rules<'_>) -> Result<bool, String> {
        Ok(self.list_if_there(rules)?.iter().any(|(_, rule)| is_marked(rule, &rules.mark())))
    }

    fn name(&self) -> [&str; 3] {
        [self.family.as_str(), self.table.as_str(), self.chain.as_str()]
    }

    fn insert(&self, present: &[(u64, String)], options: &[&str], rules: Rules<'_>) -> Result<(), String> {
        let [family, table, chain] = self.name();
        let (source, port) = (rules.step.source.to_string(), rules.step.port.to_string());
        let handle = self.handle(present).map(|handle| handle.to_string());
        let verb = match (&handle, self.before) {
            (Some(_), _) => "insert",
            (None, None) => "add",
            (None, Some(_)) => return Err(format!("the rule it goes before is not in chain {chain}")),
        };
        let protocol = if rules.step.source.address().is_ipv4() { "ip" } else { "ip6" };
        let (address, end) = if self.reply { ("daddr", "sport") } else { ("saddr", "dport") };
        let comment = format!("\"{}\"", rules.mark());
        let mut arguments = [options, &[verb, "rule", family, table, chain]].concat();
        if let Some(handle) = &handle {
            arguments.extend(["handle", handle]);
        }
        arguments.extend([protocol, address, &source, "tcp", end, &port, "accept", "comment", &comment]);
        tools::run(rules.places, NFT, &arguments).map(|_| ())
    }

    /// The chain's rules and their handles, as nft shows them without counters.
    fn list(&self, rules: Rules<'_>) -> Result<Vec<(u64, String)>, String> {
        let [family, table, chain] = self.name();
        let arguments = ["--stateless", "--handle", "list", "chain", family, table, chain];
        let listing = tools::run(rules.places, NFT, &arguments)?;
        Ok(listing.lines().filter_map(rule).collect())
    }

    fn list_if_there(&self, rules: Rules<'_>) -> Result<Vec<(u64, String)>, String> {
        match self.list(rules) {
            Err(error) if error.contains("Error: No such file or directory") => Ok(Vec::new()),
            rules => rules,
        }
    }
}

/// Whether nft would load a script: one that it does not take would leave the node without a firewall at the next boot.
pub(super) fn check(script: &str, rules: Rules<'_>) -> Result<(), String> {
    let draft = rules.places.run().join("nftables.conf");
    files::write(&draft, script.as_bytes(), 0o600).map_err(|error| format!("{}: {error}", draft.display()))?;
    let checked = tools::run(rules.places, NFT, &["--check", "--file", &draft.display().to_string()]);
    files::remove(&draft).map_err(|error| format!("{}: {error}", draft.display()))?;
    checked.map(|_| ())
}

/// `RULE # handle N`; the heads of the table and the chain end with a brace before it.
fn rule(line: &str) -> Option<(u64, String)> {
    let (rule, handle) = line.trim().rsplit_once(" # handle ")?;
    (!rule.ends_with('{')).then_some((handle.parse().ok()?, normal(rule)))
}

/// Without what a counter has counted, which changes all the time.
fn normal(rule: &str) -> String {
    let words: Vec<&str> = rule.split(' ').collect();
    let mut kept: Vec<&str> = Vec::new();
    let mut rest = words.as_slice();
    while let [word, tail @ ..] = rest {
        kept.push(word);
        rest = match (word, tail) {
            (&"counter", ["packets", _, "bytes", _, after @ ..]) => after,
            _ => tail,
        };
    }
    kept.join(" ")
}

fn is_marked(rule: &str, mark: &str) -> bool {
    rule.ends_with(&format!(" comment \"{mark}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_with_their_handles_and_without_counts() {
        let listing = "table inet filter { # handle 1\n\tchain input { # handle 2\n\t\ttype filter hook input priority filter; policy drop;\n\
                       \t\tip saddr 10.0.0.0/8 counter packets 5 bytes 300 drop comment \"a # handle 3\" # handle 7\n\t}\n}\n";
        let rules: Vec<_> = listing.lines().filter_map(rule).collect();
        assert_eq!(rules, [(7, "ip saddr 10.0.0.0/8 counter drop comment \"a # handle 3\"".to_owned())]);
    }

    #[test]
    fn only_its_own_mark_counts() {
        let mark = "dialtone-0123456789abcdef";
        assert!(is_marked("tcp dport 9200 accept comment \"dialtone-0123456789abcdef\"", mark));
        assert!(!is_marked("tcp dport 9200 accept comment \"dialtone-0123456789abcde0\"", mark));
    }
}
