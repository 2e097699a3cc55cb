//! What the rules about failing starts share: the last start, its words, and the links of a chain that lead to it.

use common_evidence::collectors::engine_log::{EngineLog, LogLine};
use common_evidence::collectors::journal::JournalLine;
use common_evidence::collectors::unit::MainExit;
use common_model::change::{Change, Topic};
use common_model::diagnosis::Citation;
use common_model::{Certainty, Timestamp};
use controller_correlate::engine_view::{Ending, Failed, LastRun};
use controller_correlate::{Cited, EngineView, Running};
use serde_json::{Value, json};

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
    run: LastRun<'a>,
    log: Option<LogOfStart<'a>>,
}

/// What the engine's log says of a start.
pub(crate) struct LogOfStart<'a> {
    /// The log.
    pub(crate) cited: &'a Cited<EngineLog>,
    /// Its entries of this start.
    pub(crate) entries: Vec<&'a LogLine>,
    /// Whether their times show that they are of no other start.
    dated: bool,
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
            Ending::Stopped(_) | Ending::NoRun => {
                let cites = engine.unit.known().map(|unit| cite::unit(&engine.node, unit)).unwrap_or_default();
                return Err(Finding::ruled_out(
                    format!("{} did not fail: it was stopped or never started", engine.title()),
                    cites,
                ));
            }
            Ending::Unknown => None,
        };
        let run = engine.last_run();
        let log = engine.log.known().and_then(|log| log_of_start(log, run.began));
        Ok(Self { engine, failed, is_down: down == Some(true), run, log })
    }

    /// Certain when it is known to be down and to have failed; likely when only its words tell, when those may be of another
    /// start, or when it is being started once more.
    pub(crate) fn certainty(&self) -> Certainty {
        let may_be_of_another = !self.wrote_to_journal() && self.log.as_ref().is_some_and(|log| !log.dated);
        match self.is_down && !self.run.superseded && !may_be_of_another {
            true => Certainty::Certain,
            false => Certainty::Likely,
        }
    }

    /// What the engine's log says of this start, if anything.
    pub(crate) fn log(&self) -> Option<&LogOfStart<'a>> {
        self.log.as_ref()
    }

    /// The journal lines of this start.
    pub(crate) fn lines(&self) -> &[&'a Cited<JournalLine>] {
        &self.run.lines
    }

    fn wrote_to_journal(&self) -> bool {
        self.run.lines.iter().any(|line| !line.value.from_systemd)
    }

    /// The first message of this start, in the journal or else the log, that holds any of these words.
    pub(crate) fn find(&self, words: &[&str]) -> Option<Words> {
        self.find_by(|message| words.iter().any(|word| message.contains(word)))
    }

    /// The first message of this start that passes a test.
    pub(crate) fn find_by(&self, test: impl Fn(&str) -> bool) -> Option<Words> {
        if let Some(line) = self.run.lines.iter().find(|line| test(&line.value.message)) {
            return Some(Words { message: line.value.message.clone(), cites: cite::journal(&self.engine.node, line) });
        }
        let log = self.log()?;
        let entry = log.entries.iter().find(|entry| test(&entry.message))?;
        Some(Words { message: entry.message.clone(), cites: quote_log(self.engine, log.cited, &entry.message) })
    }

    /// The finding when its words do not show a cause: they may not have been read at all.
    pub(crate) fn silent(&self) -> Finding {
        if self.log.is_none() && !self.wrote_to_journal() {
            let unit = self.engine.unit_name().unwrap_or(self.engine.engine.name.as_str());
            let log = self.engine.engine.log_file.as_deref().unwrap_or("the engine's log");
            let (title, node, name) = (self.engine.title(), &self.engine.node, &self.engine.engine.name);
            let words = format!("sudo journalctl -u {unit} -n 200; sudo tail -n 200 {log}");
            return match self.is_down {
                true => {
                    Finding::unknown(format!("what {title} wrote when its start failed"), format!("on {node}: {words}"))
                }
                false => Finding::unknown(
                    format!("whether {title} runs, and what it wrote if its start failed"),
                    format!("on {node}: systemctl status {name}; {words}"),
                ),
            };
        }
        Finding::ruled_out("no such message in the journal or log of its last start", Vec::new())
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
            blocks: Blocks::Start,
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

/// Kinds of evidence that rules about failing starts rest on.
pub(crate) static NEEDS: &[&str] = &["engines", "unit", "journal", "engine-log"];

/// A reason for a failed start that shows in its words alone.
pub(crate) struct ByWords {
    /// The cause's id.
    pub(crate) cause: &'static str,
    /// Any of these shows it.
    pub(crate) words: &'static [&'static str],
    /// What it is, after "does not start because".
    pub(crate) because: &'static str,
    /// Whether a change made before the start brought it, given the message.
    pub(crate) explains: fn(&Change, &EngineView, &str) -> bool,
}

impl ByWords {
    /// The finding of a rule that looks for words only.
    pub(crate) fn judge(&self, case: &Case<'_>) -> Finding {
        match Start::failed(case) {
            Ok(start) => self.judge_start(case, &start, |message| json!({ "message": message })),
            Err(finding) => finding,
        }
    }

    /// The same for a start that is at hand, with a detail made of the message.
    pub(crate) fn judge_start(&self, case: &Case<'_>, start: &Start<'_>, detail: impl Fn(&str) -> Value) -> Finding {
        let Some(found) = start.find(self.words) else { return start.silent() };
        let engine = start.engine;
        let message = line_with(&found.message, self.words);
        let fact = format!("{}: {message}", self.because);
        start.because(
            case,
            Told {
                cause: self.cause,
                certainty: Certainty::Certain,
                sentence: format!("{} on {} does not start because {fact}", engine.title(), engine.node),
                fact,
                detail: detail(&message),
                cites: found.cites,
                roots: Vec::new(),
                change: case.newest_change(|change| {
                    before_last_start(change, engine) && (self.explains)(change, engine, &found.message)
                }),
            },
        )
    }
}

/// The line of a message that has the words, without the engine's prefix of it.
pub(crate) fn line_with(message: &str, words: &[&str]) -> String {
    // With a stack trace, the address is in the exception that has this one for its cause.
    let binding = message.lines().find(|line| line.contains("Failed to bind to"));
    let with_words = message.lines().find(|line| words.iter().any(|word| line.contains(word)));
    let caused = with_words.is_some_and(|line| line.starts_with("Caused by: java.net.BindException"));
    let line = binding.filter(|_| caused).or(with_words).unwrap_or(message);
    cite::shown(line.trim().trim_start_matches("Likely root cause: "))
}

/// Nothing in the change log could have brought it.
pub(crate) fn unexplained(_: &Change, _: &EngineView, _: &str) -> bool {
    false
}

/// The engine's package was changed.
pub(crate) fn package_changed(change: &Change, engine: &EngineView, _: &str) -> bool {
    change.topic == Topic::Package
        && change.subject.starts_with(engine.engine.package.as_deref().unwrap_or(engine.product().slug()))
}

/// What a log says of the start that began then: what it wrote before is another's.
fn log_of_start(log: &Cited<EngineLog>, began: Option<Timestamp>) -> Option<LogOfStart<'_>> {
    let is_later = |entry: &&LogLine| began.zip(entry.at).is_none_or(|(began, at)| at >= began);
    let entries: Vec<&LogLine> = log.value.newest_start.iter().filter(is_later).collect();
    let dated = began.is_some() && entries.iter().all(|entry| entry.at.is_some());
    (!entries.is_empty()).then_some(LogOfStart { cited: log, entries, dated })
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
    engine.was_before_last_start(change.at)
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

#[cfg(any(test, feature = "testing"))]
pub(crate) mod pictures {
    //! Pictures of failed starts.

    use common_model::{Symptom, Timestamp};
    use controller_correlate::Picture;
    use controller_correlate::testing::{AT, Node, picture, probe};

    /// When the start failed.
    pub(crate) const FAILED_AT: Timestamp = Timestamp(AT.0 - 480_000);

    /// A node whose last start wrote these lines and ended with this exit status.
    pub(crate) fn failing(lines: &[&str], exit: i32) -> Node {
        let begun = Node::new().starting(FAILED_AT.plus_millis(-6000));
        let wrote = lines.iter().fold(begun, |node, line| node.stderr(FAILED_AT.plus_millis(-100), line));
        wrote.failed(FAILED_AT, exit)
    }

    /// Such a node, whose port refuses.
    pub(crate) fn failed(lines: &[&str], exit: i32) -> Picture {
        refused(failing(lines, exit))
    }

    /// A node whose port refuses.
    pub(crate) fn refused(node: Node) -> Picture {
        picture(node, vec![probe(Symptom::Refused)])
    }
}

#[cfg(test)]
pub(crate) mod checks {
    //! The three tests of every cause that shows in the words of a failed start.

    use common_model::{Certainty, Diagnosis};
    use controller_correlate::Picture;
    use controller_correlate::testing::{AT, Node};

    use super::pictures::{failed, failing, refused};
    use crate::case::Case;
    use crate::finding::{Cause, Finding};

    /// It fires in this picture, for certain.
    pub(crate) fn fires(cause: &Cause, picture: &Picture) -> Diagnosis {
        let diagnosis = crate::diagnose(picture);
        let verdict = &diagnosis.verdict;
        assert_eq!((verdict.cause.as_str(), verdict.certainty), (cause.id, Certainty::Certain), "{verdict:#?}");
        diagnosis
    }

    /// It fires neither for an engine that runs, whatever it wrote, nor for a start that failed with other words.
    pub(crate) fn does_not(cause: &Cause, lines: &[&str]) {
        let running = lines.iter().fold(Node::new(), |node, line| node.stderr(AT, line));
        for node in [running, failing(&["uncaught exception in thread [main]", "java.lang.Error: something else"], 1)] {
            let found = (cause.rule)(&Case::of(&refused(node)));
            assert!(matches!(found, Finding::RuledOut { .. }), "{found:?}");
        }
    }

    /// It cannot tell when nothing the engine wrote was read.
    pub(crate) fn cannot_tell(cause: &Cause) {
        let found = (cause.rule)(&Case::of(&failed(&[], 1)));
        assert!(matches!(found, Finding::Unknown(_)), "{found:?}");
    }
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
