//! What the rules about failing starts share: the last start, its words, and the links of a chain that lead to it.

use common_evidence::collectors::engine_log::EngineLog;
use common_evidence::collectors::journal::JournalLine;
use common_evidence::collectors::unit::MainExit;
use common_model::change::{Change, Topic};
use common_model::diagnosis::Citation;
use common_model::{Certainty, Timestamp};
use controller_correlate::engine_view::{Ending, Failed};
use controller_correlate::{Cited, EngineView, Running};
use serde_json::Value;

use crate::case::Case;
use crate::cite;
use crate::finding::{Blocks, Finding, Step, Support, missing};

/// A start that did not come up, as far as the evidence goes.
pub(crate) struct Start<'a> {
    /// The engine.
    pub(crate) engine: &'a EngineView,
    /// How systemd says it ended; none without a unit.
    pub(crate) failed: Option<Failed>,
    /// Whether it is certain that the engine is down now.
    pub(crate) is_down: bool,
    lines: &'a [Cited<JournalLine>],
    log: Option<&'a Cited<EngineLog>>,
}

/// Words found in the journal or the log of a start.
pub(crate) struct Words {
    /// The message they are in, first line first.
    pub(crate) message: String,
    /// Where.
    pub(crate) cites: Vec<Citation>,
}

impl<'a> Start<'a> {
    /// The last start of the case's engine, or why there is no failed one to speak of.
    pub(crate) fn failed(case: &'a Case<'_>) -> Result<Self, Finding> {
        if let Some(finding) = case.accepted() {
            return Err(finding);
        }
        let engine = case.engine().map_err(Finding::Unknown)?;
        let down = engine.is_down();
        if down == Some(false) {
            let since = engine.started_at().map(|at| format!(" since {}", case.time(at))).unwrap_or_default();
            let cites = engine.processes.known().map(|cited| processes(engine, cited)).unwrap_or_default();
            return Err(Finding::ruled_out(format!("{} runs{since}", engine.title()), cites));
        }
        let failed = match engine.ending() {
            Ending::Failed(failed) => Some(failed),
            Ending::Stopped(_) | Ending::NeverStarted => {
                let cites = engine.unit.known().map(|unit| cite::unit(&engine.node, unit)).unwrap_or_default();
                return Err(Finding::ruled_out(
                    format!("{} did not fail: it was stopped or never started", engine.title()),
                    cites,
                ));
            }
            Ending::Unknown => None,
        };
        let log = engine.log.known().filter(|log| is_of_last_start(engine, &log.value));
        Ok(Self { engine, failed, is_down: down == Some(true), lines: engine.last_run(), log })
    }

    /// Certain when it is known to be down and to have failed; likely when only its words tell.
    pub(crate) fn certainty(&self) -> Certainty {
        if self.is_down { Certainty::Certain } else { Certainty::Likely }
    }

    /// The engine's log, if what it tells is of this start.
    pub(crate) fn log(&self) -> Option<&'a Cited<EngineLog>> {
        self.log
    }

    /// The journal lines of this start.
    pub(crate) fn lines(&self) -> &'a [Cited<JournalLine>] {
        self.lines
    }

    /// The first message of this start, in the journal or else the log, that holds any of these words.
    pub(crate) fn find(&self, words: &[&str]) -> Option<Words> {
        self.find_by(|message| words.iter().any(|word| message.contains(word)))
    }

    /// The first message of this start that passes a test.
    pub(crate) fn find_by(&self, test: impl Fn(&str) -> bool) -> Option<Words> {
        if let Some(line) = self.lines.iter().find(|line| test(&line.value.message)) {
            return Some(Words { message: line.value.message.clone(), cites: cite::journal(&self.engine.node, line) });
        }
        let log = self.log?;
        let entry = log.value.newest_start.iter().find(|entry| test(&entry.message))?;
        Some(Words { message: entry.message.clone(), cites: quote_log(self.engine, log, &entry.message) })
    }

    /// Whether the start ended with this exit status.
    pub(crate) fn exited(&self, status: i32) -> bool {
        self.exit() == Some(MainExit::Exited(status))
    }

    /// How the main process ended.
    pub(crate) fn exit(&self) -> Option<MainExit> {
        self.failed.as_ref().and_then(|failed| failed.exit)
    }

    /// The links from the symptom to the failed unit.
    pub(crate) fn steps(&self, case: &Case<'_>) -> Vec<Step> {
        let mut steps = vec![down_step(case, self.engine)];
        if let Some(failed) = &self.failed {
            let cites = self.engine.unit.known().map(|unit| cite::unit(&self.engine.node, unit)).unwrap_or_default();
            steps.push(Step::new("unit-failed", failure(case, self.engine, failed), cites));
        }
        steps
    }

    /// The finding that this start failed for a reason that was found.
    pub(crate) fn because(&self, case: &Case<'_>, told: Told) -> Finding {
        let mut chain = self.steps(case);
        chain.push(Step::new(told.cause, told.fact, told.cites));
        chain.extend(told.roots);
        let mut gaps = Vec::new();
        if !self.is_down {
            let node = &self.engine.node;
            let how = format!("on {node}: systemctl status {}", self.engine.engine.name);
            gaps.push(missing(format!("whether {} runs by now", self.engine.title()), how));
        }
        Finding::supported(Support {
            certainty: told.certainty.min(self.certainty()),
            blocks: Blocks::Now,
            node: Some(self.engine.node.clone()),
            sentence: told.sentence,
            detail: told.detail,
            chain,
            change: told.change,
            missing: gaps,
        })
    }
}

/// What a rule about a failing start found.
pub(crate) struct Told {
    /// The cause's id.
    pub(crate) cause: &'static str,
    /// How sure that it is the reason.
    pub(crate) certainty: Certainty,
    /// What people read.
    pub(crate) sentence: String,
    /// The link of the chain.
    pub(crate) fact: String,
    /// What shows it.
    pub(crate) cites: Vec<Citation>,
    /// The links below it.
    pub(crate) roots: Vec<Step>,
    /// The contract's shape.
    pub(crate) detail: Value,
    /// What brought it.
    pub(crate) change: Option<Change>,
}

/// Whether the log's newest start is the unit's.
fn is_of_last_start(engine: &EngineView, log: &EngineLog) -> bool {
    let last = log.newest_start.iter().rev().find_map(|line| line.at).or(log.last_line_at);
    engine.is_of_newest_start(last)
}

/// Quotes an entry of the engine's log.
pub(crate) fn quote_log(engine: &EngineView, log: &Cited<EngineLog>, message: &str) -> Vec<Citation> {
    cite::evidence(&engine.node, log, message, &format!("tail -n 200 {}", log.value.path))
}

/// Nothing answers on the port, for a chain's first link.
pub(crate) fn down_step(case: &Case<'_>, engine: &EngineView) -> Step {
    let port = case.picture.endpoint.port;
    let held: Vec<_> = engine
        .sockets
        .known()
        .map_or(&[][..], |sockets| &sockets.value.listeners)
        .iter()
        .filter(|listener| listener.port == port)
        .collect();
    let cites = match engine.sockets.known() {
        Some(sockets) if held.is_empty() => cite::listeners(&engine.node, sockets, &[], port),
        _ => Vec::new(),
    };
    let sentence = if held.is_empty() {
        format!("nothing listens on port {port}")
    } else {
        format!("{} does not listen on port {port}", engine.title())
    };
    case.symptom_step("port-closed", &sentence, cites)
}

/// A failure in words: `elasticsearch.service failed with exit status 78 at 14:02:11 UTC`.
pub(crate) fn failure(case: &Case<'_>, engine: &EngineView, failed: &Failed) -> String {
    let unit = engine.unit_name().unwrap_or(engine.engine.name.as_str());
    let how = match (failed.result.as_str(), failed.exit) {
        ("timeout", _) => " because it did not come up in time".to_owned(),
        ("oom-kill", _) => ": killed because memory ran out".to_owned(),
        (_, Some(MainExit::Exited(status))) => format!(" with exit status {status}"),
        (_, Some(MainExit::Killed(signal))) => format!(": killed by signal {signal}"),
        ("", None) => String::new(),
        (result, None) => format!(" ({})", cite::shown(result)),
    };
    let at = failed.at.map(|at| format!(" at {}", case.time(at))).unwrap_or_default();
    format!("{unit} failed{how}{at}")
}

/// Quotes the engine's processes.
pub(crate) fn processes(
    engine: &EngineView,
    cited: &Cited<common_evidence::collectors::processes::Processes>,
) -> Vec<Citation> {
    let pids: Vec<String> = cited.value.processes.iter().map(|process| process.pid.to_string()).collect();
    let excerpt = if pids.is_empty() { "no process".to_owned() } else { format!("pid {}", pids.join(", ")) };
    let unit = engine.unit_name().unwrap_or(engine.engine.name.as_str());
    cite::evidence(&engine.node, cited, &excerpt, &format!("systemctl status {unit}"))
}

/// A change of the engine's file made before its last start, with any of these keys.
pub(crate) fn edited(change: &Change, engine: &EngineView, keys: &[&str]) -> bool {
    let of_file = change.topic == Topic::Config && change.subject == engine.engine.config_file();
    of_file && before_last_start(change, engine) && change.items.iter().any(|item| keys.contains(&item.key.as_str()))
}

/// Whether a change was made before the last start, which it can then have broken.
pub(crate) fn before_last_start(change: &Change, engine: &EngineView) -> bool {
    const SLACK_MS: i64 = 1_500;
    engine.last_start_at().is_none_or(|start: Timestamp| change.at <= start.plus_millis(SLACK_MS))
}

/// Whether the engine runs, for rules that speak of a running one; else what is missing or why not.
pub(crate) fn running<'a>(case: &'a Case<'_>) -> Result<&'a EngineView, Finding> {
    let engine = case.engine().map_err(Finding::Unknown)?;
    match (engine.is_down(), engine.running()) {
        (Some(true), _) | (_, Running::No) => {
            let cites = engine.unit.known().map(|unit| cite::unit(&engine.node, unit)).unwrap_or_default();
            Err(Finding::ruled_out(format!("{} does not run", engine.title()), cites))
        }
        (None, _) | (_, Running::Unknown) => {
            let how = format!("on {}: systemctl status {}", engine.node, engine.engine.name);
            Err(Finding::unknown(format!("whether {} runs", engine.title()), how))
        }
        (Some(false), Running::Yes(_)) => Ok(engine),
    }
}
