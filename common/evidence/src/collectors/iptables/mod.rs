//! The iptables ruleset, as iptables-save tells it; the subject is `ip`, `ip6` or `legacy`.

use std::time::Duration;

use common_model::Class;

use crate::source::{Collector, Program, Source, Trigger};
use crate::{Evidence, Parsed};

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: Iptables::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| {
        let read = |subject: &str, program| {
            (subject.to_owned(), Source::Command { program, args: vec!["-c".to_owned()], timeout: Duration::from_secs(5), cap: 1024 * 1024 })
        };
        vec![read("ip", Program::IptablesSave), read("ip6", Program::Ip6tablesSave), read("legacy", Program::IptablesLegacySave)]
    },
    triggers: |_| vec![Trigger::Nftables],
    redact: |raw| raw,
};

/// The iptables ruleset, as iptables-save tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Iptables {}

impl Evidence for Iptables {
    const KIND: &'static str = "iptables";

    fn parse(_raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        Parsed::default()
    }
}
