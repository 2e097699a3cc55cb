//! Differences between two consecutive pieces of evidence, and things that happened.

use serde::{Deserialize, Serialize};

use crate::id::{EvidenceId, NodeName};
use crate::time::Timestamp;

/// One entry of the change log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Unique within its node and stable.
    pub id: String,
    /// Where it happened.
    pub node: NodeName,
    /// When it was seen; for files, their modification time.
    pub at: Timestamp,
    /// It cannot have happened before this: the previous evidence still showed the old state.
    pub not_before: Option<Timestamp>,
    /// What sort of thing changed.
    pub topic: Topic,
    /// Which one: a file's path, a unit, a sysctl's name.
    pub subject: String,
    /// One line for people, for example `network.host: 0.0.0.0 → (unset)`.
    pub what: String,
    /// Unified diff or `- old` / `+ new` lines; empty for events.
    pub diff: String,
    /// The keys, rules or values that differ: what a rule matches against.
    pub items: Vec<ChangedItem>,
    /// Who did it, where the node's own records tell.
    pub who: Option<String>,
    /// With what: `sudo`, `apt`, `systemctl` …
    pub how: Option<String>,
    /// The evidence before and after, and the one that tells who.
    pub evidence: Vec<EvidenceId>,
}

/// One key that differs between two states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedItem {
    /// For example `http.port`, `vm.max_map_count`, `active-state`.
    pub key: String,
    /// Value before; none when it was not there.
    pub old: Option<String>,
    /// Value after; none when it is no longer there.
    pub new: Option<String>,
}

/// The sorts of change the log tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// A setting in the engine's yml.
    Config,
    /// The unit started, stopped, failed, was enabled or disabled, or its definition changed.
    Unit,
    /// A kernel setting, live or persisted.
    Sysctl,
    /// A firewall rule, chain or policy.
    Firewall,
    /// A package was installed, upgraded or removed.
    Package,
    /// A listening socket opened or closed.
    Listener,
    /// An address or route.
    Network,
    /// The host booted.
    Boot,
    /// The host's clock was set back.
    Clock,
    /// The agent or another piece of Dialtone.
    Agent,
}
