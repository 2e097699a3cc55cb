//! Limits of the engine's unit, by a drop-in of our own.

use std::collections::BTreeMap;

use common_model::diagnosis::Remedy;
use common_plan::{Limit, LimitValue, Step, UnitLimit};

use super::{to_start, unit};
use crate::ask::Ask;

/// The limit and the least value that satisfy a check.
fn limit(check: &str) -> Option<(Limit, LimitValue)> {
    Some(match check {
        "file-descriptors" => (Limit::Nofile, LimitValue::At(65_535)),
        "memory-lock" => (Limit::Memlock, LimitValue::Infinity),
        "max-threads" => (Limit::Nproc, LimitValue::At(4096)),
        "max-virtual-memory" => (Limit::As, LimitValue::Infinity),
        "max-file-size" => (Limit::Fsize, LimitValue::Infinity),
        _ => return None,
    })
}

/// None where the drop-in is there already: what it holds is not known here, and a plan has to name it.
pub(super) fn step(ask: &Ask<'_>, remedy: &Remedy) -> Option<Step> {
    let checks = ask.verdict.detail.get("checks")?.as_array()?;
    let failed = checks.iter().filter_map(|check| limit(check["check"].as_str()?));
    // The remedy says which of them it raises.
    let raised =
        |(limit, value): &(Limit, LimitValue)| remedy.title.contains(&format!("{}={value}", limit.directive()));
    let limits: BTreeMap<Limit, LimitValue> = failed.filter(raised).collect();
    if limits.is_empty() {
        return None;
    }
    let step = UnitLimit { unit: unit(ask)?, limits, from: None, start: to_start(ask) };
    let present = &ask.engine.as_ref()?.unit.known()?.value.drop_ins;
    (!present.contains(&step.path())).then_some(Step::UnitLimit(step))
}
