//! Kernel settings as they are now.

use std::collections::BTreeMap;
use std::time::Duration;

use common_model::Class;
use serde::{Deserialize, Serialize};

use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed, parse_json};

/// The settings that decide whether an engine starts or can be reached.
pub static NAMES: &[&str] = &[
    "vm.max_map_count",
    "vm.overcommit_memory",
    "vm.swappiness",
    "net.core.somaxconn",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.bindv6only",
    "fs.file-max",
    "kernel.pid_max",
    "kernel.threads-max",
];

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: Sysctls::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| vec![(String::new(), Source::Sysctls(NAMES))],
    triggers: |_| vec![Trigger::Every(Duration::from_millis(500))],
    redact: |raw| raw,
};

/// Live values of [`NAMES`], by dotted name; a name the kernel does not have is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sysctls {
    /// Name to value, white space collapsed.
    pub values: BTreeMap<String, String>,
}

impl Evidence for Sysctls {
    const KIND: &'static str = "sysctl";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        parse_json(raw)
    }
}
