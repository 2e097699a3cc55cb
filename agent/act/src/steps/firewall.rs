//! `firewall-allow`.

use common_plan::{FirewallAllow, PlanId, Refusal};

use crate::places::Places;

pub(super) fn observe(_: &FirewallAllow, _: &PlanId, _: &Places) -> Result<(), Refusal> {
    Err(Refusal::Impossible("this actuator cannot open this firewall; do it by hand as the remedy says".to_owned()))
}

pub(super) fn apply(_: &FirewallAllow, _: &PlanId, _: &Places) -> Result<(), String> {
    Ok(())
}

pub(super) fn persist(_: &FirewallAllow, _: &PlanId, _: &Places) -> Result<(), String> {
    Ok(())
}

pub(super) fn undo(_: &FirewallAllow, _: &PlanId, _: &Places) -> Result<(), String> {
    Ok(())
}
