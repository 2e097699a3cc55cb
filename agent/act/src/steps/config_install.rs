//! `config-install`: an engine's file gets the approved edits, and the engine is restarted. What the file becomes is checked
//! against the plan's digest before it is written, so that the edits and what they give are both what was approved.

use common_plan::{ConfigInstall, Digest, PlanId, Refusal};

use super::service;
use crate::files;
use crate::places::Places;

/// What the run of the unit was before the undoing restarted it: another one shows that it has.
const RUN_BEFORE_UNDO: &str = "run-before-undo";

/// What the file holds, if it is what the plan says and becomes what the plan says.
pub(super) fn observe(step: &ConfigInstall, places: &Places) -> Result<String, Refusal> {
    service::expect(&step.unit, &step.state, places)?;
    let path = step.file.as_str();
    let content = super::read(path, places).map_err(Refusal::Impossible)?;
    let content = content.ok_or_else(|| Refusal::Changed(format!("{path} is not there")))?;
    if Digest::of(content.as_bytes()) != step.from {
        return Err(Refusal::Changed(format!("{path} does not hold what the plan was made for")));
    }
    edited(step, &content).map_err(Refusal::Impossible)?;
    Ok(content)
}

fn edited(step: &ConfigInstall, content: &str) -> Result<String, String> {
    let edited = common_yml::apply(content, &step.edits).map_err(|error| format!("{}: {error}", step.file))?;
    if Digest::of(edited.as_bytes()) == step.to {
        Ok(edited)
    } else {
        Err(format!("the edits do not make of {} what was approved", step.file))
    }
}

pub(super) fn apply(step: &ConfigInstall, before: Option<&str>, places: &Places) -> Result<(), String> {
    let content = before.ok_or("what the file held before is not known")?;
    super::replace(step.file.as_str(), before, Some(&edited(step, content)?), places)?;
    service::restart(&step.unit, places)
}

/// The old file, and one restart: none where the engine was not restarted yet, and no second one where the undoing was itself
/// interrupted. An engine that was down before has been stopped.
pub(super) fn undo(step: &ConfigInstall, before: &super::Before, id: &PlanId, places: &Places) -> Result<(), String> {
    let content = before.file.as_deref().ok_or("what the file held before is not known")?;
    super::bring_back(step.file.as_str(), Some(content), Some(&edited(step, content)?), places)?;
    let run = service::run(&step.unit, places)?;
    if before.unit != Some(service::Activity::Up) || before.run.as_deref() == Some(run.as_str()) {
        return Ok(());
    }
    let marker = places.plan(id).join(RUN_BEFORE_UNDO);
    let failed = |error: std::io::Error| format!("{}: {error}", marker.display());
    match files::read_text(&marker).map_err(failed)? {
        Some(marked) if marked != run => return Ok(()),
        Some(_) => {}
        None => files::write(&marker, run.as_bytes(), 0o600).map_err(failed)?,
    }
    service::restart(&step.unit, places)
}
