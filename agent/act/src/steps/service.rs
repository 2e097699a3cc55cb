//! `service`, and starting a unit as a part of something else. Jobs are queued and not waited for: an engine takes a minute to
//! start, the lock is held meanwhile, and whether it came up is for the look from outside to say.

use common_plan::{Label, Refusal, Service, UnitName, Verb};
use serde::{Deserialize, Serialize};

use crate::places::Places;
use crate::tools::{self, SYSTEMCTL};

/// The `UnitFileState` of a unit that does not start at boot and could.
const DISABLED: &str = "disabled";

/// Whether a unit runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// It runs, or is about to.
    Up,
    /// It does not run.
    Down,
}

pub(super) fn observe(step: &Service, places: &Places) -> Result<(), Refusal> {
    expect(&step.unit, &step.from, places)?;
    let at_boot = at_boot(&step.unit, places).map_err(Refusal::Impossible)?;
    if step.enable && at_boot != DISABLED {
        return Err(Refusal::Changed(format!("{} is {}, not {DISABLED}", step.unit, at_boot.escape_debug())));
    }
    Ok(())
}

/// Refuses where the unit is in another state.
pub(super) fn expect(unit: &UnitName, wanted: &Label, places: &Places) -> Result<(), Refusal> {
    let state = state(unit, places).map_err(Refusal::Impossible)?;
    if state == wanted.as_str() {
        return Ok(());
    }
    Err(Refusal::Changed(format!("{unit} is {}, not {wanted}", state.escape_debug())))
}

pub(super) fn act(step: &Service, places: &Places) -> Result<(), String> {
    match step.verb {
        Verb::Start => start(&step.unit, places),
        Verb::Restart => restart(&step.unit, places),
    }
}

pub(super) fn restart(unit: &UnitName, places: &Places) -> Result<(), String> {
    job("restart", unit, places)
}

/// Has it start at boot, too, where the plan says so.
pub(super) fn persist(step: &Service, places: &Places) -> Result<(), String> {
    if step.enable { at_boot_be("enable", &step.unit, places) } else { Ok(()) }
}

/// A unit that was down is stopped elsewhere.
pub(super) fn undo(step: &Service, places: &Places) -> Result<(), String> {
    match at_boot(&step.unit, places)?.as_str() {
        "enabled" if step.enable => at_boot_be("disable", &step.unit, places),
        _ => Ok(()),
    }
}

pub(super) fn start(unit: &UnitName, places: &Places) -> Result<(), String> {
    job("start", unit, places)
}

/// For a unit that was down before; one that is down does not change.
pub(super) fn stop(unit: &UnitName, places: &Places) -> Result<(), String> {
    match activity(unit, places)? {
        Activity::Up => job("stop", unit, places),
        Activity::Down => Ok(()),
    }
}

pub(super) fn activity(unit: &UnitName, places: &Places) -> Result<Activity, String> {
    Ok(match state(unit, places)?.as_str() {
        "inactive" | "failed" | "deactivating" => Activity::Down,
        _ => Activity::Up,
    })
}

pub(super) fn reload(places: &Places) -> Result<(), String> {
    tools::run(places, SYSTEMCTL, &["daemon-reload"]).map(|_| ())
}

fn job(verb: &str, unit: &UnitName, places: &Places) -> Result<(), String> {
    tools::run(places, SYSTEMCTL, &[verb, "--no-block", "--", unit.as_str()]).map(|_| ())
}

fn at_boot_be(verb: &str, unit: &UnitName, places: &Places) -> Result<(), String> {
    tools::run(places, SYSTEMCTL, &[verb, "--", unit.as_str()]).map(|_| ())
}

fn state(unit: &UnitName, places: &Places) -> Result<String, String> {
    property("ActiveState", unit, places)
}

/// systemd's id of the unit's run, the last one where it does not run; empty where it never did.
pub(super) fn run(unit: &UnitName, places: &Places) -> Result<String, String> {
    property("InvocationID", unit, places)
}

fn at_boot(unit: &UnitName, places: &Places) -> Result<String, String> {
    property("UnitFileState", unit, places)
}

fn property(name: &str, unit: &UnitName, places: &Places) -> Result<String, String> {
    let arguments = ["show", "--property", name, "--value", "--", unit.as_str()];
    Ok(tools::run(places, SYSTEMCTL, &arguments)?.trim().to_owned())
}
