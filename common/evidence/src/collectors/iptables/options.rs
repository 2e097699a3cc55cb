//! The matches of an iptables rule.

use std::net::IpAddr;

use super::target::Target;
use crate::firewall::Network;
use crate::firewall::ruleset::{Condition, Element, Elements, Key, Pattern, Step};

/// Matches that are understood, or of which only the options count. Any other match makes its rule uncertain.
const MATCHES: [&str; 11] =
    ["tcp", "udp", "multiport", "conntrack", "state", "addrtype", "comment", "mark", "connmark", "iprange", "pkttype"];

/// Options whose value is free text, and may look like an option.
const TEXTS: [&str; 4] = ["--comment", "--log-prefix", "--nflog-prefix", "--string"];

/// Reads a rule's options into conditions, and what belongs to its target.
pub(super) fn steps(words: &[&str]) -> (Vec<Step>, Target) {
    let mut conditions: Vec<Condition> = Vec::new();
    let mut target = Target::default();
    let mut words = words.iter().copied().peekable();
    let mut negated = false;
    let mut of_connection = false;
    while let Some(word) = words.next() {
        if word == "!" {
            negated = true;
            continue;
        }
        let has_value = TEXTS.contains(&word) || words.peek().is_some_and(|next| *next != "!" && !is_option(next));
        let value = if has_value { words.next().unwrap_or_default() } else { "" };
        match word {
            "-j" | "--jump" => target.name = Some(value.to_owned()),
            "-g" | "--goto" => {
                target.name = Some(value.to_owned());
                target.goto = true;
            }
            "-m" | "--match" => {
                of_connection = value == "connmark";
                conditions.extend(module(value));
            }
            "--mark" => conditions.push(mark(value, of_connection, negated)),
            "--tcp-flags" => {
                let wanted = words.next().unwrap_or_default();
                conditions.push(tcp_flags(value, wanted, negated));
            }
            "--match-set" | "--mac-source" if !value.is_empty() => {
                conditions.push(Condition::CannotTell);
                while words.peek().is_some_and(|next| *next != "!" && !is_option(next)) {
                    words.next();
                }
            }
            // `-m rpfilter --invert` matches packets that fail the check.
            "--invert" => invert_last(&mut conditions),
            _ if target.takes(word, value) => {}
            _ => conditions.extend(option(word, value, negated)),
        }
        negated = false;
    }
    (conditions.into_iter().map(Step::If).collect(), target)
}

fn is_option(word: &str) -> bool {
    word.starts_with('-') && word.len() > 1 && !word[1..].starts_with(|c: char| c.is_ascii_digit())
}

fn module(name: &str) -> Option<Condition> {
    match name {
        "rpfilter" => Some(matching(Key::ReversePath, false, vec![Pattern::Numbers(1, 1)])),
        // They look for IPv6 extension headers, which the packets of a TCP connection do not carry.
        "rt" | "frag" | "mh" | "hbh" | "dst" | "ah" | "esp" => Some(matching(Key::Protocol, false, Vec::new())),
        _ if MATCHES.contains(&name) => None,
        _ => Some(Condition::CannotTell),
    }
}

fn invert_last(conditions: &mut [Condition]) {
    if let Some(Condition::Match { negated, .. }) = conditions.last_mut() {
        *negated = !*negated;
    }
}

fn matching(key: Key, negated: bool, patterns: Vec<Pattern>) -> Condition {
    let elements = Elements::Here(patterns.into_iter().map(Element::of).collect());
    Condition::Match { keys: vec![key], negated, elements }
}

/// The condition of one option; none for options that restrict nothing.
fn option(word: &str, value: &str, negated: bool) -> Option<Condition> {
    let is = |key: Key, patterns: Vec<Pattern>| Some(matching(key, negated, patterns));
    match word {
        "-p" | "--protocol" => is(Key::Protocol, vec![protocol(value)]).filter(|_| value != "all"),
        "-s" | "--source" => is(Key::Source, networks(value)),
        "-d" | "--destination" => is(Key::Destination, networks(value)),
        "-i" | "--in-interface" => is(Key::InInterface, vec![interface(value)]),
        "-o" | "--out-interface" => is(Key::OutInterface, vec![interface(value)]),
        "--dport" | "--dports" | "--destination-port" | "--destination-ports" => is(Key::DestinationPort, ports(value)),
        "--sport" | "--sports" | "--source-port" | "--source-ports" => is(Key::SourcePort, ports(value)),
        "--syn" => Some(tcp_flags("FIN,SYN,RST,ACK", "SYN", negated)),
        "--state" | "--ctstate" => is(Key::State, names(value)),
        "--ctdir" => is(Key::Direction, names(value)),
        "--src-type" => is(Key::SourceType, names(value)),
        "--dst-type" => is(Key::DestinationType, names(value)),
        "--pkt-type" => is(Key::PacketType, names(value)),
        "--src-range" => is(Key::Source, vec![address_range(value)]),
        "--dst-range" => is(Key::Destination, vec![address_range(value)]),
        "--comment" | "--loose" | "--validmark" | "--accept-local" => None,
        // Options of matches that are uncertain as a whole.
        _ => Some(Condition::CannotTell),
    }
}

fn protocol(value: &str) -> Pattern {
    match value.parse::<u64>() {
        Ok(number) => Pattern::Numbers(number, number),
        Err(_) => Pattern::Name(value.to_ascii_lowercase()),
    }
}

fn networks(value: &str) -> Vec<Pattern> {
    let network = |text: &str| match text.parse::<Network>() {
        Ok(network) => {
            let (first, last) = network.bounds();
            Pattern::Addresses(first, last)
        }
        Err(_) => Pattern::Opaque,
    };
    value.split(',').map(network).collect()
}

fn interface(value: &str) -> Pattern {
    match value.strip_suffix('+') {
        Some("") => Pattern::Any,
        Some(prefix) => Pattern::NamePrefix(prefix.to_owned()),
        None => Pattern::Name(value.to_owned()),
    }
}

fn ports(value: &str) -> Vec<Pattern> {
    let port = |text: &str, otherwise: u64| {
        if text.is_empty() { Some(otherwise) } else { text.parse::<u16>().ok().map(u64::from) }
    };
    let range = |text: &str| {
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        match (port(first, 0), port(last, u64::from(u16::MAX))) {
            (Some(first), Some(last)) => Pattern::Numbers(first, last),
            _ => Pattern::Opaque,
        }
    };
    value.split(',').map(range).collect()
}

fn names(value: &str) -> Vec<Pattern> {
    value.split(',').map(|name| Pattern::Name(name.to_ascii_lowercase())).collect()
}

fn address_range(value: &str) -> Pattern {
    let (first, last) = value.split_once('-').unwrap_or((value, value));
    match (first.parse::<IpAddr>(), last.parse::<IpAddr>()) {
        (Ok(first), Ok(last)) => Pattern::Addresses(first, last),
        _ => Pattern::Opaque,
    }
}

/// `-m mark` and `-m connmark` share their option's name.
fn mark(value: &str, of_connection: bool, negated: bool) -> Condition {
    let (wanted, mask) = value.split_once('/').unwrap_or((value, "0xffffffff"));
    match (number(wanted), number(mask)) {
        (Some(wanted), Some(mask)) => {
            let key = if of_connection { Key::ConnectionMark(mask) } else { Key::Mark(mask) };
            matching(key, negated, vec![Pattern::Numbers(u64::from(wanted), u64::from(wanted))])
        }
        _ => Condition::CannotTell,
    }
}

/// A number in decimal or hexadecimal.
pub(super) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn tcp_flags(mask: &str, wanted: &str, negated: bool) -> Condition {
    match (flag_bits(mask), flag_bits(wanted)) {
        (Some(mask), Some(wanted)) => {
            matching(Key::TcpFlags(mask), negated, vec![Pattern::Numbers(u64::from(wanted), u64::from(wanted))])
        }
        _ => Condition::CannotTell,
    }
}

fn flag_bits(list: &str) -> Option<u8> {
    list.split(',').try_fold(0, |all, name| {
        let bits = match name {
            "NONE" => 0,
            "ALL" => 0x3f,
            _ => 1 << ["FIN", "SYN", "RST", "PSH", "ACK", "URG"].iter().position(|flag| *flag == name)?,
        };
        Some(all | bits)
    })
}
