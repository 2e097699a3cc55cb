//! Engine packages installed, and the package manager's recent history.

use common_model::{Class, Timestamp};

use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed};

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: Packages::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| vec![(String::new(), Source::FileTail { path: "/var/log/dpkg.log".to_owned(), cap: 64 * 1024 })],
    triggers: |_| vec![Trigger::Directory("/var/log".to_owned())],
    redact: crate::redact::log_json,
};

/// The newest part of the package manager's history that concerns engines, Java, kernels and firewalls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packages {
    /// Oldest first.
    pub history: Vec<PackageAction>,
}

/// One action of a package manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageAction {
    /// When, by the node's clock; the log is in local time.
    pub at: Timestamp,
    /// `install`, `upgrade`, `remove`, `purge`.
    pub action: String,
    /// Package name.
    pub package: String,
    /// Version before.
    pub old: Option<String>,
    /// Version after.
    pub new: Option<String>,
}

impl Evidence for Packages {
    const KIND: &'static str = "packages";

    fn parse(_raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        Parsed::default()
    }
}
