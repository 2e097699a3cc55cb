//! The end of the engine's own log file. Recent versions put start-up failures only there.

use std::time::Duration;

use common_model::{Class, Timestamp};

use crate::bootstrap::BootstrapFailure;
use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed};

/// What an agent reads and sends; the subject is the file's path.
pub static COLLECTOR: Collector = Collector {
    kind: EngineLog::KIND,
    schema: 1,
    class: Class::State,
    sources: |engines| {
        engines
            .iter()
            .filter_map(|engine| engine.log_file.clone())
            .map(|path| (path.clone(), Source::FileTail { path, cap: 64 * 1024 }))
            .collect()
    },
    triggers: |_| vec![Trigger::UnitJournal, Trigger::Every(Duration::from_secs(1))],
    redact: |raw| raw,
};

/// What the log's end tells about the newest start in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineLog {
    /// Path of the file.
    pub path: String,
    /// When the newest line was written, where the line says so; engines write local time, so the file's own time is used to tell the zone.
    pub last_line_at: Option<Timestamp>,
    /// Lines of the newest start, from its first line on.
    pub newest_start: Vec<LogLine>,
    /// The bootstrap checks that ended the newest start, if any did.
    pub bootstrap_failure: Option<BootstrapFailure>,
    /// True when the newest start came up (`started`) and has not stopped since.
    pub started: bool,
    /// `bound_addresses` the HTTP layer reported at the newest start.
    pub http_bound: Vec<String>,
    /// Warnings about plain HTTP on a TLS port, newest last: `(line number in newest_start)`.
    pub plaintext_on_tls: Vec<usize>,
    /// Why the agent could not read it.
    pub unreadable: Option<String>,
}

/// One entry of the log with its continuation lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Line in the part that was read, from 1.
    pub line: usize,
    /// Its time, where it has one.
    pub at: Option<Timestamp>,
    /// `INFO`, `WARN`, `ERROR` …; empty where it has none.
    pub level: String,
    /// The logger, shortened as the engine writes it.
    pub logger: String,
    /// The message, with continuation lines.
    pub message: String,
}

impl Evidence for EngineLog {
    const KIND: &'static str = "engine-log";

    fn parse(_raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        Parsed::default()
    }
}
