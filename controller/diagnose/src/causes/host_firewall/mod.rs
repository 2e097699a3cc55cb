//! ④ The node's own packet filter stops the connection.
//!
//! "Refused" may be a filter's reset and "no route to host" a filter's reject: what the rules do to the very packet decides, and
//! the probe has to agree.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use common_evidence::firewall::{Block, Decision, Fate, Owner, Packet, Site};
use common_model::change::Topic;
use common_model::{Certainty, Change, Probe, Stage, Symptom};
use serde_json::json;

use crate::case::{Case, vantage};
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support};
use crate::packet;

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "host-firewall",
    title: "The node's firewall stops the connection",
    stage: Some(Stage::Filter),
    needs: &["nftables"],
    refuted_by: "a connection from the same source that stands, or rules that let it pass",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    let Some(probe) = case.wire.deciding() else { return by_report(case) };
    if probe.connected && !packet::is_silenced(case, probe) {
        return Finding::ruled_out(format!("a connection from {} stands", vantage(&probe.vantage)), cite::probe(probe));
    }
    let Some(node) = case.node() else {
        return Finding::Unknown(case.engine().err().unwrap_or_default());
    };
    if !case.wire.is_from_outside() {
        return Finding::unknown(
            "an attempt to connect from another machine: a filter treats the node's own packets differently",
            format!("there: nc -vz {}", target(case)),
        );
    }
    match packet::fate(case, probe) {
        None if case.filters.is_none() => Finding::unknown(
            format!("the packet filter of {}", node.name),
            format!("on {}: sudo nft list ruleset; sudo ufw status verbose", node.name),
        ),
        None => {
            Finding::unknown("the address the attempt came from", "ip route get to the node's address on the client")
        }
        Some(Fate::Passes) => {
            let from = probe.source.map(|source| source.to_string()).unwrap_or_default();
            Finding::ruled_out(
                format!("the rules of {} let {from} reach port {}", node.name, probe.port),
                packet::quote_none(case),
            )
        }
        Some(Fate::Unclear(rule)) => Finding::unknown(
            format!("what this rule of {} does to the connection: {}", node.name, cite::shown(&rule)),
            format!("on {}: sudo nft monitor trace, during another attempt", node.name),
        ),
        Some(Fate::Blocked(decision)) => supported(case, Some(probe), &decision),
    }
}

/// Without a probe there is what the client reports; where it came from is not known, so it is never certain.
fn by_report(case: &Case<'_>) -> Finding {
    /// RFC 5737: addresses of no real client, which no rule for particular clients names.
    const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let wanted = || {
        Finding::unknown("an attempt to connect from the client's machine", format!("there: nc -vz {}", target(case)))
    };
    let Some(filters) = case.filters.as_ref().filter(|_| case.wire.is_unconnected()) else { return wanted() };
    let Some(destination) =
        case.addresses().iter().copied().find(|address| address.is_ipv4() && !address.is_loopback())
    else {
        return wanted();
    };
    let port = case.picture.endpoint.port;
    let fate = filters.fate(&Packet { source: ANYWHERE, destination, port, interface: None });
    match fate {
        Fate::Blocked(decision) if !decision.site.established && agrees(&decision, case.wire.symptom()) => {
            supported(case, None, &decision)
        }
        _ => wanted(),
    }
}

/// Whether what the client gets is what the rule does.
fn agrees(decision: &Decision, symptom: Symptom) -> bool {
    matches!(
        (decision.block, symptom),
        (Block::Drop, Symptom::Timeout) | (Block::Refuse, Symptom::Refused) | (Block::Prohibit, Symptom::Unreachable)
    )
}

fn target(case: &Case<'_>) -> String {
    format!("{} {}", case.picture.endpoint.host, case.picture.endpoint.port)
}

fn supported(case: &Case<'_>, probe: Option<&Probe>, decision: &Decision) -> Finding {
    let Some(node) = case.node_name() else { return Finding::Unknown(Vec::new()) };
    let symptom = case.wire.symptom();
    let agrees = agrees(decision, symptom);
    let (does, action) = match decision.block {
        Block::Drop => ("drops", "drop"),
        Block::Refuse | Block::Prohibit => ("rejects", "reject"),
    };
    let source = probe.and_then(|probe| probe.source);
    let port = case.picture.endpoint.port;
    let from = source.map(|source| format!(" from {source}")).unwrap_or_default();
    let by = by(decision);
    let what = match decision.site {
        Site { reply: true, .. } => "the answers to connections",
        Site { established: true, .. } => "what follows the first packet of connections",
        _ => "connections",
    };
    let owner = decision.owner.slug();
    let step = match symptom {
        Symptom::Timeout => "no-answer",
        Symptom::Unreachable => "no-route",
        _ => "port-closed",
    };
    Finding::supported(Support {
        certainty: if agrees && probe.is_some() { Certainty::Certain } else { Certainty::Likely },
        blocks: if agrees { Blocks::Now } else { Blocks::Next },
        node: Some(node.clone()),
        sentence: format!("The firewall of {node} ({owner}) {does} {what}{from} to port {port}: {by}."),
        detail: json!({ "owner": owner, "action": action, "rule": decision.rule, "port": port, "source": source }),
        chain: vec![
            case.symptom_step(step, &format!("{} cannot be reached", case.destination()), Vec::new()),
            Step::new("host-firewall", format!("{owner} {does} it: {by}"), packet::quote(case, decision)),
        ],
        change: case.newest_change(|change| explains(change, decision, port)),
        missing: Vec::new(),
    })
}

/// The rule or policy in words.
fn by(decision: &Decision) -> String {
    match &decision.rule {
        Some(rule) if decision.owner == Owner::Ufw && rule.ends_with("(incoming)") => {
            format!("ufw's default, {}", cite::shown(rule))
        }
        Some(rule) => format!("rule `{}`", cite::shown(rule)),
        None => format!("the policy of {}", cite::shown(&decision.place)),
    }
}

/// The rule or default that decides came, or one that let the port in went.
fn explains(change: &Change, decision: &Decision, port: u16) -> bool {
    if change.topic != Topic::Firewall {
        return false;
    }
    change.items.iter().any(|item| {
        let came = item.new.as_deref().is_some_and(|text| decides(text, &item.key, decision));
        let went = item.new.is_none() && item.old.as_deref().is_some_and(|text| opened(text, port));
        came || went
    })
}

/// Whether a line of the firewall, at its place, is what decided.
fn decides(text: &str, place: &str, decision: &Decision) -> bool {
    match (&decision.rule, decision.owner) {
        (Some(rule), _) if text == rule => true,
        // ufw's default counts from the moment it is enabled or set.
        (Some(rule), Owner::Ufw) if rule.ends_with("(incoming)") => {
            text == "Status: active" || text.starts_with("Default: deny") || text.starts_with("Default: reject")
        }
        (Some(rule), Owner::Firewalld) => {
            let zone = rule.strip_prefix("zone ").and_then(|rest| rest.split(',').next());
            zone.is_some_and(|zone| {
                text == format!("default zone: {zone}") || (place.ends_with(zone) && text.starts_with("target: "))
            })
        }
        (None, _) => place == decision.place && (text.contains("policy drop") || text.ends_with(" DROP")),
        _ => false,
    }
}

/// Whether a line that went let the port in.
fn opened(text: &str, port: u16) -> bool {
    let names_port = text.split(|c: char| !c.is_ascii_digit()).any(|number| number == port.to_string());
    let lower = text.to_ascii_lowercase();
    names_port && (lower.contains("accept") || lower.contains("allow") || lower.starts_with("port: "))
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_model::Symptom;
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, picture, probe};
    use serde_json::{Value, json};

    pub(crate) fn ruleset(policy: &str, rules: &[Value]) -> Value {
        let mut all = vec![
            json!({"metainfo": {"version": "1.0.6", "json_schema_version": 1}}),
            json!({"table": {"family": "inet", "name": "filter", "handle": 1}}),
            json!({"chain": {"family": "inet", "table": "filter", "name": "input", "handle": 1, "type": "filter", "hook": "input",
                "prio": 0, "policy": policy}}),
        ];
        all.extend(rules.iter().enumerate().map(|(index, verdict)| {
            let port = json!({"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 9200}});
            json!({"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 10 + index, "expr": [port, verdict]}})
        }));
        json!({ "nftables": all })
    }

    pub(crate) fn dropping() -> Node {
        Node::new().nft(ruleset("accept", &[json!({"drop": null})]))
    }

    pub(crate) fn fires() -> Picture {
        picture(dropping(), vec![probe(Symptom::Timeout)])
    }
}
