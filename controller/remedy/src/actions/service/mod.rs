//! Starting or restarting the engine's unit.

use common_model::diagnosis::{Remedy, RemedyKind};

use super::Action;
use crate::ask::Ask;

/// The entry.
pub(super) static ACTION: Action = Action {
    id: "service",
    causes: &["not-running", "bound-to-loopback", "bound-to-other-address", "port-differs"],
    propose,
};

fn propose(ask: &Ask<'_>) -> Vec<Remedy> {
    match ask.verdict.cause.as_str() {
        "not-running" => start(ask).into_iter().collect(),
        // With an edit to make, the restart is part of that remedy.
        _ if super::yml_edit::applies(ask) => Vec::new(),
        _ => restart(ask).into_iter().collect(),
    }
}

fn start(ask: &Ask<'_>) -> Option<Remedy> {
    let unit = ask.unit()?;
    let state = ask.engine.as_ref()?.unit.known().map(|unit| unit.value.unit_file_state.clone()).unwrap_or_default();
    let command = match state.as_str() {
        "masked" => vec![format!("sudo systemctl unmask {unit}"), format!("sudo systemctl enable --now {unit}")],
        "disabled" => vec![format!("sudo systemctl start {unit}"), format!("sudo systemctl enable {unit}")],
        _ => vec![format!("sudo systemctl start {unit}")],
    };
    let risk = match state.as_str() {
        "disabled" | "masked" => {
            "It was switched off on purpose or never switched on: make sure that nobody keeps it down."
        }
        _ => "Make sure that whoever stopped it is done.",
    };
    let undo = match state.as_str() {
        "masked" => format!("sudo systemctl disable --now {unit} && sudo systemctl mask {unit}"),
        "disabled" => format!("sudo systemctl disable --now {unit}"),
        _ => format!("sudo systemctl stop {unit}"),
    };
    let lasting = if state == "disabled" { ", and have it start at boot" } else { "" };
    Some(remedy(format!("Start {unit}{}{lasting}", ask.on_node()), command, risk, undo))
}

fn restart(ask: &Ask<'_>) -> Option<Remedy> {
    let unit = ask.unit()?;
    let edited = ask.engine.as_ref()?.edited_since_start() == Some(true);
    edited.then(|| {
        remedy(
            format!("Restart {unit}{}, so that it reads its changed configuration", ask.on_node()),
            vec![format!("sudo systemctl restart {unit}")],
            "The node leaves its cluster while it restarts.",
            "none: the file is as it was".to_owned(),
        )
    })
}

fn remedy(title: String, commands: Vec<String>, risk: &str, undo: String) -> Remedy {
    Remedy { commands, risk: risk.to_owned(), undo, ..ACTION.remedy(RemedyKind::Approve, title) }
}
