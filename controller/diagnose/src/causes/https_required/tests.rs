//! TLS on the port in pictures.

use common_model::change::ChangedItem;
use common_model::diagnosis::StageState;
use controller_correlate::testing::{AT, Node, STARTED, YML, answered, http, picture, probe, tls};

use super::fixture::{self, behind_tls, closed, secured};
use super::*;

#[test]
fn fires_for_an_empty_reply_and_a_handshake() {
    let diagnosis = crate::diagnose(&fixture::fires());
    let verdict = &diagnosis.verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("https-required", Certainty::Certain), "{verdict:#?}");
    assert_eq!(
        verdict.sentence,
        "es-1 (10.0.0.5:9200) speaks TLSv1.3 on port 9200, and the client sends plain HTTP: use https."
    );
    let seen = &verdict.detail["tls"];
    assert_eq!(seen["version"], "TLSv1.3");
    assert_eq!(seen["fingerprint_sha256"].as_str().unwrap().len(), 64);
    assert!(seen["not_after"].is_string() && seen["issuer"].is_string(), "{seen}");
    assert_eq!(verdict.chain.last().unwrap().sentence, format!("xpack.security.http.ssl.enabled is true ({YML}:4)"));
    assert_eq!((diagnosis.path[4].state, diagnosis.path[5].state), (StageState::Pass, StageState::Fail));
}

#[test]
fn the_wire_decides_without_an_agent() {
    let mut picture = picture(Node::new(), vec![behind_tls()]);
    picture.nodes.clear();
    let verdict = crate::diagnose(&picture).verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("https-required", Certainty::Certain), "{verdict:#?}");
}

#[test]
fn a_reset_counts_as_well() {
    let reset = Probe { outcome: Symptom::Reset, http: Some(http(HttpAnswer::Reset)), ..behind_tls() };
    assert_eq!(crate::diagnose(&picture(secured(), vec![reset])).verdict.cause.as_str(), "https-required");
}

#[test]
fn does_not_for_an_empty_reply_alone() {
    let picture = picture(Node::new(), vec![closed()]);
    assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
    let failed = Probe { tls: Some(TlsSeen { established: false, ..tls() }), ..closed() };
    let picture = controller_correlate::testing::picture(Node::new(), vec![failed]);
    assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
}

#[test]
fn does_not_when_plain_http_is_answered() {
    let picture = picture(Node::new(), vec![answered(200)]);
    assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
}

#[test]
fn cannot_tell_without_a_connection() {
    let picture = picture(Node::new(), vec![probe(Symptom::Timeout)]);
    assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
}

#[test]
fn a_stopped_engine_with_tls_is_a_blocker_behind() {
    let node = secured().stopped(AT.plus_millis(-480_000));
    let diagnosis = crate::diagnose(&picture(node, vec![probe(Symptom::Refused)]));
    assert_eq!(diagnosis.verdict.cause.as_str(), "not-running");
    assert!(
        diagnosis.blockers.iter().any(|blocker| blocker.cause.as_str() == "https-required"),
        "{:#?}",
        diagnosis.blockers
    );
}

#[test]
fn the_change_is_the_one_that_turned_tls_on() {
    let change = |id: &str, key: &str, at: i64| Change {
        id: id.to_owned(),
        node: "es-1".parse().unwrap(),
        at: STARTED.plus_millis(at),
        not_before: None,
        topic: Topic::Config,
        subject: YML.to_owned(),
        what: String::new(),
        diff: String::new(),
        items: vec![ChangedItem { key: key.to_owned(), old: None, new: Some("true".to_owned()) }],
        who: None,
        how: None,
        evidence: Vec::new(),
    };
    let node = secured()
        .change(change("tls", "xpack.security.http.ssl.enabled", -60_000))
        .change(change("other", "bootstrap.memory_lock", -30_000))
        .change(change("late", "xpack.security.http.ssl.enabled", 30_000));
    assert_eq!(crate::diagnose(&picture(node, vec![behind_tls()])).change.unwrap().id, "tls");
}
