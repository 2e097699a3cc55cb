//! A connection's first packet through every hook, and the answer to it back out.

use std::net::IpAddr;

use super::decision::decision;
use super::flow::{Flow, Interface, Truth};
use super::ruleset::{Base, Chain, Family, Hook, Table};
use super::walk::{End, Stop, Walk};
use super::{Block, Fate, Firewalls, Packet};

/// Rules looked at before giving up; a large real ruleset has some ten thousand.
const BUDGET: usize = 500_000;

/// What becomes of the SYN of a new connection, and of the answer to it.
///
/// Every base chain of every table is asked, in the kernel's order; a drop or reject is final, an accept only ends its own base
/// chain. The answer is followed too, since a filter on output silences a node as well as one on input.
pub fn decide(firewalls: &Firewalls, packet: &Packet) -> Fate {
    journey(firewalls, packet).0
}

/// Where translation rules send the connection instead of to a process of this host: a container, usually.
pub fn forwarded_to(firewalls: &Firewalls, packet: &Packet) -> Option<(IpAddr, u16)> {
    journey(firewalls, packet).1
}

fn journey(firewalls: &Firewalls, packet: &Packet) -> (Fate, Option<(IpAddr, u16)>) {
    let mut journey =
        Journey { firewalls, flow: first_packet(firewalls, packet), budget: BUDGET, doubt: None, stop: None };
    let forwarded = journey.run();
    let fate = match (journey.stop.take(), journey.doubt.take()) {
        (Some(stop), _) => Fate::Blocked(decision(firewalls, packet, &journey.flow, &stop)),
        (None, Some(text)) => Fate::Unclear(text),
        (None, None) => firewalls.gaps.first().map_or(Fate::Passes, |gap| Fate::Unclear(gap.clone())),
    };
    (fate, forwarded)
}

fn first_packet(firewalls: &Firewalls, packet: &Packet) -> Flow {
    let source = packet.source.to_canonical();
    let destination = packet.destination.to_canonical();
    let from_here = source == destination || source.is_loopback() || firewalls.is_local(source) == Some(true);
    let in_interface = if from_here {
        Interface::Named("lo".to_owned())
    } else {
        packet
            .interface
            .clone()
            .or_else(|| firewalls.interface_for(source, destination))
            .map_or(Interface::Foreign, Interface::Named)
    };
    Flow {
        source,
        destination,
        source_port: None,
        port: Some(packet.port),
        reverse_path: (from_here || firewalls.on_link(source, &in_interface)).then_some(true),
        in_interface,
        out_interface: Interface::Absent,
        state: Some("new"),
        reply: false,
        translated: false,
        local: Some(true),
        from_here,
        mark: Some(0),
        connection_mark: Some(0),
    }
}

struct Journey<'a> {
    firewalls: &'a Firewalls,
    flow: Flow,
    budget: usize,
    /// The first rule that may block.
    doubt: Option<String>,
    stop: Option<Stop<'a>>,
}

/// Whether to go on.
enum Onward {
    Yes,
    No,
}

impl Journey<'_> {
    fn run(&mut self) -> Option<(IpAddr, u16)> {
        if self.flow.from_here {
            let arriving = std::mem::replace(&mut self.flow.in_interface, Interface::Absent);
            self.flow.out_interface = arriving.clone();
            if matches!(self.hooks(&[Hook::Output, Hook::Postrouting], true), Onward::No) {
                return None;
            }
            self.flow.out_interface = Interface::Absent;
            self.flow.in_interface = arriving;
            if self.is_for_us() == Some(false) {
                return self.target();
            }
        }
        if matches!(self.hooks(&[Hook::Ingress, Hook::Prerouting], !self.flow.from_here), Onward::No) {
            return None;
        }
        match self.is_for_us() {
            Some(true) => {
                if matches!(self.hooks(&[Hook::Input], true), Onward::Yes) {
                    self.turn_round();
                    // Whether the answer gets out decides nothing more when it does.
                    let _ended = self.hooks(&[Hook::Output, Hook::Postrouting], false);
                }
                None
            }
            Some(false) => {
                self.flow.out_interface = self.firewalls.route(self.flow.destination);
                let _ended = self.hooks(&[Hook::Forward, Hook::Postrouting], true);
                self.target()
            }
            None => {
                let text = format!("translated to {}, which may be this host or another", self.flow.destination);
                self.doubt.get_or_insert(text);
                self.target()
            }
        }
    }

    fn target(&self) -> Option<(IpAddr, u16)> {
        Some((self.flow.destination, self.flow.port?))
    }

    fn is_for_us(&mut self) -> Truth {
        if self.flow.local.is_none() {
            self.flow.local = self.firewalls.is_local(self.flow.destination);
        }
        self.flow.local
    }

    /// Makes the packet the answer to itself. The port a client listens on for it is not known.
    fn turn_round(&mut self) {
        let flow = &mut self.flow;
        std::mem::swap(&mut flow.source, &mut flow.destination);
        flow.source_port = flow.port.take();
        flow.out_interface = std::mem::replace(&mut flow.in_interface, Interface::Absent);
        flow.state = flow.state.filter(|state| *state == "new").map(|_| "established");
        flow.reply = true;
        flow.local = Some(flow.from_here);
        flow.from_here = true;
        flow.reverse_path = None;
        flow.mark = Some(0);
    }

    /// Takes the packet through hooks; `nat` when translations are still open.
    fn hooks(&mut self, hooks: &[Hook], nat: bool) -> Onward {
        for hook in hooks {
            let mut translated = !nat;
            for (table, chain, base) in base_chains(self.firewalls, *hook, self.flow.destination) {
                if base.nat && translated {
                    continue;
                }
                let maybe_elsewhere = table.family == Family::Bridge || !self.is_on(base);
                let end = Walk { flow: &mut self.flow, budget: &mut self.budget }.base_chain(table, chain, base);
                match end {
                    End::Pass => {}
                    End::Translated => translated = true,
                    End::Unclear(text) => {
                        self.doubt.get_or_insert(text);
                    }
                    End::Lost(text) => {
                        self.doubt.get_or_insert(text);
                        return Onward::No;
                    }
                    End::Stop(_) if maybe_elsewhere => {
                        self.doubt.get_or_insert_with(|| format!("{} {} {}", table.family, table.name, chain.name));
                    }
                    End::Stop(mut stop) => {
                        if self.flow.reply {
                            // What rejects the answer tells the node, not the client.
                            stop.block = Block::Drop;
                        }
                        self.stop = Some(stop);
                        return Onward::No;
                    }
                }
            }
        }
        Onward::Yes
    }

    /// Whether the packet's interface is certainly one of the chain's devices; chains without devices see all.
    fn is_on(&self, base: &Base) -> bool {
        match &self.flow.in_interface {
            _ if base.devices.is_empty() => true,
            Interface::Named(name) => base.devices.contains(name),
            _ => false,
        }
    }
}

/// The base chains of a hook that see packets to `destination`, in the order in which the kernel asks them: by priority, and of
/// equal ones the one that was made last first (`nf_hook_grow` in net/netfilter/core.c puts a new hook before its equals).
fn base_chains(firewalls: &Firewalls, hook: Hook, destination: IpAddr) -> Vec<(&Table, &Chain, &Base)> {
    let mut found = Vec::new();
    for table in firewalls.tables.iter().filter(|table| !table.dormant && table.family.sees(destination)) {
        for chain in &table.chains {
            if let Some(base) = chain.base.as_ref().filter(|base| base.hook == hook) {
                found.push((table, chain, base));
            }
        }
    }
    found.sort_by_key(|(table, _, base)| (base.priority, std::cmp::Reverse(table.handle)));
    found
}
