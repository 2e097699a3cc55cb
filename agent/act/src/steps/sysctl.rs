//! `sysctl-set`: the kernel's value first, the file that makes it last once it is confirmed.

use std::fs::{self, OpenOptions};
use std::io::Write;

use common_plan::{Refusal, Sysctl, SysctlSet};

use super::sysctl_file::{last_value, with_value};
use crate::places::Places;

/// The file as it is, if there is one to keep.
pub(super) fn observe(step: &SysctlSet, places: &Places) -> Result<Option<String>, Refusal> {
    let live = live(step.key, places).map_err(Refusal::Impossible)?;
    if live != step.from {
        return Err(Refusal::Changed(format!("{} is {live}, not {}", step.key, step.from)));
    }
    let Some(file) = &step.persist else { return Ok(None) };
    let content = super::read(&file.path(), places).map_err(Refusal::Impossible)?;
    let value = content.as_deref().and_then(|content| last_value(content, step.key));
    if value != file.from.as_deref() {
        let [is, was] = [value, file.from.as_deref()].map(|value| value.unwrap_or("not there").to_owned());
        return Err(Refusal::Changed(format!("{} in {} is {is}, not {was}", step.key, file.path())));
    }
    Ok(content)
}

/// The kernel cannot compare and set in one, so it is compared right before: what somebody sets in the microseconds between is
/// overwritten.
pub(super) fn apply(step: &SysctlSet, places: &Places) -> Result<(), String> {
    match live(step.key, places)? {
        live if live == step.from => write(step.key, step.to, places),
        live => Err(format!("{} became {live} a moment ago", step.key)),
    }
}

pub(super) fn persist(step: &SysctlSet, before: Option<&str>, places: &Places) -> Result<(), String> {
    let Some(file) = &step.persist else { return Ok(()) };
    super::replace(&file.path(), before, Some(&with_value(before, step.key, step.to)), places)
}

pub(super) fn undo(step: &SysctlSet, before: Option<&str>, places: &Places) -> Result<(), String> {
    let file = step.persist.as_ref().map_or(Ok(()), |file| {
        super::bring_back(&file.path(), before, Some(&with_value(before, step.key, step.to)), places)
    });
    let value = match live(step.key, places)? {
        live if live == step.from => Ok(()),
        live if live == step.to => write(step.key, step.from, places),
        live => Err(format!("{} is {live}, which somebody else has set since, and stays so", step.key)),
    };
    super::both(file, value)
}

fn live(key: Sysctl, places: &Places) -> Result<u64, String> {
    let text =
        fs::read_to_string(places.at(key.proc_path())).map_err(|error| format!("{}: {error}", key.proc_path()))?;
    text.trim().parse().map_err(|_| format!("{} is not a number", key.proc_path()))
}

/// The kernel may take a value and keep another, so it is read back. The file is the kernel's: never made, never emptied.
fn write(key: Sysctl, value: u64, places: &Places) -> Result<(), String> {
    let path = key.proc_path();
    let file = OpenOptions::new().write(true).open(places.at(path));
    let written = file.and_then(|mut file| file.write_all(format!("{value}\n").as_bytes()));
    written.map_err(|error| format!("{path}: {error}"))?;
    match live(key, places)? {
        live if live == value => Ok(()),
        live => Err(format!("the kernel made {live} of {key} {value}")),
    }
}
