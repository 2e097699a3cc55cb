//! One rule in a chain of iptables on nftables, marked with its plan's id.

use common_plan::{FirewallAllow, Label, Place, PlanId, Refusal};

use super::firewall::mark;
use crate::places::Places;
use crate::tools;

/// A chain and a place in it.
pub(super) struct Chain<'a> {
    pub(super) table: &'a Label,
    pub(super) chain: &'a Label,
    pub(super) before: Option<&'a Place>,
    pub(super) reply: bool,
}

impl Chain<'_> {
    /// Whether the rule it goes before is where it was seen.
    pub(super) fn observe(&self, step: &FirewallAllow, id: &PlanId, places: &Places) -> Result<(), Refusal> {
        let rules = self.rules(step, places).map_err(Refusal::Impossible)?;
        if let Some(place) = self.before {
            let index = usize::try_from(place.number.saturating_sub(1)).ok();
            if index.and_then(|index| rules.get(index)) != Some(&place.rule) {
                return Err(Refusal::Changed(format!("rule {} of chain {} is another", place.number, self.chain)));
            }
        }
        if rules.iter().any(|rule| is_marked(rule, id)) {
            return Err(Refusal::Changed("its rule is there already".to_owned()));
        }
        Ok(())
    }

    pub(super) fn open(&self, step: &FirewallAllow, id: &PlanId, places: &Places) -> Result<(), String> {
        let number = self.before.map(|place| place.number.to_string());
        match &number {
            Some(number) => self.run(step, &["-I", self.chain.as_str(), number], id, places),
            None => self.run(step, &["-A", self.chain.as_str()], id, places),
        }
    }

    /// Deletes every rule marked with the plan's id. A chain that has gone took it along.
    pub(super) fn close(&self, step: &FirewallAllow, id: &PlanId, places: &Places) -> Result<(), String> {
        let rules = match self.rules(step, places) {
            Err(error) if error.contains("No chain/target/match by that name") => return Ok(()),
            rules => rules?,
        };
        rules
            .iter()
            .filter(|rule| is_marked(rule, id))
            .try_for_each(|_| self.run(step, &["-D", self.chain.as_str()], id, places))
    }

    fn run(&self, step: &FirewallAllow, place: &[&str], id: &PlanId, places: &Places) -> Result<(), String> {
        let (source, port, mark) = (step.source.to_string(), step.port.to_string(), mark(id));
        let (address, end) = if self.reply { ("-d", "--sport") } else { ("-s", "--dport") };
        let rule = [address, &source, "-p", "tcp", "-m", "tcp", end, &port, "-m", "comment", "--comment", &mark];
        let arguments = [&["-w", "-t", self.table.as_str()], place, &rule, &["-j", "ACCEPT"]].concat();
        tools::run(places, program(step), &arguments).map(|_| ())
    }

    /// The chain's rules in order, as iptables shows them.
    fn rules(&self, step: &FirewallAllow, places: &Places) -> Result<Vec<String>, String> {
        let arguments = ["-w", "-t", self.table.as_str(), "-S", self.chain.as_str()];
        let listing = tools::run(places, program(step), &arguments)?;
        Ok(listing.lines().filter(|line| line.starts_with("-A ")).map(str::to_owned).collect())
    }
}

fn program(step: &FirewallAllow) -> &'static str {
    if step.source.address().is_ipv4() { "/usr/sbin/iptables-nft" } else { "/usr/sbin/ip6tables-nft" }
}

fn is_marked(rule: &str, id: &PlanId) -> bool {
    rule.split(' ').any(|word| word.trim_matches('"') == mark(id))
}
