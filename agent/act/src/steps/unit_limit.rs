//! `unit-limit`: first a drop-in below `/run`, which goes with the boot; once confirmed the one below `/etc`. One that is taken away is
//! gone at once, and put back unless that is confirmed: a unit that runs keeps its limits either way.

use common_plan::{Digest, Refusal, UnitLimit};

use super::service;
use crate::places::Places;

pub(super) fn observe(step: &UnitLimit, places: &Places) -> Result<Option<String>, Refusal> {
    let content = super::read(&step.path(), places).map_err(Refusal::Impossible)?;
    if content.as_ref().map(|content| Digest::of(content.as_bytes())) != step.from {
        return Err(Refusal::Changed(format!("{} is another", step.path())));
    }
    if super::read(&trial(step), places).map_err(Refusal::Impossible)?.is_some() {
        return Err(Refusal::Changed(format!("{} is there", trial(step))));
    }
    Ok(content)
}

pub(super) fn apply(step: &UnitLimit, before: Option<&str>, places: &Places) -> Result<(), String> {
    match step.content() {
        Some(content) => super::replace(&trial(step), None, Some(&content), places)?,
        None => super::replace(&step.path(), before, None, places)?,
    }
    service::reload(places)
}

pub(super) fn persist(step: &UnitLimit, before: Option<&str>, places: &Places) -> Result<(), String> {
    let Some(content) = step.content() else { return Ok(()) };
    super::replace(&step.path(), before, Some(&content), places)?;
    super::bring_back(&trial(step), None, Some(&content), places)?;
    service::reload(places)
}

pub(super) fn undo(step: &UnitLimit, before: Option<&str>, places: &Places) -> Result<(), String> {
    let content = step.content();
    let lasting = super::bring_back(&step.path(), before, content.as_deref(), places);
    let live = match &content {
        Some(content) => super::bring_back(&trial(step), None, Some(content), places),
        None => Ok(()),
    };
    super::both(super::both(lasting, live), service::reload(places))
}

/// Drop-ins count in the order of their names, wherever they are, so this one is stronger than the one it tries out.
fn trial(step: &UnitLimit) -> String {
    format!("/run/systemd/system/{}.d/61-dialtone-trial.conf", step.unit)
}
