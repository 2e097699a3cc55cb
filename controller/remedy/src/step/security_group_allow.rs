//! The typed form of the rule that lets the client through.

use common_model::diagnosis::Remedy;
use common_plan::{SecurityGroupAllow, Step};

use crate::actions::security_group_allow::opened;
use crate::ask::Ask;
use crate::plan::Terms;

/// None where the remedy is for something else than the group the verdict names.
pub(super) fn step(ask: &Ask<'_>, remedy: &Remedy) -> Option<Step> {
    let opened = opened(ask)?;
    if remedy.title != opened.title(ask) {
        return None;
    }
    Some(Step::SecurityGroupAllow(SecurityGroupAllow {
        region: opened.region,
        group: opened.group,
        interface: opened.interface,
        source: opened.client,
        port: opened.port,
        confirm_within_s: Terms::default().prove_seconds,
        takes_back: None,
    }))
}
