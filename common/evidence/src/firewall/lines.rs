//! Rules as lines, to quote and to compare.

use super::Firewalls;
use super::decision::place;
use super::ruleset::{Condition, Elements, Hook, Key, Pattern, Rule, Step, Table};

/// One rule, policy or set element as text, without counters and handles, so that equal rules are equal lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleLine {
    /// Where it stands: `inet filter input`, `ip filter INPUT`, `ufw`, `firewalld public`.
    pub place: String,
    /// The rule as its own tool prints it.
    pub text: String,
}

/// The rules that name a TCP port, and the policies of input chains that drop, for quoting.
pub fn rules_for_port(firewalls: &Firewalls, port: u16) -> Vec<RuleLine> {
    let mut lines = Vec::new();
    for table in firewalls.tables.iter().filter(|table| !table.dormant) {
        for chain in &table.chains {
            let drops = chain.base.as_ref().is_some_and(|base| base.hook == Hook::Input && base.drops);
            let policy = drops.then(|| "policy drop".to_owned());
            let naming = chain.rules.iter().filter(|rule| names_port(rule, table, port)).map(|rule| rule.text.clone());
            let place = place(table, chain);
            lines.extend(policy.into_iter().chain(naming).map(|text| RuleLine { place: place.clone(), text }));
        }
    }
    lines
}

fn names_port(rule: &Rule, table: &Table, port: u16) -> bool {
    rule.steps.iter().any(|step| {
        let (keys, elements) = match step {
            Step::If(Condition::Match { keys, elements, .. }) | Step::Lookup { keys, elements } => (keys, elements),
            _ => return false,
        };
        let Some(at) = keys.iter().position(|key| *key == Key::DestinationPort) else { return false };
        let elements = match elements {
            Elements::Here(elements) => Some(elements),
            Elements::Named(name) => table.sets.get(name),
        };
        let covers = |part: Option<&Pattern>| matches!(part, Some(Pattern::Numbers(first, last)) if (*first..=*last).contains(&u64::from(port)));
        elements.is_some_and(|elements| elements.iter().any(|element| covers(element.parts.get(at))))
    })
}
