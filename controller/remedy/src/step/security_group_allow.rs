//! The typed form of the rule that lets the client through.

use common_model::diagnosis::Remedy;
use common_plan::{SecurityGroupAllow, Step};

use crate::actions::security_group_allow::opened;
use crate::ask::Ask;

/// Seconds a rule has to prove itself: groups change within moments, but not at once.
const WINDOW_S: u32 = 60;

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
        confirm_within_s: WINDOW_S,
        takes_back: None,
    }))
}
