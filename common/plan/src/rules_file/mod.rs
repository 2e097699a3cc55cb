//! The lines that keep an opening past a boot, in the files that hosts load their rules from. Additive only: a rule goes in where
//! it was live, and comes out by its mark, whoever has changed the rest meanwhile. Pure; the controller asks whether it can be
//! kept, the actuator does it.

mod iptables;
mod nftables;
mod ufw;

use common_model::Network;

use crate::plan::PlanId;
use crate::step::{FirewallAllow, Opening, RulesFile};

/// One rule: who is let in, to what, and what it is marked with.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Who.
    pub source: Network,
    /// The TCP port.
    pub port: u16,
    /// The word of its comment.
    pub mark: String,
}

impl Rule {
    /// The rule of a plan.
    pub fn of(step: &FirewallAllow, id: &PlanId) -> Self {
        Self { source: step.source, port: step.port, mark: mark(id) }
    }
}

/// What the rules of a plan are marked with.
pub fn mark(id: &PlanId) -> String {
    format!("dialtone-{id}")
}

/// The file's content with the rule in it, right before the rule that blocks or at the end of its chain; as it is where the rule
/// is there already. None where that place is not in the file as it is in the kernel.
pub fn insert(content: &str, opening: &Opening, rule: &Rule) -> Option<String> {
    match opening {
        _ if is_in(content, &rule.mark) => Some(content.to_owned()),
        Opening::Ufw { before } => ufw::insert(content, before.as_ref(), rule),
        Opening::Nftables { family, table, chain, before, reply, .. } => {
            nftables::insert(content, [family, table, chain].map(|label| label.as_str()), before.as_ref(), *reply, rule)
        }
        Opening::Iptables { table, chain, before, reply, .. } => {
            iptables::insert(content, table.as_str(), chain.as_str(), before.as_ref(), *reply, rule)
        }
        Opening::Firewalld { .. } => None,
    }
}

/// The file's content without the rules of this mark.
pub fn remove(content: &str, file: RulesFile, mark: &str) -> String {
    match file {
        RulesFile::Ufw | RulesFile::Ufw6 => ufw::remove(content, mark),
        RulesFile::Nftables | RulesFile::NftablesSysconfig => nftables::remove(content, mark),
        RulesFile::Persistent | RulesFile::Persistent6 | RulesFile::Sysconfig | RulesFile::Sysconfig6 => {
            iptables::remove(content, mark)
        }
    }
}

fn is_in(content: &str, mark: &str) -> bool {
    content.contains(mark) || content.contains(&ufw::hex(mark))
}

#[cfg(test)]
mod tests;
