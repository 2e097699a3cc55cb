//! Nodes behind security groups and network ACLs.

use common_evidence::cloud::AwsAnswers;
use common_model::{Body, Diagnosis, Failure, FailureReason, Probe};
use controller_correlate::Picture;
use controller_correlate::testing::{AT, Node, answered, ip, picture, probe};

use super::fixture::{answers, entry, fires, open, permission};
use super::*;

fn far() -> Probe {
    Probe { source: Some(ip("10.9.0.7")), ..probe(Symptom::Timeout) }
}

fn seen(answers: &AwsAnswers, probe: Probe) -> Diagnosis {
    crate::diagnose(&picture(Node::new().aws(answers), vec![probe]))
}

fn finding(picture: &Picture) -> Finding {
    rule(&Case::of(picture))
}

#[test]
fn fires_for_a_group_that_lets_in_others_only() {
    let diagnosis = crate::diagnose(&fires());
    let verdict = &diagnosis.verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("cloud-firewall", Certainty::Certain), "{verdict:#?}");
    assert_eq!(verdict.sentence, "Security group sg-0a0a0a0a (search) of es-1 does not let 10.0.0.1 reach port 9200.");
    assert_eq!(verdict.detail["groups"][0]["id"], "sg-0a0a0a0a");
    assert_eq!((&verdict.detail["acl"], &verdict.detail["source"]), (&serde_json::Value::Null, &json!("10.0.0.1")));
    let cited = diagnosis.evidence.iter().find(|cited| cited.kind.as_str() == "aws-network").unwrap();
    assert!(cited.id.as_str().starts_with("controller/aws-network/"), "{cited:?}");
    assert!(cited.excerpt.ends_with("sg-0a0a0a0a lets in port 22 from 0.0.0.0/0"), "{cited:?}");
    assert!(diagnosis.blockers.is_empty(), "{:#?}", diagnosis.blockers);
}

#[test]
fn fires_for_an_acl_and_not_within_its_subnet() {
    let open_group = permission(9200, "0.0.0.0/0");
    let denied = answers(&open_group, &[entry(90, false, "deny", "10.0.0.0/8"), open()].concat());
    let verdict = seen(&denied, far()).verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("cloud-firewall", Certainty::Certain), "{verdict:#?}");
    assert_eq!(
        verdict.sentence,
        "Network ACL acl-0e0e0e0e drops connections from 10.9.0.7 to port 9200 of es-1: entry 90."
    );
    assert_eq!(seen(&denied, probe(Symptom::Timeout)).verdict.cause.as_str(), "path-firewall");
    let mute = answers(&open_group, &entry(100, false, "allow", "0.0.0.0/0"));
    assert!(seen(&mute, far()).verdict.sentence.contains("drops the answers from es-1 to 10.9.0.7"));
}

#[test]
fn does_not_when_the_rules_let_it_in_or_something_answers() {
    let lets_in = answers(&permission(9200, "10.0.0.0/24"), &open());
    let open = picture(Node::new().aws(&lets_in), vec![probe(Symptom::Timeout)]);
    assert!(matches!(finding(&open), Finding::RuledOut { .. }));
    assert_eq!(crate::diagnose(&open).verdict.cause.as_str(), "path-firewall");
    let shut = || Node::new().aws(&answers("", ""));
    for probe in [answered(200), probe(Symptom::Refused)] {
        assert!(matches!(finding(&picture(shut(), vec![probe])), Finding::RuledOut { .. }));
    }
}

#[test]
fn is_the_first_filter_on_the_way() {
    let node = super::super::host_firewall::fixture::dropping().aws(&answers("", &open()));
    let diagnosis = crate::diagnose(&picture(node, vec![probe(Symptom::Timeout)]));
    assert_eq!(diagnosis.verdict.cause.as_str(), "cloud-firewall");
    assert_eq!(diagnosis.blockers[0].cause.as_str(), "host-firewall", "{:#?}", diagnosis.blockers);
}

#[test]
fn cannot_tell_what_was_not_read() {
    let failed = Body::Failed(Failure { reason: FailureReason::Denied, message: "AWS does not let …".to_owned() });
    let garbled = AwsAnswers { groups: Some("<html>".to_owned()), ..answers("", &open()) };
    let raw = serde_json::to_vec(&answers("", &open())).unwrap();
    let nodes = [
        Node::new(),
        Node::new().cloud(AT, failed),
        Node::new().aws(&garbled),
        Node::new().cloud(AT.plus_millis(-60_000), Body::Raw(raw)),
        Node::new().cloud(AT, Body::Raw(b"{}".to_vec())),
    ];
    for node in nodes {
        let picture = picture(node, vec![probe(Symptom::Timeout)]);
        assert!(matches!(finding(&picture), Finding::Unknown(missing) if missing.len() == 1));
        assert_ne!(crate::diagnose(&picture).verdict.cause.as_str(), "cloud-firewall");
    }
}

#[test]
fn an_agent_cannot_speak_for_the_cloud() {
    let mut picture = fires();
    for node in picture.nodes.values_mut() {
        let forged = node.cloud.take().map(|cloud| common_model::Envelope { node: node.name.clone(), ..cloud });
        node.evidence.extend(forged);
    }
    assert!(matches!(finding(&picture), Finding::Unknown(_)));
}

#[test]
fn a_translated_address_is_not_taken_for_the_clients() {
    let public = Probe { address: Some(ip("203.0.113.9")), ..probe(Symptom::Timeout) };
    let picture =
        controller_correlate::testing::asking("http://es-1:9200", Node::new().aws(&answers("", &open())), vec![public]);
    assert!(matches!(finding(&picture), Finding::Unknown(missing) if missing[0].evidence.contains("203.0.113.9")));
}
