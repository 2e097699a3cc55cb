//! The typed form of what opens the port.

use common_model::diagnosis::Remedy;
use common_plan::{FirewallAllow, Step};

use crate::actions::firewall_allow::opened;
use crate::ask::Ask;

/// None where one of the places can only be opened by hand.
pub(super) fn step(ask: &Ask<'_>, remedy: &Remedy) -> Option<Step> {
    let opened = opened(ask)?;
    let says = remedy.title.contains(&format!("Let {} reach port {}", opened.client, opened.packet.port));
    let openings = opened.opening.typed;
    if openings.is_empty() || openings.len() != opened.opening.commands.len() || !says {
        return None;
    }
    Some(Step::FirewallAllow(FirewallAllow { source: opened.client, port: opened.packet.port, openings, for_s: None }))
}
