//! nft's expressions: the left and right sides of matches.

use serde_json::Value;

use super::parse::{elements, words};
use crate::firewall::Network;
use crate::firewall::ruleset::{Condition, Element, Elements, Key, Pattern, Step};

const ROUTING_HEADER: u64 = 43;

/// A left-hand side: what is compared, and what nft checks silently before it (that the packet is TCP, that it is IPv4).
pub(super) struct Left {
    /// Compared together.
    pub keys: Vec<Key>,
    /// Must hold too, whatever the comparison's sign.
    pub given: Vec<Condition>,
}

impl Left {
    fn of(key: Key) -> Self {
        Self { keys: vec![key], given: Vec::new() }
    }

    fn given(mut self, key: Key, number: u64) -> Self {
        let elements = Elements::Here(vec![Element::of(Pattern::Numbers(number, number))]);
        self.given.push(Condition::Match { keys: vec![key], negated: false, elements });
        self
    }
}

/// The steps of a `match` statement.
pub(super) fn comparison(statement: &Value) -> Vec<Step> {
    let none = Value::Null;
    let part = |name: &str| statement.get(name).unwrap_or(&none);
    let left = left(part("left"));
    let condition = condition(&left.keys, part("op").as_str().unwrap_or("=="), part("right"));
    left.given.into_iter().chain([condition]).map(Step::If).collect()
}

fn condition(keys: &[Key], op: &str, right: &Value) -> Condition {
    if let [Key::TcpFlags(mask)] = keys {
        return flags_condition(*mask, op, right);
    }
    let compared = |negated: bool, elements: Elements| Condition::Match { keys: keys.to_vec(), negated, elements };
    let within =
        |first: u64, last: u64| compared(false, Elements::Here(vec![Element::of(Pattern::Numbers(first, last))]));
    match (op, right) {
        // Any of several bits: `ct state established,related`.
        ("in", Value::Array(list)) => compared(false, Elements::Here(list.iter().map(name_element).collect())),
        ("in" | "==", _) => compared(false, elements(right)),
        ("!=", Value::Array(list)) => compared(true, Elements::Here(list.iter().map(name_element).collect())),
        ("!=", _) => compared(true, elements(right)),
        _ => match (op, right.as_u64()) {
            ("<", Some(0)) => compared(false, Elements::Here(Vec::new())),
            ("<", Some(bound)) => within(0, bound - 1),
            ("<=", Some(bound)) => within(0, bound),
            (">", Some(bound)) => within(bound.saturating_add(1), u64::MAX),
            (">=", Some(bound)) => within(bound, u64::MAX),
            _ => Condition::CannotTell,
        },
    }
}

fn name_element(value: &Value) -> Element {
    Element { parts: parts(value), verdict: None, text: String::new() }
}

/// `tcp flags syn` asks whether any of the bits is set, `tcp flags == syn` whether exactly these are.
fn flags_condition(mask: u8, op: &str, right: &Value) -> Condition {
    let condition = |mask: u8, negated: bool, wanted: Vec<u8>| {
        let elements = wanted.into_iter().map(|bits| Element::of(Pattern::Numbers(u64::from(bits), u64::from(bits))));
        Condition::Match { keys: vec![Key::TcpFlags(mask)], negated, elements: Elements::Here(elements.collect()) }
    };
    let sets = right.get("set").and_then(Value::as_array);
    let wanted: Option<Vec<u8>> = match sets {
        Some(members) => members.iter().map(flag_bits).collect(),
        None => flag_bits(right).map(|bits| vec![bits]),
    };
    match (op, wanted) {
        ("in", Some(wanted)) => condition(wanted.iter().fold(0, |all, bits| all | bits) & mask, true, vec![0]),
        ("==", Some(wanted)) => condition(mask, false, wanted),
        ("!=", Some(wanted)) => condition(mask, true, wanted),
        _ => Condition::CannotTell,
    }
}

/// The bits of one or several TCP flags, by name or number.
fn flag_bits(value: &Value) -> Option<u8> {
    match value {
        Value::Number(number) => number.as_u64().and_then(|bits| u8::try_from(bits).ok()),
        Value::String(name) => ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"]
            .iter()
            .position(|flag| flag == name)
            .map(|bit| 1 << bit),
        Value::Array(names) => names.iter().try_fold(0, |all, name| Some(all | flag_bits(name)?)),
        Value::Object(object) => flag_bits(object.get("|")?),
        _ => None,
    }
}

/// Reads a left-hand side.
pub(super) fn left(value: &Value) -> Left {
    let Some((word, body)) = value.as_object().and_then(|object| object.iter().next()) else {
        return Left::of(Key::Other);
    };
    match word.as_str() {
        "payload" => payload(text(body, "protocol"), text(body, "field")),
        "meta" => meta(text(body, "key")),
        "ct" if body.get("dir").is_none() => Left::of(connection(text(body, "key"))),
        "fib" => Left::of(fib(text(body, "result"), &words(body.get("flags").unwrap_or(&Value::Null)))),
        // A field of an extension header, which the packets of a TCP connection do not carry.
        "exthdr" if body.get("field").is_some() => Left::of(Key::Other).given(Key::Protocol, ROUTING_HEADER),
        "&" => masked(body),
        "concat" => {
            let parts = body.as_array().into_iter().flatten().map(left);
            parts.fold(Left { keys: Vec::new(), given: Vec::new() }, |mut all, mut part| {
                all.keys.append(&mut part.keys);
                all.given.append(&mut part.given);
                all
            })
        }
        _ => Left::of(Key::Other),
    }
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn payload(protocol: &str, field: &str) -> Left {
    let key = match (protocol, field) {
        ("tcp" | "th", "dport") => Key::DestinationPort,
        ("tcp" | "th", "sport") => Key::SourcePort,
        ("tcp", "flags") => Key::TcpFlags(u8::MAX),
        ("ip" | "ip6", "saddr") => Key::Source,
        ("ip" | "ip6", "daddr") => Key::Destination,
        ("ip", "protocol") | ("ip6", "nexthdr") => Key::Protocol,
        _ => Key::Other,
    };
    let protocol_number = match protocol {
        "icmp" => 1,
        "igmp" => 2,
        "tcp" => 6,
        "udp" => 17,
        "dccp" => 33,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "icmpv6" => 58,
        "comp" => 108,
        "sctp" => 132,
        "udplite" => 136,
        "ip" => return Left::of(key).given(Key::Version, 4),
        "ip6" => return Left::of(key).given(Key::Version, 6),
        _ => return Left::of(key),
    };
    Left::of(key).given(Key::Protocol, protocol_number)
}

fn meta(key: &str) -> Left {
    Left::of(match key {
        "l4proto" => Key::Protocol,
        "nfproto" | "protocol" => Key::Version,
        "iifname" | "iif" => Key::InInterface,
        "oifname" | "oif" => Key::OutInterface,
        "mark" => Key::Mark(u32::MAX),
        "pkttype" => Key::PacketType,
        _ => Key::Other,
    })
}

fn connection(key: &str) -> Key {
    match key {
        "state" => Key::State,
        "status" => Key::Status,
        "direction" => Key::Direction,
        "mark" => Key::ConnectionMark(u32::MAX),
        _ => Key::Other,
    }
}

fn fib(result: &str, flags: &[String]) -> Key {
    let has = |flag: &str| flags.iter().any(|word| word == flag);
    match result {
        "type" if flags == ["daddr"] => Key::DestinationType,
        "type" if flags == ["saddr"] => Key::SourceType,
        "oif" | "check" if has("saddr") && has("iif") => Key::ReversePath,
        _ => Key::Other,
    }
}

fn masked(body: &Value) -> Left {
    let Some([inner, mask]) = body.as_array().map(Vec::as_slice) else { return Left::of(Key::Other) };
    let mut left = left(inner);
    let number = mask.as_u64().and_then(|mask| u32::try_from(mask).ok());
    left.keys = match (left.keys.as_slice(), number) {
        ([Key::Mark(_)], Some(mask)) => vec![Key::Mark(mask)],
        ([Key::ConnectionMark(_)], Some(mask)) => vec![Key::ConnectionMark(mask)],
        ([Key::TcpFlags(_)], _) => vec![flag_bits(mask).map_or(Key::Other, Key::TcpFlags)],
        _ => vec![Key::Other],
    };
    left
}

/// What one value, or each part of a concatenated one, matches.
pub(super) fn parts(value: &Value) -> Vec<Pattern> {
    match value.get("concat").and_then(Value::as_array) {
        Some(parts) => parts.iter().map(pattern).collect(),
        None => vec![pattern(value)],
    }
}

fn pattern(value: &Value) -> Pattern {
    match value {
        Value::Number(number) => number.as_u64().map_or(Pattern::Opaque, |number| Pattern::Numbers(number, number)),
        Value::Bool(truth) => Pattern::Numbers(u64::from(*truth), u64::from(*truth)),
        Value::String(text) => named(text),
        Value::Object(object) => match object.iter().next() {
            Some((word, body)) if word == "prefix" => prefix(body),
            Some((word, body)) if word == "range" => range(body),
            Some((word, body)) if word == "elem" => body.get("val").map_or(Pattern::Opaque, pattern),
            _ => Pattern::Opaque,
        },
        _ => Pattern::Opaque,
    }
}

fn named(text: &str) -> Pattern {
    if text == "*" {
        return Pattern::Any;
    }
    if let Ok(network) = text.parse::<Network>() {
        let (first, last) = network.bounds();
        return Pattern::Addresses(first, last);
    }
    match text.strip_suffix('*') {
        Some(start) if start.ends_with('\\') => Pattern::Name(format!("{}*", start.trim_end_matches('\\'))),
        Some(start) => Pattern::NamePrefix(start.to_owned()),
        None => Pattern::Name(text.to_owned()),
    }
}

fn prefix(body: &Value) -> Pattern {
    let length = body.get("len").and_then(Value::as_u64).and_then(|length| u8::try_from(length).ok());
    match (text(body, "addr").parse(), length) {
        (Ok(address), Some(length)) => {
            let (first, last) = Network::new(address, length).bounds();
            Pattern::Addresses(first, last)
        }
        _ => Pattern::Opaque,
    }
}

fn range(body: &Value) -> Pattern {
    let Some([first, last]) = body.as_array().map(Vec::as_slice) else { return Pattern::Opaque };
    match (pattern(first), pattern(last)) {
        (Pattern::Numbers(first, _), Pattern::Numbers(_, last)) => Pattern::Numbers(first, last),
        (Pattern::Addresses(first, _), Pattern::Addresses(_, last)) => Pattern::Addresses(first, last),
        _ => Pattern::Opaque,
    }
}
