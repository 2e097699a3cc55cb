//! What a remedy is in the words of a plan. A step is given only where it does exactly what the remedy's text says; whatever a
//! plan has no words for is left to people.

mod firewall_allow;
mod security_group_allow;
mod service;
mod sysctl_set;
mod unit_limit;

use common_model::diagnosis::Remedy;
use common_plan::{Label, Step, UnitName};

use crate::ask::Ask;

/// The step of a remedy proposed for this question, by the remedy's action.
pub fn of(ask: &Ask<'_>, remedy: &Remedy) -> Option<Step> {
    match remedy.action.as_str() {
        "sysctl-set" => sysctl_set::step(ask),
        "unit-limit" => unit_limit::step(ask, remedy),
        "service" => service::step(ask, remedy),
        "firewall-allow" => firewall_allow::step(ask, remedy),
        "security-group-allow" => security_group_allow::step(ask, remedy),
        _ => None,
    }
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
