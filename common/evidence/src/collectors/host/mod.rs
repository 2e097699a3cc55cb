//! The host itself: its boot, kernel, clock and memory.

use common_model::Class;
use serde::{Deserialize, Serialize};

use crate::source::{Collector, Source};
use crate::{Evidence, Parsed, parse_json};

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: Host::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| vec![(String::new(), Source::Host)],
    triggers: |_| vec![],
    redact: |raw| raw,
};

/// Facts about the host that last as long as its boot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// The kernel's host name.
    pub hostname: String,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// When the host booted (in a container: when its init started), milliseconds since 1970, by the node's clock.
    pub booted_at_ms: i64,
    /// `uname -r`.
    pub kernel: String,
    /// `PRETTY_NAME` of os-release.
    pub os: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Processors online.
    pub cpus: u32,
    /// `enforcing`, `permissive`, `disabled`, or none where SELinux is not built in.
    pub selinux: Option<String>,
}

impl Evidence for Host {
    const KIND: &'static str = "host";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        parse_json(raw)
    }
}
