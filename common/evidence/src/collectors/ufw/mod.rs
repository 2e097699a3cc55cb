//! ufw: whether it is enabled, its default policy, and its rules as it keeps them.

use common_model::Class;

use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed};

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: Ufw::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| {
        let places = ["/etc/ufw/ufw.conf", "/etc/default/ufw", "/etc/ufw/user.rules", "/etc/ufw/user6.rules"].map(str::to_owned).to_vec();
        vec![(String::new(), Source::Files { places, suffix: "", cap: 256 * 1024 })]
    },
    triggers: |_| vec![Trigger::Directory("/etc/ufw".to_owned()), Trigger::Nftables],
    redact: |raw| raw,
};

/// ufw: whether it is enabled, its default policy, and its rules as it keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ufw {}

impl Evidence for Ufw {
    const KIND: &'static str = "ufw";

    fn parse(_raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        Parsed::default()
    }
}
