//! Another port in pictures.

use common_model::change::ChangedItem;
use common_model::probe::HttpAnswer;
use common_model::{Diagnosis, Probe, Symptom};
use controller_correlate::testing::{
    AT, Node, PID, STARTED, YML, answered, asking, foreign, http, listener, picture, probe,
};

use super::fixture::{self, moved};
use super::*;

fn refused(node: Node) -> Diagnosis {
    crate::diagnose(&picture(node, vec![probe(Symptom::Refused)]))
}

#[test]
fn fires_for_another_configured_port() {
    let verdict = crate::diagnose(&fixture::fires()).verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("port-differs", Certainty::Certain), "{verdict:#?}");
    assert_eq!(
        verdict.sentence,
        format!("Elasticsearch on es-1 listens on port 9201, not on 9200, because http.port is 9201 ({YML}:2).")
    );
    let detail = json!({"wanted": 9200, "listening": [9201], "setting": "http.port", "source": format!("{YML}:2"), "holder": null});
    assert_eq!(verdict.detail, detail);
}

#[test]
fn names_who_holds_the_wanted_port() {
    let owner = common_evidence::collectors::sockets::Owner {
        pid: PID,
        command: "java".to_owned(),
        unit: Some("elasticsearch.service".to_owned()),
    };
    let own = |socket: &str| listener(socket, 113, Some(owner.clone()));
    let sockets = vec![foreign("0.0.0.0:9200", "nginx", "nginx.service"), own("[::]:9201"), own("[::]:9300")];
    let other = Probe { connected: true, http: Some(http(HttpAnswer::Http)), ..probe(Symptom::HttpError) };
    let verdict = crate::diagnose(&picture(Node::new().listeners(sockets), vec![other])).verdict;
    assert_eq!(verdict.cause.as_str(), "port-differs", "{verdict:#?}");
    assert_eq!(verdict.detail["holder"], "nginx (pid 77, nginx.service)");
    assert_eq!(verdict.detail["source"], "default");
}

#[test]
fn does_not_when_the_engine_has_the_port() {
    let loopback = picture(Node::new().listening(&["[::1]:9200"]), vec![probe(Symptom::Refused)]);
    assert!(matches!(rule(&Case::of(&loopback)), Finding::RuledOut { .. }));
    let answers = picture(moved(), vec![answered(200)]);
    assert!(matches!(rule(&Case::of(&answers)), Finding::RuledOut { .. }));
}

#[test]
fn the_transport_port_is_not_another_http_port() {
    let only_transport = picture(Node::new().listening(&["[::]:9300"]), vec![probe(Symptom::Refused)]);
    assert!(matches!(rule(&Case::of(&only_transport)), Finding::RuledOut { .. }));
    let asked = asking("http://10.0.0.5:9300", Node::new(), vec![Probe { port: 9300, ..probe(Symptom::Refused) }]);
    assert!(matches!(rule(&Case::of(&asked)), Finding::RuledOut { .. }));
}

#[test]
fn cannot_tell_without_sockets() {
    let node = moved().without::<common_evidence::collectors::sockets::Sockets>();
    let picture = picture(node, vec![probe(Symptom::Refused)]);
    assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
}

#[test]
fn the_change_is_the_one_of_the_port() {
    let change = |id: &str, key: &str, at: i64| Change {
        id: id.to_owned(),
        node: "es-1".parse().unwrap(),
        at: STARTED.plus_millis(at),
        not_before: None,
        topic: Topic::Config,
        subject: YML.to_owned(),
        what: String::new(),
        diff: String::new(),
        items: vec![ChangedItem { key: key.to_owned(), old: None, new: Some("9201".to_owned()) }],
        who: None,
        how: None,
        evidence: Vec::new(),
    };
    let node = moved().change(change("port", "http.port", -60_000)).change(change("other", "node.name", -1000));
    assert_eq!(refused(node).change.unwrap().id, "port");
}

#[test]
fn a_stopped_engine_with_another_port_is_a_blocker_behind() {
    let diagnosis = refused(moved().stopped(AT.plus_millis(-480_000)));
    assert_eq!(diagnosis.verdict.cause.as_str(), "not-running");
    assert!(
        diagnosis.blockers.iter().any(|blocker| blocker.cause.as_str() == "port-differs"),
        "{:#?}",
        diagnosis.blockers
    );
}
