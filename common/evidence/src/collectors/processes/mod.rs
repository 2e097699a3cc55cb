//! The processes of an engine: what they were started with and their limits.

use std::collections::BTreeMap;
use std::time::Duration;

use common_model::Class;
use serde::{Deserialize, Serialize};

use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed, parse_json};

/// What an agent reads and sends; the subject is the engine's name.
pub static COLLECTOR: Collector = Collector {
    kind: Processes::KIND,
    schema: 1,
    class: Class::State,
    sources: |engines| {
        engines
            .iter()
            .map(|engine| (engine.name.clone(), Source::Processes(engine.clone())))
            .collect()
    },
    triggers: |_| vec![Trigger::UnitJournal, Trigger::Every(Duration::from_secs(1))],
    redact: crate::redact::process_json,
};

/// The engine's processes; empty when none runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Processes {
    /// In order of process id.
    pub processes: Vec<Process>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Parent's process id. From Elasticsearch 8.3 on the sockets belong to a child of the unit's main process.
    pub parent: u32,
    /// Effective user id.
    pub uid: u32,
    /// Command line, secrets removed. `-E` settings stand on the launcher's, not on the child's, from 8.3 on.
    pub command: Vec<String>,
    /// Start, milliseconds since 1970, by the node's clock.
    pub started_at_ms: i64,
    /// Resource limits by the kernel's name (`Max open files`): soft and hard, none for unlimited.
    pub limits: BTreeMap<String, Limit>,
    /// State letter of `/proc/PID/stat`: `R`, `S`, `D`, `T` (stopped) …
    pub state: String,
}

/// A resource limit; none is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// In force.
    pub soft: Option<u64>,
    /// The most the process may raise it to.
    pub hard: Option<u64>,
}

impl Evidence for Processes {
    const KIND: &'static str = "processes";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        parse_json(raw)
    }
}
