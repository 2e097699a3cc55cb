//! Letting the client in, and nobody else, in whatever owns the firewall.

use common_evidence::collectors::interfaces::Interfaces;
use common_evidence::firewall::{Fate, Network, Opening, Packet, opening};
use common_model::diagnosis::{Remedy, RemedyKind};
use common_model::probe::Probe;
use controller_correlate::Filters;

use super::Action;
use crate::ask::Ask;

/// The entry.
pub(super) static ACTION: Action = Action { id: "firewall-allow", causes: &["host-firewall"], propose };

fn propose(ask: &Ask<'_>) -> Vec<Remedy> {
    remedy(ask).into_iter().collect()
}

/// How the client can be let in.
pub(crate) struct Opened {
    /// Who is let in.
    pub(crate) client: Network,
    /// What was blocked.
    pub(crate) packet: Packet,
    /// By what.
    pub(crate) opening: Opening,
}

pub(crate) fn opened(ask: &Ask<'_>) -> Option<Opened> {
    let node = ask.node?;
    let filters = Filters::of(node)?;
    let reading = node.one::<Interfaces>("");
    let interfaces = reading.known().map(|cited| &cited.value);
    let packet = packet(ask, interfaces)?;
    let Fate::Blocked(decision) = filters.fate(&packet) else { return None };
    let client = ask.client_network(packet.source, packet.destination);
    let opening = opening(&filters.firewalls, &decision, &packet, client);
    Some(Opened { client, packet, opening })
}

fn remedy(ask: &Ask<'_>) -> Option<Remedy> {
    let Opened { client, packet, opening } = opened(ask)?;
    let title = format!("Let {client} reach port {}{}", packet.port, ask.on_node());
    let commands: Vec<String> =
        opening.commands.iter().chain(&opening.persist).map(|command| as_root(command)).collect();
    let kind = if commands.is_empty() { RemedyKind::Manual } else { RemedyKind::Approve };
    Some(Remedy {
        commands,
        risk: opening.risk,
        undo: opening.undo.iter().map(|command| as_root(command)).collect::<Vec<_>>().join(" && "),
        ..ACTION.remedy(kind, title)
    })
}

/// Comments stay comments.
fn as_root(command: &str) -> String {
    if command.starts_with('#') { command.to_owned() } else { format!("sudo {command}") }
}

/// The SYN of the vantage that was blocked.
fn packet(ask: &Ask<'_>, interfaces: Option<&Interfaces>) -> Option<Packet> {
    let from = |probe: &&Probe| !probe.connected && probe.source.is_some();
    let probe = ask
        .picture
        .probes
        .iter()
        .find(from)
        .or_else(|| ask.picture.probes.iter().find(|probe| probe.source.is_some()))?;
    let destination = probe.address.or_else(|| ask.addresses.first().copied())?.to_canonical();
    let interface = interfaces.and_then(|interfaces| interfaces.holder(destination)).map(|held| held.interface.clone());
    Some(Packet { source: probe.source?.to_canonical(), destination, port: probe.port, interface })
}
