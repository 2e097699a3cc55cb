//! The nftables ruleset, as nft itself tells it.

mod expression;
mod parse;
mod render;
mod statement;

use std::time::Duration;

use common_model::Class;

use crate::firewall::RuleLine;
use crate::firewall::ruleset::{Chain, Table};
use crate::source::{Collector, Program, Source, Trigger};
use crate::{Evidence, Parsed};

/// What an agent reads and sends. CAP_NET_ADMIN is enough for it. Counters are left out (`-s`): they change with every
/// packet, and nobody changed anything.
pub static COLLECTOR: Collector = Collector {
    kind: Nftables::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| {
        let args = ["-s", "-j", "-a", "list", "ruleset"].map(str::to_owned).to_vec();
        vec![(
            String::new(),
            Source::Command { program: Program::Nft, args, timeout: Duration::from_secs(5), cap: 1024 * 1024 },
        )]
    },
    triggers: |_| vec![Trigger::Nftables],
    redact: |raw| crate::redact::texts_json(&without_countdowns(raw)),
};

/// Blanks what is left of each set element's time, which `-s` does not.
fn without_countdowns(raw: Vec<u8>) -> Vec<u8> {
    const KEY: &str = "\"expires\": ";
    let text = String::from_utf8_lossy(&raw);
    let mut parts = text.split(KEY);
    let mut steady = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        steady.push_str(KEY);
        steady.push('0');
        steady.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    steady.into_bytes()
}

/// The nftables ruleset, as nft itself tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nftables {
    /// In nft's order.
    pub tables: Vec<Table>,
    /// Why a part of the ruleset is not in `tables`; what is there then proves nothing about what is not.
    pub cut: Option<String>,
    /// What was read and may do more than `tables` tells.
    pub gaps: Vec<String>,
}

impl Nftables {
    /// Every rule, policy and set element, to quote and compare. Tables that iptables made are left to iptables-save.
    pub fn lines(&self) -> Vec<RuleLine> {
        self.tables.iter().filter(|table| !table.is_made_by_iptables()).flat_map(table_lines).collect()
    }
}

fn table_lines(table: &Table) -> Vec<RuleLine> {
    let place = |what: &str| format!("{} {} {what}", table.family, table.name);
    let sets = table.sets.iter().flat_map(|(name, elements)| {
        let place = place(&format!("set {name}"));
        elements.iter().map(move |element| RuleLine { place: place.clone(), text: element.text.clone() })
    });
    let chains = table.chains.iter().flat_map(|chain| {
        let place = place(&chain.name);
        let texts = policy_text(chain).into_iter().chain(chain.rules.iter().map(|rule| rule.text.clone()));
        texts.map(|text| RuleLine { place: place.clone(), text }).collect::<Vec<_>>()
    });
    sets.chain(chains).collect()
}

fn policy_text(chain: &Chain) -> Option<String> {
    chain.base.as_ref().map(|base| {
        let kind = if base.nat { "nat" } else { "filter" };
        let policy = if base.drops { "drop" } else { "accept" };
        format!("type {kind} hook {} priority {}; policy {policy};", base.hook.word(), base.priority)
    })
}

impl Evidence for Nftables {
    const KIND: &'static str = "nftables";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        parse::nftables(raw)
    }
}

#[cfg(test)]
mod tests;
