//! What a remedy is in the words of a plan. A step is given only where it does exactly what the remedy's text says; whatever a
//! plan has no words for is left to people.

pub(crate) mod config_edit;
mod firewall_allow;
mod security_group_allow;
mod service;
mod sysctl_set;
mod unit_limit;

use common_model::diagnosis::Remedy;
use common_plan::{Label, Step, UnitName};

use crate::ask::Ask;
use crate::plan::Means;

/// A remedy in the words of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What is done.
    pub step: Step,
    /// What can go wrong, for people.
    pub risk: String,
    /// How it is taken back, for people.
    pub undo: String,
}

/// A remedy proposed for this question in the words of a plan, by the remedy's action; else what is missing for that, where
/// somebody can provide it.
pub fn of(ask: &Ask<'_>, remedy: &Remedy, means: &Means) -> Option<Result<Planned, String>> {
    let step = match remedy.action.as_str() {
        "sysctl-set" => sysctl_set::step(ask),
        "unit-limit" => unit_limit::step(ask, remedy),
        "service" => service::step(ask, remedy),
        "firewall-allow" => firewall_allow::step(ask, remedy),
        "config-edit" => return config_edit::planned(ask, remedy, means),
        "security-group-allow" => security_group_allow::step(ask, remedy),
        _ => None,
    };
    step.map(|step| {
        // The plan's drop-in is another file than the one that the remedy's commands write.
        let undo = match &step {
            Step::UnitLimit(limit) => format!("sudo rm {} && sudo systemctl daemon-reload", limit.path()),
            _ => remedy.undo.clone(),
        };
        Ok(Planned { step, risk: remedy.risk.clone(), undo })
    })
}

/// The engine's unit, where it is one that a plan may name.
fn unit(ask: &Ask<'_>) -> Option<UnitName> {
    ask.unit()?.parse().ok()
}

/// Its `ActiveState`.
fn active_state(ask: &Ask<'_>) -> Option<Label> {
    ask.engine.as_ref()?.unit.known()?.value.active_state.parse().ok()
}

/// The unit, where it is down and has to be started once the step is done.
fn to_start(ask: &Ask<'_>) -> Option<UnitName> {
    let state = active_state(ask)?;
    if matches!(state.as_str(), "failed" | "inactive") { unit(ask) } else { None }
}

#[cfg(test)]
pub(crate) mod tests;
