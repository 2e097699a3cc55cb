//! ④ Something between the client and the node stops the connection: neither the node's own rules nor its engine do.
//!
//! It is only ever likely: what is between cannot be read from here.

use common_evidence::cloud as cloud_fate;
use common_evidence::firewall::Fate;
use common_model::{Certainty, Stage, Symptom};
use serde_json::json;

use crate::case::{Case, vantage};
use crate::cite;
use crate::cloud::{self, Seen};
use crate::finding::{Blocks, Cause, Finding, Step, Support, missing};
use crate::packet;

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "path-firewall",
    title: "Something between the client and the node stops the connection",
    stage: Some(Stage::Filter),
    needs: &["nftables", "sockets"],
    refuted_by: "the connection's first packet seen on the node, or a connection from the same source that stands",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    let Some(probe) = case.wire.deciding().filter(|_| case.wire.is_from_outside()) else {
        return Finding::unknown(
            "an attempt to connect from the client's machine",
            format!("there: nc -vz {} {}", case.picture.endpoint.host, case.picture.endpoint.port),
        );
    };
    if probe.connected {
        return Finding::ruled_out(format!("a connection from {} stands", vantage(&probe.vantage)), cite::probe(probe));
    }
    let Some(node) = case.node() else { return Finding::Unknown(case.engine().err().unwrap_or_default()) };
    if let Some(stale) = case.staleness() {
        // A host that is down looks the same.
        return Finding::Unknown(vec![stale]);
    }
    if !matches!(packet::fate(case, probe), Some(Fate::Passes)) {
        return Finding::Unknown(Vec::new());
    }
    // Whatever the cloud's filters do is told by their own cause.
    let (lets, hint) = match cloud::seen(case, probe) {
        Seen::Known(known) if known.fate != cloud_fate::Fate::Passes => return Finding::Unknown(Vec::new()),
        Seen::Known(_) => ("its own rules and the cloud's let them in", ""),
        Seen::Unknown(_) => ("its own rules let them in", ""),
        Seen::NotAsked => ("its own rules let them in", "; in a cloud: its security groups and network ACLs"),
    };
    let listening = listening(case);
    match probe.outcome {
        Symptom::Timeout if case.accept_queue_full() => return Finding::Unknown(Vec::new()),
        Symptom::Timeout => {}
        Symptom::Refused if listening => {}
        _ => return Finding::ruled_out("what comes back fits what the node does", cite::probe(probe)),
    }
    let source = probe.source.map(|source| source.to_string()).unwrap_or_default();
    let does = if probe.outcome == Symptom::Timeout { "drops" } else { "rejects" };
    let sentence = format!(
        "Something between {source} and {} {does} connections to port {}: the node is up and {lets}.",
        node.name, probe.port
    );
    let fact =
        format!("the rules of {} let {source} reach port {}, and a closed port would refuse", node.name, probe.port);
    Finding::supported(Support {
        certainty: Certainty::Likely,
        blocks: Blocks::Now,
        node: None,
        sentence: sentence.clone(),
        detail: json!({ "source": probe.source, "destination": probe.address, "port": probe.port }),
        chain: vec![
            case.symptom_step("no-answer", &format!("{} cannot be reached", case.destination()), Vec::new()),
            Step::new("path-firewall", fact, packet::quote_none(case)),
        ],
        change: None,
        missing: vec![missing(
            "whether the connection's first packet arrives at the node",
            format!("on {}: sudo tcpdump -ni any 'tcp port {} and host {source}'{hint}", node.name, probe.port),
        )],
    })
}

/// Whether a socket of the node takes connections to the address and port.
fn listening(case: &Case<'_>) -> bool {
    let port = case.picture.endpoint.port;
    let Ok(engine) = case.engine() else { return false };
    let accepts = |listener: &&common_evidence::collectors::sockets::Listener| {
        listener.port == port && case.addresses().iter().any(|address| listener.accepts(*address))
    };
    engine.sockets.known().is_some_and(|sockets| sockets.value.listeners.iter().any(|listener| accepts(&listener)))
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_model::Symptom;
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, picture, probe};

    pub(crate) fn fires() -> Picture {
        picture(Node::new(), vec![probe(Symptom::Timeout)])
    }
}

#[cfg(test)]
mod tests {
    use common_evidence::collectors::nftables::Nftables;
    use controller_correlate::testing::{Node, answered, picture, probe};

    use super::*;

    #[test]
    fn fires_when_the_node_would_let_it_in_but_never_for_certain() {
        let verdict = crate::diagnose(&fixture::fires()).verdict;
        assert_eq!((verdict.cause.as_str(), verdict.certainty), ("path-firewall", Certainty::Likely), "{verdict:#?}");
    }

    #[test]
    fn does_not_when_it_connects_or_the_port_is_closed() {
        let open = picture(Node::new(), vec![answered(200)]);
        assert!(matches!(rule(&Case::of(&open)), Finding::RuledOut { .. }));
        let closed = picture(Node::new().listening(&[]), vec![probe(Symptom::Refused)]);
        assert!(matches!(rule(&Case::of(&closed)), Finding::RuledOut { .. }));
    }

    #[test]
    fn cannot_tell_without_rules_or_when_the_agent_is_gone() {
        for node in [Node::new().without::<Nftables>(), Node::new().offline_for(600_000)] {
            let picture = picture(node, vec![probe(Symptom::Timeout)]);
            assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
        }
    }
}
