//! A packet on its way through the hooks, and whether a condition holds for it.

use std::net::IpAddr;

use super::ruleset::{Condition, Effect, Element, Elements, Key, Pattern, Remark, Table};

/// Whether something holds; none when evidence does not tell.
pub(super) type Truth = Option<bool>;

/// Ports from which programs without privileges connect.
const CLIENT_PORTS: (u64, u64) = (1024, 65535);

/// An interface of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Interface {
    /// This one.
    Named(String),
    /// Not known, but not the loopback.
    Foreign,
    /// None at this point of its way.
    Absent,
}

/// What rules can see of a packet. Marks of a new packet are 0 until a rule sets them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flow {
    /// Source address.
    pub source: IpAddr,
    /// Destination address, after translation.
    pub destination: IpAddr,
    /// Source port; a client's is not known, but see [`CLIENT_PORTS`].
    pub source_port: Option<u16>,
    /// Destination port, after translation.
    pub port: Option<u16>,
    /// It came in by.
    pub in_interface: Interface,
    /// It leaves by.
    pub out_interface: Interface,
    /// IP protocol.
    pub protocol: Option<u64>,
    /// TCP flags.
    pub flags: Option<u8>,
    /// True where connection tracking has not run yet. Its state is then `invalid`, and no rule about its other properties
    /// matches, negated or not.
    pub untold: bool,
    /// Conntrack's state.
    pub state: Option<&'static str>,
    /// True for the answer.
    pub reply: bool,
    /// True once the destination was translated.
    pub translated: bool,
    /// Whether the destination is this host.
    pub local: Truth,
    /// Whether the source is this host.
    pub from_here: bool,
    /// Whether the way back leads over the same interface.
    pub reverse_path: Truth,
    /// The packet's mark.
    pub mark: Option<u32>,
    /// The connection's mark.
    pub connection_mark: Option<u32>,
}

enum Value {
    Number(u64),
    /// Some number from the first to the last.
    Within(u64, u64),
    Address(IpAddr),
    /// Any of these may match.
    Names(Vec<&'static str>),
    /// A number that also has a name.
    Coded(u64, &'static [&'static str]),
    Interface(String),
    ForeignInterface,
    Unknown,
}

impl Flow {
    /// Whether `condition` holds; named sets are those of `table`.
    pub(super) fn holds(&self, condition: &Condition, table: &Table) -> Truth {
        match condition {
            Condition::CannotTell => None,
            Condition::Match { keys, .. } if self.is_without(keys) => Some(false),
            Condition::Match { keys, negated, elements } => {
                let found = match self.find(keys, elements, table) {
                    Found::Element(_) => Some(true),
                    Found::Nothing => Some(false),
                    Found::Unsure => None,
                };
                found.map(|found| found != *negated)
            }
        }
    }

    fn is_without(&self, keys: &[Key]) -> bool {
        let untracked = self.untold || self.state == Some("untracked");
        untracked && keys.iter().any(|key| matches!(key, Key::Status | Key::Direction | Key::ConnectionMark(_)))
    }

    /// The first element that matches the values of `keys`; [`Found::Unsure`] when one before it may match, or may not.
    pub(super) fn find<'a>(&self, keys: &[Key], elements: &'a Elements, table: &'a Table) -> Found<'a> {
        let elements = match elements {
            Elements::Here(elements) => elements,
            Elements::Named(name) => match table.sets.get(name) {
                Some(elements) => elements,
                None => return Found::Unsure,
            },
        };
        let values: Vec<Value> = keys.iter().map(|key| self.value(*key)).collect();
        let mut unsure = false;
        let mut fallback = None;
        for element in elements {
            if element.parts.iter().all(|part| *part == Pattern::Any) {
                fallback = Some(element);
                continue;
            }
            match matches_all(&values, element) {
                // An element that matches for certain does, whatever the others do; which verdict a map gives is then unsure.
                Some(true) if !unsure || element.verdict.is_none() => return Found::Element(element),
                Some(true) => return Found::Unsure,
                Some(false) => {}
                None => unsure = true,
            }
        }
        match fallback {
            _ if unsure => Found::Unsure,
            Some(element) => Found::Element(element),
            None => Found::Nothing,
        }
    }

    /// Applies `effect`; when it is unsure whether it happens, its outcome is forgotten.
    pub(super) fn apply(&mut self, effect: Effect, sure: bool) {
        let new = |old: Option<u32>, remark: Option<Remark>| {
            let remark = remark.filter(|_| sure)?;
            Some((old? & !remark.mask) ^ remark.value)
        };
        match effect {
            Effect::Mark(remark) => self.mark = whole(remark, sure).or_else(|| new(self.mark, remark)),
            Effect::ConnectionMark(remark) => {
                self.connection_mark = whole(remark, sure).or_else(|| new(self.connection_mark, remark));
            }
            Effect::NoTrack => self.state = sure.then_some("untracked"),
        }
    }

    fn value(&self, key: Key) -> Value {
        let number = |number: Option<u64>| number.map_or(Value::Unknown, Value::Number);
        match key {
            Key::Source => Value::Address(self.source),
            Key::Destination => Value::Address(self.destination),
            Key::SourcePort => self.port_value(self.source_port),
            Key::DestinationPort => self.port_value(self.port),
            Key::Protocol => {
                self.protocol.map_or(Value::Unknown, |number| Value::Coded(number, protocol_names(number)))
            }
            Key::Version if self.destination.is_ipv4() => Value::Coded(4, &["ipv4", "ip"]),
            Key::Version => Value::Coded(6, &["ipv6", "ip6"]),
            Key::InInterface => self.in_interface.value(),
            Key::OutInterface => self.out_interface.value(),
            Key::Mark(mask) => number(self.mark.map(|mark| u64::from(mark & mask))),
            Key::ConnectionMark(mask) => number(self.connection_mark.map(|mark| u64::from(mark & mask))),
            Key::State if self.untold && self.state != Some("untracked") => Value::Names(vec!["invalid"]),
            Key::State => self.state.map_or(Value::Unknown, |state| Value::Names(self.states(state))),
            Key::Status => Value::Names(self.status()),
            Key::Direction => Value::Names(vec![if self.reply { "reply" } else { "original" }]),
            Key::TcpFlags(mask) => number(self.flags.map(|flags| u64::from(flags & mask))),
            Key::SourceType => Value::Names(vec![if self.from_here { "local" } else { "unicast" }]),
            Key::DestinationType => match self.local {
                Some(true) => Value::Names(vec!["local"]),
                Some(false) => Value::Names(vec!["unicast"]),
                None => Value::Unknown,
            },
            Key::PacketType => Value::Names(vec!["host", "unicast"]),
            Key::ReversePath => number(self.reverse_path.map(u64::from)),
            Key::Other => Value::Unknown,
        }
    }

    /// A port that is not known is a client's, unless there are no ports at all.
    fn port_value(&self, port: Option<u16>) -> Value {
        match port {
            Some(port) => Value::Number(u64::from(port)),
            None if self.flags.is_some() => Value::Within(CLIENT_PORTS.0, CLIENT_PORTS.1),
            None => Value::Unknown,
        }
    }

    /// iptables takes `DNAT` for a state of its own.
    fn states(&self, state: &'static str) -> Vec<&'static str> {
        if self.translated { vec![state, "dnat"] } else { vec![state] }
    }

    fn status(&self) -> Vec<&'static str> {
        let mut status = Vec::new();
        if self.translated {
            status.push("dnat");
        }
        if self.reply {
            status.extend(["seen-reply", "confirmed"]);
        }
        status
    }
}

fn protocol_names(number: u64) -> &'static [&'static str] {
    match number {
        1 => &["icmp"],
        6 => &["tcp"],
        58 => &["icmpv6", "ipv6-icmp"],
        _ => &[],
    }
}

/// A mark that is set as a whole does not depend on the old one.
fn whole(remark: Option<Remark>, sure: bool) -> Option<u32> {
    remark.filter(|remark| sure && remark.mask == u32::MAX).map(|remark| remark.value)
}

/// What a look into a set gave.
pub(super) enum Found<'a> {
    /// This matches.
    Element(&'a Element),
    /// None does.
    Nothing,
    /// Evidence does not tell.
    Unsure,
}

impl Interface {
    fn value(&self) -> Value {
        match self {
            Interface::Named(name) => Value::Interface(name.clone()),
            Interface::Foreign => Value::ForeignInterface,
            Interface::Absent => Value::Interface(String::new()),
        }
    }
}

fn matches_all(values: &[Value], element: &Element) -> Truth {
    if values.len() != element.parts.len() {
        return None;
    }
    let mut all = Some(true);
    for (value, pattern) in values.iter().zip(&element.parts) {
        match matches(value, pattern) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => all = None,
        }
    }
    all
}

fn matches(value: &Value, pattern: &Pattern) -> Truth {
    match (value, pattern) {
        (_, Pattern::Any) => Some(true),
        (_, Pattern::Opaque) | (Value::Unknown, _) => None,
        (Value::Number(number) | Value::Coded(number, _), Pattern::Numbers(first, last)) => {
            Some((first..=last).contains(&number))
        }
        (Value::Within(low, high), Pattern::Numbers(first, last)) => match () {
            () if first <= low && high <= last => Some(true),
            () if last < low || high < first => Some(false),
            () => None,
        },
        (Value::Coded(_, names), Pattern::Name(wanted)) => Some(names.contains(&wanted.as_str())),
        (Value::Address(address), Pattern::Addresses(first, last)) => {
            Some(address.is_ipv4() == first.is_ipv4() && (first..=last).contains(&address))
        }
        (Value::Names(names), Pattern::Name(wanted)) => Some(names.contains(&wanted.as_str())),
        (Value::Interface(name), Pattern::Name(wanted)) => Some(name == wanted),
        (Value::Interface(name), Pattern::NamePrefix(prefix)) => Some(name.starts_with(prefix)),
        (Value::ForeignInterface, Pattern::Name(wanted)) if wanted == "lo" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::firewall::ruleset::{Family, Tool};

    fn flow() -> Flow {
        Flow {
            source: "10.0.0.9".parse().unwrap(),
            destination: "10.0.0.5".parse().unwrap(),
            source_port: None,
            port: Some(9200),
            in_interface: Interface::Foreign,
            out_interface: Interface::Absent,
            protocol: Some(6),
            flags: Some(0x02),
            untold: false,
            state: Some("new"),
            reply: false,
            translated: false,
            local: Some(true),
            from_here: false,
            reverse_path: None,
            mark: Some(0),
            connection_mark: Some(0),
        }
    }

    fn table() -> Table {
        Table {
            family: Family::Inet,
            name: "t".to_owned(),
            handle: 0,
            tool: Tool::Nft,
            dormant: false,
            chains: Vec::new(),
            sets: BTreeMap::new(),
        }
    }

    fn holds(key: Key, negated: bool, patterns: Vec<Pattern>) -> Truth {
        let elements = Elements::Here(patterns.into_iter().map(Element::of).collect());
        flow().holds(&Condition::Match { keys: vec![key], negated, elements }, &table())
    }

    #[test]
    fn what_is_not_known_is_neither_true_nor_false() {
        assert_eq!(holds(Key::SourcePort, false, vec![Pattern::Numbers(32768, 60999)]), None);
        assert_eq!(holds(Key::SourcePort, true, vec![Pattern::Numbers(32768, 60999)]), None);
        assert_eq!(holds(Key::SourcePort, false, vec![Pattern::Numbers(1024, 65535)]), Some(true));
        assert_eq!(holds(Key::SourcePort, false, vec![Pattern::Numbers(0, 1023)]), Some(false));
        assert_eq!(holds(Key::InInterface, false, vec![Pattern::Name("eth0".to_owned())]), None);
        assert_eq!(holds(Key::InInterface, false, vec![Pattern::Name("lo".to_owned())]), Some(false));
        assert_eq!(holds(Key::InInterface, true, vec![Pattern::Name("lo".to_owned())]), Some(true));
    }

    #[test]
    fn one_element_that_matches_is_enough_beside_one_that_may() {
        let port = Pattern::Numbers(9200, 9200);
        assert_eq!(holds(Key::DestinationPort, false, vec![Pattern::Opaque, port.clone()]), Some(true));
        assert_eq!(holds(Key::DestinationPort, false, vec![Pattern::Opaque]), None);
        assert_eq!(holds(Key::DestinationPort, true, vec![Pattern::Opaque, port]), Some(false));
    }

    #[test]
    fn marks_follow_what_rules_do_to_them() {
        let mut flow = flow();
        flow.apply(Effect::Mark(Some(Remark { mask: 0x4000, value: 0x4000 })), true);
        assert_eq!(flow.mark, Some(0x4000));
        flow.apply(Effect::Mark(Some(Remark { mask: 0xff, value: 1 })), false);
        assert_eq!(flow.mark, None);
        flow.apply(Effect::Mark(Some(Remark { mask: u32::MAX, value: 7 })), true);
        assert_eq!(flow.mark, Some(7));
    }
}
