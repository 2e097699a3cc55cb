//! Journal lines that concern the engines: their units, sudo, package managers, the kernel's OOM killer.

use common_model::{Class, Timestamp};

use crate::source::{Collector, Source};
use crate::{Evidence, Parsed};

/// What an agent follows and sends; one envelope per line, the subject is the unit or the command that wrote it.
pub static COLLECTOR: Collector = Collector {
    kind: JournalLine::KIND,
    schema: 1,
    class: Class::Event,
    sources: |engines| {
        let mut matches: Vec<String> = Vec::new();
        for unit in engines.iter().filter_map(|engine| engine.unit.as_ref()) {
            for field in ["_SYSTEMD_UNIT", "UNIT", "OBJECT_SYSTEMD_UNIT"] {
                matches.extend([format!("{field}={unit}"), "+".to_owned()]);
            }
        }
        matches.push("_COMM=sudo".to_owned());
        vec![(String::new(), Source::Journal { matches })]
    },
    triggers: |_| vec![],
    redact: |raw| raw,
};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalLine {
    /// When it was written.
    pub at: Timestamp,
    /// The unit it is about: `UNIT` of systemd's own lines, else `_SYSTEMD_UNIT`, which the writer cannot forge.
    pub unit: Option<String>,
    /// True when systemd itself (pid 1) wrote it.
    pub from_systemd: bool,
    /// `_COMM` of the writer.
    pub command: String,
    /// `_PID` of the writer.
    pub pid: Option<u32>,
    /// syslog priority, 0 to 7.
    pub priority: Option<u8>,
    /// systemd's message id, for its own lines.
    pub message_id: Option<String>,
    /// The message.
    pub message: String,
    /// What the line tells, where it is one of those we know.
    pub tells: Option<Tells>,
}

/// Lines whose meaning rules rely on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tells {
    /// systemd begins to start the unit.
    Starting,
    /// The unit is up.
    Started,
    /// systemd begins to stop the unit.
    Stopping,
    /// The unit was stopped and ended well.
    Stopped,
    /// The unit failed, with systemd's result (`exit-code`, `timeout`, `oom-kill` …).
    Failed(String),
    /// The main process ended, with code (`exited`, `killed`) and status (`78`, `9/KILL`).
    MainExited {
        /// `exited`, `killed` or `dumped`.
        code: String,
        /// Exit status or signal number.
        status: i32,
    },
    /// Somebody ran a command by sudo.
    Sudo {
        /// Who.
        user: String,
        /// The whole command line.
        command: String,
    },
}

impl Evidence for JournalLine {
    const KIND: &'static str = "journal";

    fn parse(_raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        Parsed::default()
    }
}
