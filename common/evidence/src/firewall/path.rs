//! A connection's first packets through every hook.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::decision::decision;
use super::flow::{Flow, Interface, Truth};
use super::ruleset::{Base, Chain, Family, Hook, Table};
use super::walk::{End, Refusal, Stop, Walk};
use super::{Block, Fate, Firewalls, Packet};

/// Rules looked at before giving up; a large real ruleset has some ten thousand.
const BUDGET: usize = 500_000;

/// The priority at which destinations are translated (`NF_IP_PRI_NAT_DST`).
const DESTINATION_NAT: i32 = -100;

/// Above this priority connection tracking has run (`NF_IP_PRI_CONNTRACK`).
const CONNECTION_TRACKING: i32 = -200;

const ICMP: u64 = 1;
const TCP: u64 = 6;
const ICMPV6: u64 = 58;
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const ACK: u8 = 0x10;
const RESET: u8 = 0x14;

/// What becomes of a new connection: of its SYN, of the answer, and of a packet of each side after.
///
/// Every base chain of every table is asked, in the kernel's order; a drop or reject is final, an accept only ends its own base
/// chain. A filter on output, or one that lets nothing in but the SYN, silences a node as well.
pub fn decide(firewalls: &Firewalls, packet: &Packet) -> Fate {
    journey(firewalls, packet).0
}

/// Where translation rules send the connection instead of to a process of this host: a container, usually.
pub fn forwarded_to(firewalls: &Firewalls, packet: &Packet) -> Option<(IpAddr, u16)> {
    journey(firewalls, packet).1
}

fn journey(firewalls: &Firewalls, packet: &Packet) -> (Fate, Option<(IpAddr, u16)>) {
    if let Some(cut) = &firewalls.cut {
        return (Fate::Unclear(cut.clone()), None);
    }
    let mut journey = Journey::new(firewalls, packet);
    let forwarded = match journey.first() {
        Onward::Local => {
            journey.rest();
            None
        }
        Onward::Elsewhere => journey.flow.port.map(|port| (journey.flow.destination, port)),
        Onward::End => None,
    };
    let fate = match (journey.stop.take(), journey.doubt.take()) {
        (Some(stop), _) => Fate::Blocked(decision(firewalls, packet, &journey.flow, &stop)),
        (None, Some(text)) => Fate::Unclear(text),
        (None, None) => {
            let gap = firewalls.gaps.iter().find(|gap| gap.family.sees(packet.destination.to_canonical()));
            gap.map_or(Fate::Passes, |gap| Fate::Unclear(gap.text.clone()))
        }
    };
    (fate, forwarded)
}

struct Journey<'a> {
    firewalls: &'a Firewalls,
    flow: Flow,
    /// The packet's destination before any translation.
    original: (IpAddr, u16),
    /// Where the client is.
    link: Interface,
    budget: usize,
    /// The first rule that may block.
    doubt: Option<String>,
    stop: Option<Stop<'a>>,
}

/// Where a packet that was not stopped goes.
enum Onward {
    /// To a process of this host.
    Local,
    /// Through this host, or out of it.
    Elsewhere,
    /// Nowhere that can be told.
    End,
}

impl<'a> Journey<'a> {
    fn new(firewalls: &'a Firewalls, packet: &Packet) -> Self {
        let source = packet.source.to_canonical();
        let destination = packet.destination.to_canonical();
        let from_here = source == destination || firewalls.is_local(source) == Some(true);
        let link = if from_here {
            Interface::Named("lo".to_owned())
        } else {
            let name = packet.interface.clone().or_else(|| firewalls.interface_for(source, destination));
            name.map_or(Interface::Foreign, Interface::Named)
        };
        let flow = Flow {
            source,
            destination,
            source_port: None,
            port: Some(packet.port),
            in_interface: Interface::Absent,
            out_interface: Interface::Absent,
            protocol: Some(TCP),
            flags: Some(SYN),
            state: Some("new"),
            reply: false,
            translated: false,
            local: Some(true),
            from_here,
            reverse_path: (from_here || firewalls.on_link(source, &link)).then_some(true),
            untold: false,
            mark: Some(0),
            connection_mark: Some(0),
        };
        Self { firewalls, flow, original: (destination, packet.port), link, budget: BUDGET, doubt: None, stop: None }
    }

    /// Takes the SYN as far as it gets.
    fn first(&mut self) -> Onward {
        let onward = self.first_hooks();
        self.send_refusal();
        onward
    }

    fn first_hooks(&mut self) -> Onward {
        if self.flow.from_here {
            if !self.leave(true) {
                return Onward::End;
            }
            if self.is_for_us() == Some(false) {
                return Onward::Elsewhere;
            }
        }
        if !self.arrive(!self.flow.from_here) {
            return Onward::End;
        }
        match self.is_for_us() {
            Some(true) if self.hooks(&[Hook::Input], true) => Onward::Local,
            Some(true) => Onward::End,
            Some(false) => {
                self.flow.out_interface = self.firewalls.route(self.flow.destination);
                self.hooks(&[Hook::Forward, Hook::Postrouting], true);
                Onward::Elsewhere
            }
            None => {
                let text = format!("translated to {}, which may be this host or another", self.flow.destination);
                self.doubt.get_or_insert(text);
                Onward::Elsewhere
            }
        }
    }

    /// Takes the rest of a connection through: the answer to the SYN, and a packet of each side after.
    fn rest(&mut self) {
        for flags in [SYN_ACK, ACK, ACK] {
            self.turn_round();
            self.flow.flags = Some(flags);
            self.flow.state =
                self.flow.state.filter(|state| matches!(*state, "new" | "established")).map(|_| "established");
            let leaves = self.flow.reply || self.link == Interface::Named("lo".to_owned());
            let arrives = !self.flow.reply || self.link == Interface::Named("lo".to_owned());
            if leaves && !self.leave(false) {
                return;
            }
            if arrives && !(self.arrive(false) && self.hooks(&[Hook::Input], false)) {
                return;
            }
        }
    }

    fn leave(&mut self, nat: bool) -> bool {
        self.flow.in_interface = Interface::Absent;
        self.flow.out_interface = self.link.clone();
        self.hooks(&[Hook::Output, Hook::Postrouting], nat)
    }

    fn arrive(&mut self, nat: bool) -> bool {
        self.flow.out_interface = Interface::Absent;
        self.flow.in_interface = self.link.clone();
        self.hooks(&[Hook::Ingress, Hook::Prerouting], nat)
    }

    /// A reject is silent when its own answer is dropped on the way out.
    fn send_refusal(&mut self) {
        let Some(stop) = self.stop.take_if(|stop| stop.refusal.is_some()) else { return };
        let refused = self.flow.clone();
        let doubt = self.doubt.take();
        self.turn_round();
        if stop.refusal == Some(Refusal::Icmp) {
            self.flow.protocol = Some(if self.flow.source.is_ipv4() { ICMP } else { ICMPV6 });
            self.flow.flags = None;
            self.flow.source_port = None;
        } else {
            self.flow.flags = Some(RESET);
        }
        self.flow.state = self.flow.state.map(|_| "related");
        let sent = self.leave(false);
        self.flow = refused;
        self.doubt = doubt;
        self.stop = Some(Stop { block: if sent { stop.block } else { Block::Drop }, ..stop });
    }

    fn is_for_us(&mut self) -> Truth {
        if self.flow.local.is_none() {
            self.flow.local = self.firewalls.is_local(self.flow.destination);
        }
        self.flow.local
    }

    /// Makes the packet one of the other side. The port of a client is not known.
    fn turn_round(&mut self) {
        let client_is_here = self.link == Interface::Named("lo".to_owned());
        let flow = &mut self.flow;
        std::mem::swap(&mut flow.source, &mut flow.destination);
        std::mem::swap(&mut flow.source_port, &mut flow.port);
        flow.reply = !flow.reply;
        flow.from_here = flow.reply || client_is_here;
        flow.local = Some(!flow.reply || client_is_here);
        flow.mark = Some(0);
    }

    /// Takes the packet through hooks, `nat` when translations are still open; true when nothing certainly stops it.
    fn hooks(&mut self, hooks: &[Hook], nat: bool) -> bool {
        for hook in hooks {
            let mut translated = !nat;
            let destination = (self.flow.destination, self.flow.port);
            for (table, chain, base) in base_chains(self.firewalls, *hook, self.flow.destination) {
                if base.nat && translated {
                    continue;
                }
                if self.flow.translated && !nat && !self.flow.reply && *hook == Hook::Prerouting {
                    // Packets after the first come in with the destination the client knows.
                    let known = (self.original.0, Some(self.original.1));
                    let early = base.priority < DESTINATION_NAT;
                    (self.flow.destination, self.flow.port) = if early { known } else { destination };
                }
                let entry = matches!(hook, Hook::Ingress | Hook::Prerouting | Hook::Output);
                // A refusal belongs to the connection it refuses from the start.
                let tracked = self.flow.state == Some("related");
                self.flow.untold = entry && !tracked && base.priority < CONNECTION_TRACKING;
                let end = Walk { flow: &mut self.flow, budget: &mut self.budget }.base_chain(table, chain, base);
                translated |= matches!(end, End::Translated);
                if !self.goes_on(end, table, chain, base) {
                    return false;
                }
            }
            if translated && !nat {
                (self.flow.destination, self.flow.port) = destination;
            }
        }
        true
    }

    fn goes_on(&mut self, end: End<'a>, table: &Table, chain: &Chain, base: &Base) -> bool {
        match end {
            End::Pass | End::Translated => true,
            End::Unclear(text) => {
                self.doubt.get_or_insert(text);
                true
            }
            End::Lost(text) => {
                self.doubt.get_or_insert(text);
                false
            }
            // Whether frames cross this bridge or this device is not known.
            End::Stop(_) if table.family == Family::Bridge || !self.is_on(base) => {
                self.doubt.get_or_insert_with(|| format!("{} {} {}", table.family, table.name, chain.name));
                true
            }
            End::Stop(mut stop) => {
                if self.flow.reply {
                    // What rejects the answer tells the node, not the client.
                    stop.block = Block::Drop;
                }
                self.stop = Some(stop);
                false
            }
        }
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
    found.sort_by_key(|(table, chain, base)| (base.priority, Reverse(table.handle), Reverse(chain.handle)));
    found
}
