//! nft's statements, as the steps of a rule.

use serde_json::Value;

use super::expression;
use super::parse::map_elements;
use crate::firewall::Block;
use crate::firewall::ruleset::{Condition, Effect, Element, Elements, Key, Pattern, Remark, Step, Verdict};

/// The steps of one statement. What is not understood may do anything.
pub(super) fn steps(statement: &Value) -> Vec<Step> {
    let Some((word, body)) = statement.as_object().and_then(|object| object.iter().next()) else {
        return vec![Step::Then(Verdict::Other)];
    };
    match word.as_str() {
        "match" => expression::comparison(body),
        "counter" | "log" | "comment" | "last" | "snat" | "masquerade" | "flow" | "dup" | "secmark" | "ct helper"
        | "ct timeout" | "ct expectation" => harmless(word),
        "limit" | "quota" | "ct count" | "meter" => vec![Step::If(Condition::CannotTell)],
        // Adding to a set fails only when the set is full or a limit in it is exceeded.
        "set" | "map" if body.get("stmt").is_none() => Vec::new(),
        "set" | "map" => vec![Step::If(Condition::CannotTell)],
        "mangle" => mangle(body),
        "notrack" => vec![Step::Do(Effect::NoTrack)],
        "vmap" => lookup(body),
        "reject" => reject(body),
        "dnat" => vec![Step::Then(translation(body))],
        "redirect" => vec![Step::Then(redirection(body))],
        "xt" => xt(body),
        _ => vec![Step::Then(verdict(statement).unwrap_or(Verdict::Other))],
    }
}

/// Source translation ends its chain as an accept does; the others do not decide.
fn harmless(word: &str) -> Vec<Step> {
    if matches!(word, "snat" | "masquerade") { vec![Step::Then(Verdict::Accept)] } else { Vec::new() }
}

/// A verdict statement, or the verdict of a map's element.
pub(super) fn verdict(value: &Value) -> Option<Verdict> {
    let (word, body) = value.as_object()?.iter().next()?;
    let target = || body.get("target").and_then(Value::as_str).map(str::to_owned);
    Some(match word.as_str() {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        "return" => Verdict::Return,
        "continue" => Verdict::Continue,
        "jump" => Verdict::Jump(target()?),
        "goto" => Verdict::Goto(target()?),
        _ => return None,
    })
}

fn lookup(body: &Value) -> Vec<Step> {
    let none = Value::Null;
    let left = expression::left(body.get("key").unwrap_or(&none));
    let elements = map_elements(body.get("data").unwrap_or(&none));
    left.given.into_iter().map(Step::If).chain([Step::Lookup { keys: left.keys, elements }]).collect()
}

fn reject(body: &Value) -> Vec<Step> {
    let word = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let version = match word("type") {
        "icmp" => Some(4),
        "icmpv6" => Some(6),
        _ => None,
    };
    let verdict = match (word("type"), word("expr")) {
        ("tcp reset", _) => Verdict::Reset,
        (_, "port-unreachable" | "") => Verdict::Unreachable(Block::Refuse),
        _ => Verdict::Unreachable(Block::Prohibit),
    };
    let only = version.map(|version| {
        let elements = Elements::Here(vec![Element::of(Pattern::Numbers(version, version))]);
        Step::If(Condition::Match { keys: vec![Key::Version], negated: false, elements })
    });
    only.into_iter().chain([Step::Then(verdict)]).collect()
}

fn translation(body: &Value) -> Verdict {
    let address = match body.get("addr") {
        None => None,
        Some(Value::String(text)) => match text.parse() {
            Ok(address) => Some(address),
            Err(_) => return Verdict::Other,
        },
        Some(_) => return Verdict::Other,
    };
    match port(body) {
        Ok(port) => Verdict::Translate { address, port },
        Err(()) => Verdict::Other,
    }
}

fn redirection(body: &Value) -> Verdict {
    port(body).map_or(Verdict::Other, Verdict::Redirect)
}

fn port(body: &Value) -> Result<Option<u16>, ()> {
    match body.get("port") {
        None => Ok(None),
        Some(port) => port.as_u64().and_then(|port| u16::try_from(port).ok()).map(Some).ok_or(()),
    }
}

fn mangle(body: &Value) -> Vec<Step> {
    let none = Value::Null;
    let value = body.get("value").unwrap_or(&none);
    let Some((word, key)) = body.get("key").and_then(Value::as_object).and_then(|key| key.iter().next()) else {
        return vec![Step::Then(Verdict::Other)];
    };
    match (word.as_str(), key.get("key").and_then(Value::as_str)) {
        ("meta", Some("mark")) => vec![Step::Do(Effect::Mark(remark(value)))],
        ("ct", Some("mark")) => vec![Step::Do(Effect::ConnectionMark(remark(value)))],
        ("meta" | "ct", _) => Vec::new(),
        // Rewrites the packet itself.
        _ => vec![Step::Then(Verdict::Other)],
    }
}

/// `mark set 7`, `mark set mark | 0x4000`, `mark set mark & 0xff`; other forms cannot be told.
fn remark(value: &Value) -> Option<Remark> {
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    if let Some(value) = number(value) {
        return Some(Remark { mask: u32::MAX, value });
    }
    let (op, operands) = value.as_object()?.iter().next()?;
    let [old, operand] = operands.as_array()?.as_slice() else { return None };
    let (Some("mark"), Some(operand)) = (old.get("meta").or(old.get("ct"))?.get("key")?.as_str(), number(operand))
    else {
        return None;
    };
    match op.as_str() {
        "|" => Some(Remark { mask: operand, value: operand }),
        "&" => Some(Remark { mask: !operand, value: 0 }),
        "^" => Some(Remark { mask: 0, value: operand }),
        _ => None,
    }
}

/// An iptables extension that nft only names. The named targets never decide about a packet.
fn xt(body: &Value) -> Vec<Step> {
    const HARMLESS: [&str; 12] =
        ["LOG", "NFLOG", "TCPMSS", "CHECKSUM", "TRACE", "CLASSIFY", "DSCP", "TOS", "TTL", "HL", "AUDIT", "SET"];
    let word = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    match (word("type"), word("name")) {
        ("match", "comment" | "tcp") => Vec::new(),
        ("match", _) => vec![Step::If(Condition::CannotTell)],
        ("target", "MARK") => vec![Step::Do(Effect::Mark(None))],
        ("target", "CONNMARK") => vec![Step::Do(Effect::Mark(None)), Step::Do(Effect::ConnectionMark(None))],
        ("target", name) if HARMLESS.contains(&name) => Vec::new(),
        _ => vec![Step::Then(Verdict::Other)],
    }
}
