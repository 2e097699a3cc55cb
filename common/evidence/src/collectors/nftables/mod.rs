//! The nftables ruleset, as nft itself tells it.

use std::time::Duration;

use common_model::Class;

use crate::source::{Collector, Program, Source, Trigger};
use crate::{Evidence, Parsed};

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: Nftables::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| {
        let args = ["-j", "-a", "list", "ruleset"].map(str::to_owned).to_vec();
        vec![(String::new(), Source::Command { program: Program::Nft, args, timeout: Duration::from_secs(5), cap: 1024 * 1024 })]
    },
    triggers: |_| vec![Trigger::Nftables],
    redact: |raw| raw,
};

/// The nftables ruleset, as nft itself tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nftables {}

impl Evidence for Nftables {
    const KIND: &'static str = "nftables";

    fn parse(_raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        Parsed::default()
    }
}
