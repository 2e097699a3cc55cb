//! The engine's systemd unit: its state, how it last ended, and its limits.

use std::time::Duration;

use common_model::{Class, Timestamp};

use crate::source::{Collector, Program, Source, Trigger};
use crate::{Evidence, Parsed};

/// Properties asked of `systemctl show`.
pub static PROPERTIES: &[&str] = &[
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "Result",
    "ExecMainPID",
    "MainPID",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecMainStartTimestamp",
    "ExecMainExitTimestamp",
    "ActiveEnterTimestamp",
    "ActiveExitTimestamp",
    "InactiveEnterTimestamp",
    "InactiveExitTimestamp",
    "StateChangeTimestamp",
    "NRestarts",
    "FragmentPath",
    "DropInPaths",
    "NeedDaemonReload",
    "User",
    "Group",
    "Type",
    "TimeoutStartUSec",
    "LimitNOFILE",
    "LimitNPROC",
    "LimitMEMLOCK",
    "LimitAS",
    "LimitFSIZE",
];

/// What an agent reads and sends; the subject is the unit.
pub static COLLECTOR: Collector = Collector {
    kind: Unit::KIND,
    schema: 1,
    class: Class::State,
    sources: |engines| {
        engines
            .iter()
            .filter_map(|engine| engine.unit.clone())
            .map(|unit| {
                let args = vec![
                    "show".to_owned(),
                    "--timestamp=unix".to_owned(),
                    format!("--property={}", PROPERTIES.join(",")),
                    "--".to_owned(),
                    unit.clone(),
                ];
                let source =
                    Source::Command { program: Program::Systemctl, args, timeout: Duration::from_secs(3), cap: 64 * 1024 };
                (unit, source)
            })
            .collect()
    },
    triggers: |_| vec![Trigger::UnitJournal, Trigger::Every(Duration::from_secs(2))],
    redact: |raw| raw,
};

/// The state of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    /// Its name.
    pub id: String,
    /// `loaded`, `not-found`, `masked` …
    pub load_state: String,
    /// `active`, `activating`, `inactive`, `failed`, `deactivating`.
    pub active_state: String,
    /// `running`, `dead`, `failed`, `start` …
    pub sub_state: String,
    /// `enabled`, `disabled`, `masked`, `static` …
    pub unit_file_state: String,
    /// `success`, `exit-code`, `signal`, `timeout`, `oom-kill` …
    pub result: String,
    /// Process id of the main process; 0 when none runs.
    pub main_pid: u32,
    /// How the main process last ended: exited, killed or dumped, with its exit status or signal number; none while it runs or before it ever ran.
    pub last_exit: Option<MainExit>,
    /// When the main process last started.
    pub main_started_at: Option<Timestamp>,
    /// When the unit last became active.
    pub active_since: Option<Timestamp>,
    /// When it last left that state.
    pub inactive_since: Option<Timestamp>,
    /// When its state last changed.
    pub state_changed_at: Option<Timestamp>,
    /// Automatic restarts since the last manual start.
    pub restarts: u32,
    /// The unit's file.
    pub fragment: String,
    /// Drop-ins.
    pub drop_ins: Vec<String>,
    /// True when a unit file changed since it was loaded.
    pub needs_reload: bool,
    /// User it runs as.
    pub user: String,
    /// Limits by directive (`LimitNOFILE`), as systemd prints them.
    pub limits: Vec<(String, String)>,
}

/// How a main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MainExit {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Evidence for Unit {
    const KIND: &'static str = "unit";

    fn parse(_raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        Parsed::default()
    }
}
