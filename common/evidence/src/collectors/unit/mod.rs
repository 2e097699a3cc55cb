//! The engine's systemd unit: its state, how it last ended, and its limits.

use std::time::Duration;

use common_model::{Class, Timestamp};

use crate::source::{Collector, Program, Source, Trigger};
use crate::{Evidence, Parsed};

/// Properties asked of `systemctl show`. Times come as `Sat 2026-11-21 02:26:00 UTC`: programs are started with `TZ=UTC` and
/// `LC_ALL=C`, since `--timestamp=` is not known to systemd before 247.
pub static PROPERTIES: &[&str] = &[
    "Id",
    "InvocationID",
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
                    format!("--property={}", PROPERTIES.join(",")),
                    "--".to_owned(),
                    unit.clone(),
                ];
                let source = Source::Command {
                    program: Program::Systemctl,
                    args,
                    timeout: Duration::from_secs(3),
                    cap: 64 * 1024,
                };
                (unit, source)
            })
            .collect()
    },
    // systemd writes to the journal whenever the state changes; asking it is a program's start each time.
    triggers: |engines| {
        let drop_ins = engines.iter().filter_map(|engine| engine.unit.as_ref());
        let drop_ins = drop_ins.map(|unit| Trigger::Directory(format!("/etc/systemd/system/{unit}.d")));
        drop_ins.chain([Trigger::UnitJournal, Trigger::Every(Duration::from_secs(15))]).collect()
    },
    redact: |raw| raw,
};

/// The state of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    /// Its name.
    pub id: String,
    /// Which run of it this is about: the one under way, else the last. The journal names it with each of its lines. None before
    /// systemd 232 and for a unit that never ran.
    pub invocation: Option<String>,
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
    /// When the main process last ended.
    pub main_exited_at: Option<Timestamp>,
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

    fn parse(raw: &[u8], subject: &str, _schema: u32) -> Parsed<Self> {
        let text = String::from_utf8_lossy(raw);
        let mut unit = Unit { id: subject.to_owned(), ..Unit::default() };
        let mut exit = (0, 0);
        let mut seen = false;
        let mut problems = Vec::new();
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            seen = true;
            match key {
                "ExecMainCode" => exit.0 = value.parse().unwrap_or(0),
                "ExecMainStatus" => exit.1 = value.parse().unwrap_or(0),
                _ if !unit.set(key, value) => problems.push(format!("{key} has an unexpected value: {value:?}")),
                _ => {}
            }
        }
        if !seen {
            problems.push("systemctl told nothing about the unit".to_owned());
        }
        // Codes of waitid(2): CLD_EXITED 1, CLD_KILLED 2, CLD_DUMPED 3; zero while it runs.
        unit.last_exit = match exit {
            (1, status) => Some(MainExit::Exited(status)),
            (2 | 3, signal) => Some(MainExit::Killed(signal)),
            _ => None,
        };
        Parsed { value: unit, problems }
    }
}

impl Unit {
    /// Takes one property; false when its value is not of the expected shape.
    fn set(&mut self, key: &str, value: &str) -> bool {
        let text = || value.to_owned();
        match key {
            "Id" if !value.is_empty() => self.id = text(),
            "InvocationID" => self.invocation = Some(text()).filter(|id| !id.is_empty()),
            "LoadState" => self.load_state = text(),
            "ActiveState" => self.active_state = text(),
            "SubState" => self.sub_state = text(),
            "UnitFileState" => self.unit_file_state = text(),
            "Result" => self.result = text(),
            "FragmentPath" => self.fragment = text(),
            "DropInPaths" => self.drop_ins = value.split_whitespace().map(str::to_owned).collect(),
            "NeedDaemonReload" => self.needs_reload = value == "yes",
            "User" => self.user = text(),
            "MainPID" => return assign(&mut self.main_pid, value),
            "NRestarts" => return assign(&mut self.restarts, value),
            "ExecMainStartTimestamp" => return set_time(&mut self.main_started_at, value),
            "ExecMainExitTimestamp" => return set_time(&mut self.main_exited_at, value),
            "ActiveEnterTimestamp" => return set_time(&mut self.active_since, value),
            "ActiveExitTimestamp" => return set_time(&mut self.inactive_since, value),
            "StateChangeTimestamp" => return set_time(&mut self.state_changed_at, value),
            _ if key.starts_with("Limit") => self.limits.push((key.to_owned(), text())),
            _ => {}
        }
        true
    }
}

fn assign<T: std::str::FromStr>(field: &mut T, value: &str) -> bool {
    value.parse().map(|parsed| *field = parsed).is_ok()
}

fn set_time(field: &mut Option<Timestamp>, value: &str) -> bool {
    if matches!(value, "" | "n/a" | "0") {
        return true;
    }
    *field = time(value);
    field.is_some()
}

/// `Sat 2026-11-21 02:26:00 UTC`, or `@` and seconds since 1970. Other zones have no meaning away from their host.
fn time(text: &str) -> Option<Timestamp> {
    if let Some(seconds) = text.strip_prefix('@') {
        let seconds = seconds.split_once('.').map_or(seconds, |(whole, _)| whole);
        return Some(Timestamp(seconds.parse::<i64>().ok()?.checked_mul(1000)?));
    }
    let utc = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT"))?;
    let (_, date_time) = utc.split_once(' ')?;
    let time: jiff::civil::DateTime = date_time.replacen(' ', "T", 1).parse().ok()?;
    Some(Timestamp(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    static FAILED: &str = "Type=notify\nMainPID=0\nExecMainPID=812\nExecMainCode=1\nExecMainStatus=78\nExecMainStartTimestamp=Sat 2026-11-21 02:26:00 UTC\nNRestarts=2\nActiveEnterTimestamp=n/a\nActiveExitTimestamp=\nStateChangeTimestamp=@1700000000\nLimitNOFILE=65535\nLimitMEMLOCK=8388608\nLimitAS=infinity\nId=elasticsearch.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nUnitFileState=enabled\nFragmentPath=/lib/systemd/system/elasticsearch.service\nDropInPaths=/etc/systemd/system/elasticsearch.service.d/a.conf /run/x.conf\nNeedDaemonReload=yes\nUser=elasticsearch\n";

    #[test]
    fn reads_a_failed_unit() {
        let parsed = Unit::parse(FAILED.as_bytes(), "elasticsearch.service", 1);
        assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
        let unit = parsed.value;
        assert_eq!((unit.active_state.as_str(), unit.result.as_str()), ("failed", "exit-code"));
        assert_eq!(unit.last_exit, Some(MainExit::Exited(78)));
        assert_eq!(unit.main_started_at.unwrap().to_string(), "2026-11-21T02:26:00.000Z");
        assert_eq!(unit.state_changed_at, Some(Timestamp(1_700_000_000_000)));
        assert_eq!((unit.active_since, unit.inactive_since), (None, None));
        assert_eq!((unit.restarts, unit.drop_ins.len(), unit.needs_reload), (2, 2, true));
        assert!(unit.limits.contains(&("LimitMEMLOCK".to_owned(), "8388608".to_owned())));
    }

    #[test]
    fn a_killed_process_has_its_signal_and_a_running_one_no_exit() {
        let exit = |text: &str| Unit::parse(text.as_bytes(), "x", 1).value.last_exit;
        assert_eq!(exit("ExecMainCode=2\nExecMainStatus=9"), Some(MainExit::Killed(9)));
        assert_eq!(exit("ExecMainCode=3\nExecMainStatus=6"), Some(MainExit::Killed(6)));
        assert_eq!(exit("ExecMainCode=0\nExecMainStatus=0"), None);
    }

    #[test]
    fn what_is_no_time_is_said_and_nothing_is_a_problem() {
        for text in ["MainPID=x", "ActiveEnterTimestamp=Sat 2026-11-21 02:26:00 CET", "StateChangeTimestamp=@9e99", ""]
        {
            assert_eq!(Unit::parse(text.as_bytes(), "x", 1).problems.len(), 1, "{text}");
        }
    }

    #[test]
    fn the_unit_is_named_even_when_systemctl_does_not() {
        assert_eq!(Unit::parse(b"LoadState=not-found", "es.service", 1).value.id, "es.service");
    }
}
