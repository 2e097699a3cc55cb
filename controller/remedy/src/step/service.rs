//! Starting or restarting the engine's unit, where that is all there is to do.

use common_model::diagnosis::Remedy;
use common_plan::{Service, Step, Verb};

use super::{active_state, unit};
use crate::ask::Ask;

/// None where the remedy unmasks the unit: that is for people to decide.
pub(super) fn step(ask: &Ask<'_>, remedy: &Remedy) -> Option<Step> {
    let (unit, from) = (unit(ask)?, active_state(ask)?);
    let (command, rest) = remedy.commands.split_first()?;
    let enable = *rest == [format!("sudo systemctl enable {unit}")];
    if !enable && !rest.is_empty() {
        return None;
    }
    let verb = match (command.strip_prefix("sudo systemctl ")?.strip_suffix(unit.as_str())?, from.as_str()) {
        ("start ", "inactive" | "failed") => Verb::Start,
        ("restart ", "active") => Verb::Restart,
        _ => return None,
    };
    Some(Step::Service(Service { unit, verb, from, enable }))
}
