//! firewalld: its default zone, and its zones with what they allow.

use common_model::Class;

use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed};

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: Firewalld::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| {
        let places = ["/etc/firewalld/firewalld.conf", "/etc/firewalld/zones"].map(str::to_owned).to_vec();
        vec![(String::new(), Source::Files { places, suffix: "", cap: 256 * 1024 })]
    },
    triggers: |_| vec![Trigger::Directory("/etc/firewalld/zones".to_owned()), Trigger::Nftables],
    redact: |raw| raw,
};

/// firewalld: its default zone, and its zones with what they allow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Firewalld {}

impl Evidence for Firewalld {
    const KIND: &'static str = "firewalld";

    fn parse(_raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        Parsed::default()
    }
}
