//! The host cannot be reached at all: it is down, or there is no way to it.

use common_evidence::firewall::{Block, Fate};
use common_model::{Certainty, Probe, Stage, Symptom};
use serde_json::json;

use crate::case::{Case, vantage};
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support, missing};
use crate::packet;

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "host-unreachable",
    title: "The host cannot be reached",
    stage: Some(Stage::Route),
    needs: &[],
    refuted_by: "any answer from the host, also to another port, or an agent that is heard",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    let Some(probe) = case.wire.deciding() else {
        return Finding::unknown(
            "an attempt to connect from the client's machine",
            format!("there: nc -vz {} {}", case.picture.endpoint.host, case.picture.endpoint.port),
        );
    };
    if probe.connected || probe.outcome == Symptom::Refused {
        return Finding::ruled_out(format!("{} gets an answer", vantage(&probe.vantage)), cite::probe(probe));
    }
    let no_network = probe.errno.as_deref() == Some("ENETUNREACH");
    let silent = matches!(probe.outcome, Symptom::Timeout | Symptom::Unreachable);
    let gone = case.node().is_some_and(|node| !node.agent.online);
    let rejects =
        matches!(packet::fate(case, probe), Some(Fate::Blocked(decision)) if decision.block == Block::Prohibit);
    if no_network {
        let sentence = format!("{} has no route to {}.", capital(vantage(&probe.vantage)), case.destination());
        return supported(case, probe, sentence, "no route to the network");
    }
    if silent && gone {
        let node = case.node_name().map(|node| node.to_string()).unwrap_or_default();
        let since = case.staleness().map(|stale| stale.evidence).unwrap_or_default();
        let sentence =
            format!("{node} seems to be down or cut off: it does not answer {}, and {since}.", vantage(&probe.vantage));
        return supported(case, probe, sentence, "neither the host nor its agent answers");
    }
    if probe.outcome != Symptom::Unreachable {
        return Finding::Unknown(Vec::new());
    }
    if rejects {
        return Finding::ruled_out("the node's own firewall answers so", cite::probe(probe));
    }
    match packet::fate(case, probe) {
        Some(Fate::Passes) => {
            let sentence = format!(
                "{} gets \"no route to host\" for {}, and not from the node's own rules.",
                capital(vantage(&probe.vantage)),
                case.destination()
            );
            supported(case, probe, sentence, "no route to the host")
        }
        _ => Finding::unknown(
            "whether a firewall or a router says \"no route to host\"",
            "on the node: sudo nft list ruleset; on the client: ip neigh and ip route get to the address",
        ),
    }
}

fn supported(case: &Case<'_>, probe: &Probe, sentence: String, fact: &str) -> Finding {
    Finding::supported(Support {
        certainty: Certainty::Likely,
        blocks: Blocks::Now,
        node: case.node_name(),
        sentence,
        detail: json!({ "address": probe.address, "errno": probe.errno }),
        chain: vec![
            case.symptom_step("no-answer", &format!("{} cannot be reached", case.destination()), Vec::new()),
            Step::new("host-unreachable", fact, cite::probe(probe)),
        ],
        change: None,
        missing: vec![missing(
            "whether the host is up",
            "its console or hypervisor; on the client: ping, ip route get, ip neigh",
        )],
    })
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_model::Symptom;
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, picture, probe};

    pub(crate) fn fires() -> Picture {
        picture(Node::new().offline_for(600_000), vec![probe(Symptom::Timeout)])
    }
}

#[cfg(test)]
mod tests {
    use controller_correlate::testing::{Node, answered, picture, probe};

    use super::*;

    #[test]
    fn fires_when_neither_agent_nor_host_answers() {
        let diagnosis = crate::diagnose(&fixture::fires());
        assert_eq!(
            (diagnosis.verdict.cause.as_str(), diagnosis.verdict.certainty),
            ("host-unreachable", Certainty::Likely)
        );
        assert!(diagnosis.verdict.sentence.contains("last heard at 14:00:00 UTC"), "{}", diagnosis.verdict.sentence);
    }

    #[test]
    fn does_not_when_anything_comes_back() {
        for probe in [probe(Symptom::Refused), answered(200)] {
            let picture = picture(Node::new(), vec![probe]);
            assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
        }
    }

    #[test]
    fn cannot_tell_a_silent_host_with_a_live_agent() {
        let picture = picture(Node::new(), vec![probe(Symptom::Timeout)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    }
}
