//! ① The engine does not run: it was stopped, killed, or never started. A start that fails is another cause.

#[cfg(test)]
mod tests;

use common_evidence::collectors::host::Host;
use common_evidence::collectors::unit::{MainExit, Unit};
use common_model::change::Topic;
use common_model::{Certainty, Change, Stage, Timestamp};
use controller_correlate::engine_view::{Ending, Failed};
use controller_correlate::{Cited, EngineView};
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support, missing};
use crate::start;

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "not-running",
    title: "The engine is not running",
    stage: Some(Stage::Listen),
    needs: &["engines", "processes", "unit"],
    refuted_by: "a process of the engine",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    if let Some(finding) = case.accepted() {
        return finding;
    }
    let engine = match case.engine() {
        Ok(engine) => engine,
        Err(missing) => return Finding::Unknown(missing),
    };
    match engine.is_down() {
        Some(false) => {
            let cites = engine.processes.known().map(|cited| start::processes(engine, cited)).unwrap_or_default();
            return Finding::ruled_out(format!("{} runs", engine.title()), cites);
        }
        None => {
            let how = format!("on {}: systemctl status {}", engine.node, engine.engine.name);
            return Finding::unknown(format!("whether {} runs", engine.title()), how);
        }
        Some(true) => {}
    }
    match engine.ending() {
        Ending::Stopped(at) => supported(case, engine, Why::Stopped(at), Certainty::Certain),
        Ending::NoRun => supported(case, engine, Why::NoRun, Certainty::Certain),
        Ending::Unknown => supported(case, engine, Why::Unknown, without_unit(engine)),
        Ending::Failed(failed) if was_killed(engine, &failed) => {
            supported(case, engine, Why::Killed(failed), Certainty::Likely)
        }
        Ending::Failed(failed) => {
            let cites = engine.unit.known().map(|unit| cite::unit(&engine.node, unit)).unwrap_or_default();
            Finding::ruled_out(format!("it was not stopped: {}", start::failure(case, engine, &failed)), cites)
        }
    }
}

enum Why {
    Stopped(Option<Timestamp>),
    Killed(Failed),
    NoRun,
    Unknown,
}

/// Killed from outside while it ran: by a signal that no engine sends itself, and not for memory.
fn was_killed(engine: &EngineView, failed: &Failed) -> bool {
    const KILL: i32 = 9;
    const TERM: i32 = 15;
    let oom = engine.last_run().lines.iter().any(|line| line.value.message.contains("OOM killer"));
    failed.result == "signal" && matches!(failed.exit, Some(MainExit::Killed(KILL | TERM))) && !oom
}

/// Without a unit, the absence of a process is all there is.
fn without_unit(engine: &EngineView) -> Certainty {
    let empty = engine.processes.known().is_some_and(|processes| processes.value.processes.is_empty());
    if empty && engine.unit_name().is_none() { Certainty::Certain } else { Certainty::Likely }
}

fn supported(case: &Case<'_>, engine: &EngineView, why: Why, certainty: Certainty) -> Finding {
    let unit = engine.unit.known();
    let change = case.newest_change(|change| explains(change, engine, unit));
    let fact = fact(case, engine, &why, change.as_ref());
    let enabled = unit.map(|unit| unit.value.unit_file_state.clone());
    let disabled = matches!(enabled.as_deref(), Some("disabled" | "masked"));
    let note =
        if disabled { format!(" The unit is {}.", enabled.as_deref().unwrap_or_default()) } else { String::new() };
    let mut chain = vec![start::down_step(case, engine)];
    let mut cites = unit.map(|unit| cite::unit(&engine.node, unit)).unwrap_or_default();
    cites.extend(engine.processes.known().map(|cited| start::processes(engine, cited)).unwrap_or_default());
    if let Some(line) = engine.journal.iter().rev().find(|line| line.value.tells.is_some()) {
        cites.extend(cite::journal(&engine.node, line));
    }
    chain.push(Step::new("not-running", fact.clone(), cites));
    if disabled && matches!(why, Why::NoRun) {
        chain.push(boot_step(case, engine));
    }
    let mut gaps = Vec::new();
    if let Why::Killed(_) = why {
        gaps.push(missing(
            "who killed it: the kernel, for memory, or somebody",
            format!("on {}: sudo journalctl -k -g 'Killed process'", engine.node),
        ));
    }
    let since = match &why {
        Why::Stopped(at) => *at,
        Why::Killed(failed) => failed.at,
        Why::NoRun | Why::Unknown => None,
    };
    Finding::supported(Support {
        certainty,
        blocks: Blocks::Now,
        node: Some(engine.node.clone()),
        sentence: format!("{} on {} is not running: {fact}.{note}", engine.title(), engine.node),
        detail: json!({
            "unit": engine.unit_name(),
            "state": unit.map(|unit| unit.value.active_state.clone()),
            "enabled": enabled,
            "since": since,
        }),
        chain,
        change,
        missing: gaps,
    })
}

fn fact(case: &Case<'_>, engine: &EngineView, why: &Why, change: Option<&Change>) -> String {
    let unit = engine.unit_name().unwrap_or(engine.engine.name.as_str());
    let at = |at: &Option<Timestamp>| at.map(|at| format!(" at {}", case.time(at))).unwrap_or_default();
    let by = change.and_then(|change| {
        let how = change.how.as_deref().map(|how| format!(" ({})", cite::shown(how))).unwrap_or_default();
        Some(format!(" by {}{how}", cite::shown(change.who.as_deref()?)))
    });
    match why {
        Why::Stopped(when) => format!("{unit} was stopped{}{}", at(when), by.unwrap_or_default()),
        Why::Killed(failed) => start::failure(case, engine, failed),
        Why::NoRun => format!("{unit} is inactive"),
        Why::Unknown => "no process of it exists".to_owned(),
    }
}

fn boot_step(case: &Case<'_>, engine: &EngineView) -> Step {
    let host = case.node().map(|node| node.one::<Host>(""));
    let host = host.as_ref().and_then(|host| host.known());
    let (booted, cites) = match host {
        Some(host) => {
            let at = case.time(Timestamp(host.value.booted_at_ms));
            (
                format!(", and the host booted at {at}"),
                cite::evidence(&engine.node, host, &format!("booted at {at}"), "uptime -s"),
            )
        }
        None => (String::new(), Vec::new()),
    };
    Step::new("not-enabled", format!("the unit is not enabled{booted}"), cites)
}

/// The stop itself; for a unit that was never started, what took it out of the boot, or the boot.
fn explains(change: &Change, engine: &EngineView, unit: Option<&Cited<Unit>>) -> bool {
    let becomes = |key: &str, values: &[&str]| {
        change.items.iter().any(|item| item.key == key && item.new.as_deref().is_some_and(|new| values.contains(&new)))
    };
    let of_unit = change.topic == Topic::Unit && Some(change.subject.as_str()) == engine.unit_name();
    if of_unit && becomes("active-state", &["inactive", "failed"]) {
        return true;
    }
    let disabled = unit.is_some_and(|unit| matches!(unit.value.unit_file_state.as_str(), "disabled" | "masked"));
    let never = engine.ending() == Ending::NoRun && disabled;
    never && ((of_unit && becomes("unit-file-state", &["disabled", "masked"])) || change.topic == Topic::Boot)
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use controller_correlate::Picture;
    use controller_correlate::testing::{AT, Node};

    use crate::start::pictures::refused;

    pub(crate) fn fires() -> Picture {
        let at = AT.plus_millis(-480_000);
        refused(Node::new().stopped(at))
    }
}
