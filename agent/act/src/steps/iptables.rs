//! One rule in a chain of iptables on nftables, marked with its plan's id.

use common_plan::Refusal;

use super::firewall::Rules;
use crate::tools;

/// A chain and a place in it.
pub(super) struct Chain<'a> {
    pub(super) table: &'a str,
    pub(super) chain: &'a str,
    /// The number of the rule it goes before, from 1, and that rule where it has to be a certain one.
    pub(super) before: Option<(u64, Option<&'a str>)>,
    pub(super) reply: bool,
}

impl Chain<'_> {
    /// Whether the rule it goes before is where it was seen.
    pub(super) fn observe(&self, rules: Rules<'_>) -> Result<(), Refusal> {
        let present = self.list(rules).map_err(Refusal::Impossible)?;
        if let Some((number, Some(_))) = self.before
            && self.number(&present) != Some(number)
        {
            return Err(Refusal::Changed(format!("rule {number} of chain {} is another", self.chain)));
        }
        if present.iter().any(|rule| is_marked(rule, &rules.mark())) {
            return Err(Refusal::Changed("its rule is there already".to_owned()));
        }
        Ok(())
    }

    /// Where it goes: the place that was seen, else before the first rule that is as the one seen there.
    fn number(&self, present: &[String]) -> Option<u64> {
        let (number, rule) = self.before?;
        let Some(rule) = rule else { return Some(number) };
        let seen = usize::try_from(number.checked_sub(1)?).ok().and_then(|index| present.get(index));
        if seen.is_some_and(|seen| seen == rule) {
            return Some(number);
        }
        u64::try_from(present.iter().position(|other| other == rule)? + 1).ok()
    }

    pub(super) fn open(&self, rules: Rules<'_>) -> Result<(), String> {
        if self.before.is_none() {
            return self.run(&["-A", self.chain], Some(&rules.mark()), rules);
        }
        let number = self.number(&self.list(rules)?);
        let number = number.ok_or_else(|| format!("the rule it goes before is not in chain {}", self.chain))?;
        self.run(&["-I", self.chain, &number.to_string()], Some(&rules.mark()), rules)
    }

    /// Deletes every rule marked with the plan's id. A chain that has gone took it along.
    pub(super) fn close(&self, rules: Rules<'_>) -> Result<(), String> {
        let present = self.find(rules)?.unwrap_or_default();
        let mut own = present.iter().filter(|rule| is_marked(rule, &rules.mark()));
        own.try_for_each(|_| self.run(&["-D", self.chain], Some(&rules.mark()), rules))
    }

    /// Deletes one rule that does the same and has no comment, if there is one.
    pub(super) fn close_unmarked(&self, rules: Rules<'_>) -> Result<(), String> {
        match self.run(&["-C", self.chain], None, rules) {
            Ok(()) => self.run(&["-D", self.chain], None, rules),
            Err(_) => Ok(()),
        }
    }

    pub(super) fn is_open(&self, rules: Rules<'_>) -> Result<bool, String> {
        Ok(self.find(rules)?.unwrap_or_default().iter().any(|rule| is_marked(rule, &rules.mark())))
    }

    /// How many rules there are besides the plan's.
    pub(super) fn others(&self, rules: Rules<'_>) -> Result<usize, String> {
        Ok(self.list(rules)?.iter().filter(|rule| !is_marked(rule, &rules.mark())).count())
    }

    fn run(&self, place: &[&str], mark: Option<&str>, rules: Rules<'_>) -> Result<(), String> {
        let (source, port) = (rules.step.source.to_string(), rules.step.port.to_string());
        let (address, end) = if self.reply { ("-d", "--sport") } else { ("-s", "--dport") };
        let rule = [address, &source, "-p", "tcp", "-m", "tcp", end, &port];
        let comment = mark.map(|mark| ["-m", "comment", "--comment", mark]);
        let comment = comment.as_ref().map_or(&[][..], |words| &words[..]);
        let arguments = [&["-w", "-t", self.table], place, &rule, comment, &["-j", "ACCEPT"]].concat();
        tools::run(rules.places, program(rules), &arguments).map(|_| ())
    }

    /// The chain's rules in order, as iptables shows them.
    fn list(&self, rules: Rules<'_>) -> Result<Vec<String>, String> {
        self.find(rules)?.ok_or_else(|| format!("there is no chain {} in table {}", self.chain, self.table))
    }

    /// The same; none where there is no such chain. The whole table is listed, since of a chain alone that is not there
    /// versions of iptables say different things, one of which they say of chains they cannot read, too.
    fn find(&self, rules: Rules<'_>) -> Result<Option<Vec<String>>, String> {
        let listing = tools::run(rules.places, program(rules), &["-w", "-t", self.table, "-S"])?;
        let is_chain = |line: &str| line.split(' ').nth(1) == Some(self.chain);
        if !listing.lines().any(is_chain) {
            return Ok(None);
        }
        let own = listing.lines().filter(|line| line.starts_with("-A ") && is_chain(line));
        Ok(Some(own.map(str::to_owned).collect()))
    }
}

fn program(rules: Rules<'_>) -> &'static str {
    if rules.step.source.address().is_ipv4() { "/usr/sbin/iptables-nft" } else { "/usr/sbin/ip6tables-nft" }
}

fn is_marked(rule: &str, mark: &str) -> bool {
    rule.split(' ').any(|word| word.trim_matches('"') == mark)
}
