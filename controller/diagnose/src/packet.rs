//! The fate of the deciding probe's packets in the node's filters.

use common_evidence::firewall::{Decision, Fate, Packet};
use common_model::diagnosis::Citation;
use common_model::{Probe, Symptom};

use crate::case::Case;
use crate::cite;

/// What the node's filters do to the probe's packets, as far as it got. None when it is not known where the probe came from,
/// where to, or what the filters are.
pub(crate) fn fate(case: &Case<'_>, probe: &Probe) -> Option<Fate> {
    let packet = Packet { source: probe.source?, destination: probe.address?, port: probe.port, interface: None };
    match case.filters.as_ref()?.fate(&packet) {
        // A rule against what follows the handshake does not explain an attempt that never connected.
        Fate::Blocked(decision) if decision.site.established && !probe.connected => Some(Fate::Passes),
        fate => Some(fate),
    }
}

/// Whether the filters let the probe connect and then silence it: rules that let in new connections only.
pub(crate) fn is_silenced(case: &Case<'_>, probe: &Probe) -> bool {
    let unanswered = probe.connected && matches!(probe.outcome, Symptom::Timeout | Symptom::Reset);
    unanswered && matches!(fate(case, probe), Some(Fate::Blocked(decision)) if decision.site.established)
}

/// Quotes the rule that decided.
pub(crate) fn quote(case: &Case<'_>, decision: &Decision) -> Vec<Citation> {
    let (Some(filters), Some(node)) = (&case.filters, case.node()) else { return Vec::new() };
    let of_owner = filters.evidence.iter().find(|(owner, _)| *owner == decision.owner);
    let Some((owner, id)) = of_owner.or(filters.evidence.first()) else { return Vec::new() };
    let excerpt = match &decision.rule {
        Some(rule) => format!("{}: {rule}", decision.place),
        None => format!("{}: policy", decision.place),
    };
    cite::by_id(&node.name, id, owner.slug(), case.node_now(), &excerpt, &decision.shown_by)
}

/// Quotes that no rule decides.
pub(crate) fn quote_none(case: &Case<'_>) -> Vec<Citation> {
    let (Some(filters), Some(node)) = (&case.filters, case.node()) else { return Vec::new() };
    let Some((owner, id)) = filters.evidence.first() else { return Vec::new() };
    cite::by_id(&node.name, id, owner.slug(), case.node_now(), "no rule stops it", "nft list ruleset")
}
