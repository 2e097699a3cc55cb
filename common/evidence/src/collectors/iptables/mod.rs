//! The iptables ruleset, as iptables-save tells it; the subject is `ip`, `ip6`, `legacy`, `legacy6` or `legacy-tables`.
//!
//! CAP_NET_ADMIN is enough for the nftables-backed programs. The legacy ones open a raw socket, so they also want CAP_NET_RAW;
//! `legacy-tables` tells without it whether there is anything they would show.

mod options;
mod parse;
mod target;

use std::time::Duration;

use common_model::Class;

use crate::firewall::RuleLine;
use crate::firewall::ruleset::{Step, Table};
use crate::source::{Collector, Program, Source, Trigger};
use crate::{Evidence, Parsed};

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: Iptables::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| {
        let read = |subject: &str, program| {
            (
                subject.to_owned(),
                Source::Command {
                    program,
                    args: vec!["-c".to_owned()],
                    timeout: Duration::from_secs(5),
                    cap: 1024 * 1024,
                },
            )
        };
        let places = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"].map(str::to_owned).to_vec();
        vec![
            read("ip", Program::IptablesSave),
            read("ip6", Program::Ip6tablesSave),
            read("legacy", Program::IptablesLegacySave),
            ("legacy-tables".to_owned(), Source::Files { places, suffix: "", cap: 4096 }),
        ]
    },
    triggers: |_| vec![Trigger::Nftables],
    redact: |raw| raw,
};

/// The iptables ruleset, as iptables-save tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Iptables {
    /// In the order printed.
    pub tables: Vec<Table>,
    /// True when the output says that it shows nftables tables. Old versions do not say.
    pub of_nftables: bool,
    /// Why a part of the ruleset is not in `tables`.
    pub cut: Option<String>,
    /// Subject `legacy-tables`: family (`ip`, `ip6`) and name of every legacy table the kernel has.
    pub legacy: Vec<(String, String)>,
}

impl Iptables {
    /// Every rule and policy, to quote and compare.
    pub fn lines(&self) -> Vec<RuleLine> {
        let chains = self.tables.iter().flat_map(|table| table.chains.iter().map(move |chain| (table, chain)));
        chains
            .flat_map(|(table, chain)| {
                let place = format!("{} {} {}", table.family, table.name, chain.name);
                let policy = chain
                    .base
                    .as_ref()
                    .map(|base| format!("-P {} {}", chain.name, if base.drops { "DROP" } else { "ACCEPT" }));
                let texts = policy.into_iter().chain(chain.rules.iter().map(|rule| rule.text.clone()));
                texts.map(|text| RuleLine { place: place.clone(), text }).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// The chain and steps of one `-A` line, for files that hold such lines; none for other lines.
pub fn appended(line: &str) -> Option<(String, Vec<Step>)> {
    parse::appended(line, &|_| true)
}

impl Evidence for Iptables {
    const KIND: &'static str = "iptables";

    fn parse(raw: &[u8], subject: &str, _schema: u32) -> Parsed<Self> {
        if subject == "legacy-tables" { parse::legacy_tables(raw) } else { parse::saved(raw, subject) }
    }
}
