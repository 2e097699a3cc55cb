//! How the engine's last start went, and how it ended.

use common_evidence::collectors::journal::{JournalLine, Tells};
use common_evidence::collectors::unit::{MainExit, Unit};
use common_model::Timestamp;

use super::{EngineView, Running};
use crate::picture::Cited;

/// Journal and log write the same moment some milliseconds apart, and a unit's times are whole seconds.
const SLACK_MS: i64 = 1_500;

/// How an engine that does not run came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Somebody or something stopped it, and it ended well.
    Stopped(Option<Timestamp>),
    /// Its start, or it itself, failed.
    Failed(Failed),
    /// Neither systemd nor the journal remembers a run: it was not started since the host booted, or systemd forgot the unit
    /// after it was stopped, as it does with units that are not enabled.
    NoRun,
    /// The evidence does not tell.
    Unknown,
}

/// A failure as systemd tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// `exit-code`, `signal`, `timeout`, `oom-kill` …; empty when not known.
    pub result: String,
    /// How the main process ended.
    pub exit: Option<MainExit>,
    /// When.
    pub at: Option<Timestamp>,
}

/// The run of an engine that ended last. Another run's words must never pass for its own.
#[derive(Debug, Clone, PartialEq)]
pub struct LastRun<'a> {
    /// Its journal lines, oldest first; none when they have not been read yet.
    pub lines: Vec<&'a Cited<JournalLine>>,
    /// What the engine's log dates before this is of another run; none when it is not known when it began.
    pub began: Option<Timestamp>,
    /// Whether systemd is starting the engine once more at this moment, which may come up or fail for another reason.
    pub superseded: bool,
}

impl EngineView {
    /// Whether the engine is down: not running, or failing and being restarted over and over. None when the evidence does not tell.
    pub fn is_down(&self) -> Option<bool> {
        if self.unit.known().is_some_and(|unit| is_restarting(&unit.value)) {
            return Some(true);
        }
        match self.running() {
            Running::Yes(_) => Some(false),
            Running::No => Some(true),
            Running::Unknown => None,
        }
    }

    /// How the engine ended, as the unit and the journal tell; meaningful only while it is down.
    pub fn ending(&self) -> Ending {
        match self.unit.known().map(|unit| &unit.value) {
            Some(unit) if unit.active_state == "failed" || is_restarting(unit) => Ending::Failed(Failed {
                result: unit.result.clone(),
                exit: unit.last_exit,
                at: unit.inactive_since.or(unit.state_changed_at).or_else(|| self.failed_at()),
            }),
            Some(unit) if unit.active_state == "inactive" => {
                if unit.main_started_at.is_none() && unit.active_since.is_none() && unit.last_exit.is_none() {
                    match self.ending_by_journal() {
                        Ending::Unknown => Ending::NoRun,
                        told => told,
                    }
                } else {
                    Ending::Stopped(self.stopped_at().or(unit.inactive_since).or(unit.state_changed_at))
                }
            }
            Some(_) | None => self.ending_by_journal(),
        }
    }

    fn ending_by_journal(&self) -> Ending {
        let is_end = |tells: &Tells| !matches!(tells, Tells::Sudo { .. } | Tells::Stopping);
        // A run whose end has not been read has not ended as the one before it did.
        let current = self.unit.known().and_then(|unit| unit.value.invocation.as_deref());
        let Some(line) = self.newest(is_end).filter(|line| !is_of_another(&line.value, current)) else {
            return Ending::Unknown;
        };
        let at = Some(line.value.at);
        match &line.value.tells {
            Some(Tells::Stopped) => Ending::Stopped(at),
            Some(Tells::Failed(result)) => {
                Ending::Failed(Failed { result: result.clone(), exit: self.exit_by_journal(), at })
            }
            Some(Tells::MainExited { .. }) => {
                Ending::Failed(Failed { result: String::new(), exit: self.exit_by_journal(), at })
            }
            _ => Ending::Unknown,
        }
    }

    fn exit_by_journal(&self) -> Option<MainExit> {
        let line = self.newest(|tells| matches!(tells, Tells::MainExited { .. }))?;
        match line.value.tells.as_ref()? {
            Tells::MainExited { code, status } if code == "exited" => Some(MainExit::Exited(*status)),
            Tells::MainExited { status, .. } => Some(MainExit::Killed(*status)),
            _ => None,
        }
    }

    fn failed_at(&self) -> Option<Timestamp> {
        self.newest(|tells| matches!(tells, Tells::Failed(_))).map(|line| line.value.at)
    }

    fn stopped_at(&self) -> Option<Timestamp> {
        self.newest(|tells| *tells == Tells::Stopped).map(|line| line.value.at)
    }

    /// When the newest start of the unit began, by the unit's own account, else by the journal.
    pub fn last_start_at(&self) -> Option<Timestamp> {
        let by_unit = self.unit.known().and_then(|unit| unit.value.main_started_at);
        let by_journal = self.newest(|tells| *tells == Tells::Starting).map(|line| line.value.at);
        by_unit.max(by_journal)
    }

    /// What is known of the run whose end the unit tells.
    pub fn last_run(&self) -> LastRun<'_> {
        let unit = self.unit.known().map(|unit| &unit.value);
        // What is under way has not failed yet: the run before it did, perhaps for what has been repaired since.
        let superseded = unit.is_some_and(is_starting_again);
        let by_id = unit.and_then(|unit| unit.invocation.as_deref()).filter(|_| !superseded);
        let by_id = by_id.filter(|_| self.journal.iter().any(|line| line.value.invocation.is_some()));
        let lines: Vec<&Cited<JournalLine>> = match (by_id, unit) {
            (Some(id), _) => self.lines_of(id),
            (None, Some(unit)) if !superseded && !may_be_of(unit, self.newest_ended()) => Vec::new(),
            (None, _) => self.newest_ended().iter().collect(),
        };
        let by_journal = if superseded {
            lines.first().map(|line| line.value.at)
        } else {
            self.newest(|tells| *tells == Tells::Starting).map(|line| line.value.at)
        };
        // A unit's times are cut to whole seconds; nothing writes a log so soon after its start.
        let by_unit = unit.and_then(|unit| unit.main_started_at).filter(|_| !superseded);
        let by_unit = match (by_unit, by_journal) {
            (Some(unit), Some(journal)) if journal.plus_millis(SLACK_MS) >= unit => Some(unit),
            (unit, _) => unit.map(|unit| unit.plus_millis(999)),
        };
        LastRun { lines, began: by_unit.max(by_journal), superseded }
    }

    /// The lines of the unit's newest run. journald does not name the run of a process that has ended when its lines come in:
    /// those are of it where they are later than its first.
    fn lines_of(&self, id: &str) -> Vec<&Cited<JournalLine>> {
        let is_named = |line: &Cited<JournalLine>| line.value.invocation.as_deref() == Some(id);
        let Some(first) = self.journal.iter().find(|line| is_named(line)).map(|line| line.value.at) else {
            return Vec::new();
        };
        let is_later = |line: &Cited<JournalLine>| line.value.invocation.is_none() && line.value.at >= first;
        self.journal.iter().filter(|line| is_named(line) || is_later(line)).collect()
    }

    /// The unit's journal lines of the newest start that ended, oldest first: from systemd's line that begins it to the last line
    /// before the next. All lines when the journal does not tell them apart.
    fn newest_ended(&self) -> &[Cited<JournalLine>] {
        let begins = |line: &Cited<JournalLine>| matches!(line.value.tells, Some(Tells::Starting | Tells::Started));
        let ends = |line: &Cited<JournalLine>| {
            matches!(line.value.tells, Some(Tells::Failed(_) | Tells::Stopped | Tells::MainExited { .. }))
        };
        let end = self.journal.iter().rposition(ends).map_or(self.journal.len(), |index| index + 1);
        let run = self.journal.get(..end).unwrap_or_default();
        let from = run.iter().rposition(begins).unwrap_or(0);
        run.get(from..).unwrap_or_default()
    }

    /// Whether something was so before its newest start began. True when it is not known when that was; false when that is
    /// dated later than it was read, so by a clock that has been set back since.
    pub fn was_before_last_start(&self, at: Timestamp) -> bool {
        let read_at = self.unit.known().map(|unit| unit.taken_at.plus_millis(SLACK_MS));
        self.last_start_at()
            .is_none_or(|start| at <= start.plus_millis(SLACK_MS) && read_at.is_none_or(|read_at| start <= read_at))
    }

    /// The newest line of the journal that tells this.
    pub fn newest(&self, tells: impl Fn(&Tells) -> bool) -> Option<&Cited<JournalLine>> {
        self.journal.iter().rev().find(|line| line.value.tells.as_ref().is_some_and(&tells))
    }
}

/// Whether a line is known to be of another run than this one.
fn is_of_another(line: &JournalLine, run: Option<&str>) -> bool {
    run.zip(line.invocation.as_deref()).is_some_and(|(run, of)| run != of)
}

/// Whether these lines, which name no run, can be of the unit's last one: it did not end after they did.
fn may_be_of(unit: &Unit, lines: &[Cited<JournalLine>]) -> bool {
    let ended = unit.main_started_at.max(unit.main_exited_at);
    lines.last().is_none_or(|line| ended.is_none_or(|ended| line.value.at >= ended))
}

/// Whether systemd is starting it again after a failure at this moment.
fn is_starting_again(unit: &Unit) -> bool {
    is_restarting(unit) && unit.sub_state != "auto-restart"
}

/// Whether systemd waits to start it again after a failure, or is doing so.
fn is_restarting(unit: &Unit) -> bool {
    unit.active_state == "activating" && (unit.sub_state == "auto-restart" || unit.restarts > 0)
}
