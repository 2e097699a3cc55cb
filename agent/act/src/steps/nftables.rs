//! One rule in a chain of nftables, marked with its plan's id so that it is found again whatever its handle.

use common_plan::{FirewallAllow, Label, Place, PlanId, Refusal};

use super::firewall::mark;
use crate::places::Places;
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
    pub(super) fn observe(&self, step: &FirewallAllow, id: &PlanId, places: &Places) -> Result<(), Refusal> {
        let rules = self.rules(places).map_err(Refusal::Impossible)?;
        if let Some(place) = self.before {
            let found = rules.iter().find(|(handle, _)| *handle == place.number).map(|(_, rule)| rule);
            if found != Some(&normal(&place.rule)) {
                return Err(Refusal::Changed(format!("rule {} of chain {} is another", place.number, self.chain)));
            }
        }
        if rules.iter().any(|(_, rule)| is_marked(rule, id)) {
            return Err(Refusal::Changed("its rule is there already".to_owned()));
        }
        self.insert(step, id, &["--check"], places).map_err(Refusal::Impossible)
    }

    pub(super) fn open(&self, step: &FirewallAllow, id: &PlanId, places: &Places) -> Result<(), String> {
        self.insert(step, id, &[], places)
    }

    /// Deletes every rule marked with the plan's id. A chain that has gone took it along.
    pub(super) fn close(&self, id: &PlanId, places: &Places) -> Result<(), String> {
        let rules = match self.rules(places) {
            Err(error) if error.contains("Error: No such file or directory") => return Ok(()),
            rules => rules?,
        };
        for (handle, _) in rules.iter().filter(|(_, rule)| is_marked(rule, id)) {
            let [family, table, chain] = self.name();
            tools::run(places, NFT, &["delete", "rule", family, table, chain, "handle", &handle.to_string()])?;
        }
        Ok(())
    }

    fn name(&self) -> [&str; 3] {
        [self.family.as_str(), self.table.as_str(), self.chain.as_str()]
    }

    fn insert(&self, step: &FirewallAllow, id: &PlanId, options: &[&str], places: &Places) -> Result<(), String> {
        let [family, table, chain] = self.name();
        let source = step.source.to_string();
        let port = step.port.to_string();
        let handle = self.before.map(|place| place.number.to_string());
        let protocol = if step.source.address().is_ipv4() { "ip" } else { "ip6" };
        let (address, end) = if self.reply { ("daddr", "sport") } else { ("saddr", "dport") };
        let comment = format!("\"{}\"", mark(id));
        let verb = if handle.is_some() { "insert" } else { "add" };
        let mut arguments = [options, &[verb, "rule", family, table, chain]].concat();
        if let Some(handle) = &handle {
            arguments.extend(["handle", handle]);
        }
        arguments.extend([protocol, address, &source, "tcp", end, &port, "accept", "comment", &comment]);
        tools::run(places, NFT, &arguments).map(|_| ())
    }

    /// The chain's rules and their handles, as nft shows them without counters.
    fn rules(&self, places: &Places) -> Result<Vec<(u64, String)>, String> {
        let [family, table, chain] = self.name();
        let listing = tools::run(places, NFT, &["--stateless", "--handle", "list", "chain", family, table, chain])?;
        Ok(listing.lines().filter_map(rule).collect())
    }
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

fn is_marked(rule: &str, id: &PlanId) -> bool {
    rule.ends_with(&format!(" comment \"{}\"", mark(id)))
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
        let id: PlanId = "0123456789abcdef".parse().unwrap();
        assert!(is_marked("tcp dport 9200 accept comment \"dialtone-0123456789abcdef\"", &id));
        assert!(!is_marked("tcp dport 9200 accept comment \"dialtone-0123456789abcde0\"", &id));
    }
}
