//! `firewall-allow`: a rule where it takes effect, which lets one network reach one port and nothing else.

use common_plan::{FirewallAllow, Opening, PlanId, Refusal};

use super::{iptables, nftables};
use crate::places::Places;

pub(super) fn observe(step: &FirewallAllow, id: &PlanId, places: &Places) -> Result<(), Refusal> {
    if step.for_s.is_some() {
        return Err(Refusal::Impossible("this actuator does not open a port for a limited time".to_owned()));
    }
    step.openings.iter().try_for_each(|opening| match Rule::of(opening).map_err(Refusal::Impossible)? {
        Rule::Nftables(chain) => chain.observe(step, id, places),
        Rule::Iptables(chain) => chain.observe(step, id, places),
    })
}

pub(super) fn apply(step: &FirewallAllow, id: &PlanId, places: &Places) -> Result<(), String> {
    step.openings.iter().try_for_each(|opening| match Rule::of(opening)? {
        Rule::Nftables(chain) => chain.open(step, id, places),
        Rule::Iptables(chain) => chain.open(step, id, places),
    })
}

/// Goes through all, also when one fails.
pub(super) fn undo(step: &FirewallAllow, id: &PlanId, places: &Places) -> Result<(), String> {
    let closed = step.openings.iter().rev().map(|opening| match Rule::of(opening)? {
        Rule::Nftables(chain) => chain.close(id, places),
        Rule::Iptables(chain) => chain.close(step, id, places),
    });
    closed.fold(Ok(()), super::both)
}

/// What the plan's rules are marked with.
pub(super) fn mark(id: &PlanId) -> String {
    format!("dialtone-{id}")
}

/// An opening this actuator can make.
enum Rule<'a> {
    Nftables(nftables::Chain<'a>),
    Iptables(iptables::Chain<'a>),
}

impl Rule<'_> {
    fn of(opening: &Opening) -> Result<Rule<'_>, String> {
        let by_hand =
            |owner: &str| Err(format!("this actuator does not change {owner}; do it by hand as the remedy says"));
        match opening {
            Opening::Nftables { family, table, chain, before, reply } => {
                Ok(Rule::Nftables(nftables::Chain { family, table, chain, before: before.as_ref(), reply: *reply }))
            }
            Opening::Iptables { legacy: false, table, chain, before, reply } => {
                Ok(Rule::Iptables(iptables::Chain { table, chain, before: before.as_ref(), reply: *reply }))
            }
            // It is set through a raw socket, which the actuator must not open.
            Opening::Iptables { legacy: true, .. } => by_hand("iptables-legacy"),
            Opening::Ufw { .. } => by_hand("ufw"),
            Opening::Firewalld { .. } => by_hand("firewalld"),
        }
    }
}
