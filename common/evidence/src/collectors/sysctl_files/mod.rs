//! Kernel settings as they are persisted, in every file that is read at boot, naming the one that wins.

use common_model::Class;

use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed};

/// Where settings persist, in no particular order; `/etc/sysctl.conf` is usually also `/etc/sysctl.d/99-sysctl.conf`.
pub static PLACES: &[&str] =
    &["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d", "/etc/sysctl.conf"];

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: PersistedSysctls::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| {
        let places = PLACES.iter().map(|place| (*place).to_owned()).collect();
        vec![(String::new(), Source::Files { places, suffix: ".conf", cap: 256 * 1024 })]
    },
    triggers: |_| PLACES.iter().take(4).map(|place| Trigger::Directory((*place).to_owned())).collect(),
    redact: |raw| raw,
};

/// Every assignment in every file, in the order in which `systemd-sysctl` applies them: later wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PersistedSysctls {
    /// In order of application.
    pub entries: Vec<PersistedSysctl>,
}

/// One line `key = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistedSysctl {
    /// Dotted name.
    pub key: String,
    /// Value, white space collapsed.
    pub value: String,
    /// The file.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
}

impl PersistedSysctls {
    /// The assignment in force after a boot.
    pub fn winner(&self, key: &str) -> Option<&PersistedSysctl> {
        self.entries.iter().rev().find(|entry| entry.key == key)
    }
}

impl Evidence for PersistedSysctls {
    const KIND: &'static str = "sysctl-files";

    fn parse(_raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        Parsed::default()
    }
}
