//! Firewalls in pictures, from rulesets as nft prints them.

use common_evidence::collectors::nftables::Nftables;
use common_model::Diagnosis;
use common_model::change::ChangedItem;
use common_model::diagnosis::StageState;
use controller_correlate::testing::{AT, Node, answered, picture, probe};
use serde_json::Value;

use super::fixture::{self, dropping, ruleset};
use super::*;

fn seen(node: Node, outcome: Symptom) -> Diagnosis {
    crate::diagnose(&picture(node, vec![probe(outcome)]))
}

#[test]
fn fires_for_a_drop_and_a_time_out() {
    let diagnosis = crate::diagnose(&fixture::fires());
    let verdict = &diagnosis.verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("host-firewall", Certainty::Certain), "{verdict:#?}");
    assert_eq!(
        verdict.sentence,
        "The firewall of es-1 (nftables) drops connections from 10.0.0.1 to port 9200: rule `tcp dport 9200 drop`."
    );
    let detail = json!({"owner": "nftables", "action": "drop", "rule": "tcp dport 9200 drop", "port": 9200, "source": "10.0.0.1"});
    assert_eq!(verdict.detail, detail);
    assert_eq!(
        (diagnosis.path[3].state, diagnosis.path[4].state),
        (StageState::Fail, StageState::Pass),
        "{:#?}",
        diagnosis.path
    );
    assert!(diagnosis.evidence.iter().any(|cited| cited.source.starts_with("nft -a list chain inet filter input")));
}

#[test]
fn a_reset_while_the_engine_listens_is_the_firewalls() {
    let reset = json!({"reject": {"type": "tcp reset"}});
    let verdict = seen(Node::new().nft(ruleset("accept", &[reset])), Symptom::Refused).verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("host-firewall", Certainty::Certain));
    assert_eq!(verdict.detail["action"], "reject");
}

#[test]
fn no_route_is_an_admin_prohibition() {
    let prohibited = json!({"reject": {"type": "icmpx", "expr": "admin-prohibited"}});
    let verdict = seen(Node::new().nft(ruleset("accept", &[prohibited])), Symptom::Unreachable).verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("host-firewall", Certainty::Certain));
}

#[test]
fn a_policy_decides_without_a_rule() {
    let verdict = seen(Node::new().nft(ruleset("drop", &[])), Symptom::Timeout).verdict;
    assert_eq!(verdict.detail["rule"], Value::Null);
    assert!(verdict.sentence.ends_with("the policy of inet filter input."), "{}", verdict.sentence);
}

#[test]
fn does_not_when_the_rules_let_it_pass_or_it_connects() {
    let open = picture(Node::new(), vec![probe(Symptom::Timeout)]);
    assert!(matches!(rule(&Case::of(&open)), Finding::RuledOut { .. }));
    assert_eq!(crate::diagnose(&picture(dropping(), vec![answered(200)])).verdict.cause.as_str(), "healthy");
}

#[test]
fn is_likely_by_the_clients_report_alone() {
    let reported = controller_correlate::Picture {
        client_error: Some("curl: (28) Failed to connect to 10.0.0.5 port 9200: Connection timed out".to_owned()),
        ..picture(dropping(), Vec::new())
    };
    let verdict = crate::diagnose(&reported).verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("host-firewall", Certainty::Likely), "{verdict:#?}");
}

#[test]
fn cannot_tell_without_the_rules() {
    let picture = picture(Node::new().without::<Nftables>(), vec![probe(Symptom::Timeout)]);
    assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    assert_eq!(crate::diagnose(&picture).verdict.certainty, Certainty::Undetermined);
}

#[test]
fn a_rule_the_probe_contradicts_is_not_the_first_blocker() {
    let diagnosis = seen(dropping().stopped(AT.plus_millis(-480_000)), Symptom::Refused);
    assert_ne!(diagnosis.verdict.cause.as_str(), "host-firewall");
}

#[test]
fn a_stopped_engine_behind_a_drop_is_the_next_blocker() {
    let diagnosis = seen(dropping().stopped(AT.plus_millis(-480_000)), Symptom::Timeout);
    assert_eq!(diagnosis.verdict.cause.as_str(), "host-firewall");
    assert_eq!(diagnosis.blockers[0].cause.as_str(), "not-running", "{:#?}", diagnosis.blockers);
}

#[test]
fn the_change_is_the_one_that_added_the_rule() {
    let change = |id: &str, at: i64, text: &str| Change {
        id: id.to_owned(),
        node: "es-1".parse().unwrap(),
        at: AT.plus_millis(at),
        not_before: None,
        topic: Topic::Firewall,
        subject: "nftables".to_owned(),
        what: String::new(),
        diff: String::new(),
        items: vec![ChangedItem { key: "inet filter input".to_owned(), old: None, new: Some(text.to_owned()) }],
        who: None,
        how: None,
        evidence: Vec::new(),
    };
    let node = dropping()
        .sudo(AT.plus_millis(-90_500), "bob", "/usr/sbin/nft add rule inet filter input tcp dport 9200 drop")
        .change(change("rule", -90_000, "tcp dport 9200 drop"))
        .change(change("other", -30_000, "tcp dport 22 accept"));
    let seen = seen(node, Symptom::Timeout).change.unwrap();
    assert_eq!(seen.id, "rule");
}

/// New connections to the port are let in, and nothing of them after.
fn only_new() -> Node {
    let new = json!({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}});
    let mut ruleset = ruleset("drop", &[json!({"accept": null})]);
    ruleset["nftables"][3]["rule"]["expr"].as_array_mut().unwrap().insert(1, new);
    Node::new().nft(ruleset)
}

#[test]
fn fires_when_a_connection_stands_and_its_packets_are_dropped() {
    let silent = Probe { connected: true, ..probe(Symptom::Timeout) };
    let verdict = crate::diagnose(&picture(only_new(), vec![silent])).verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("host-firewall", Certainty::Certain), "{verdict:#?}");
    assert!(verdict.sentence.contains("drops what follows the first packet of connections"), "{}", verdict.sentence);
}

#[test]
fn a_rule_against_what_follows_does_not_explain_a_refusal() {
    let refused = picture(only_new(), vec![probe(Symptom::Refused)]);
    assert!(matches!(rule(&Case::of(&refused)), Finding::RuledOut { .. }));
}
