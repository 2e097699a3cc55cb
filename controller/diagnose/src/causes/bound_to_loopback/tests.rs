//! The loopback bind in pictures.

use common_model::change::ChangedItem;
use common_model::diagnosis::StageState;
use common_model::{Diagnosis, Symptom};
use controller_correlate::testing::{AT, Node, STARTED, YML, answered, asking, foreign, listener, picture, probe};
use serde_json::json;

use super::fixture::{self, loopback};
use super::*;

fn refused(node: Node) -> Diagnosis {
    crate::diagnose(&picture(node, vec![probe(Symptom::Refused)]))
}

fn edit(at: Timestamp, old: Option<&str>, new: Option<&str>) -> Change {
    Change {
        id: format!("{}-{}", at.0, new.unwrap_or("none")),
        node: "es-1".parse().unwrap(),
        at,
        not_before: None,
        topic: Topic::Config,
        subject: YML.to_owned(),
        what: "network.host".to_owned(),
        diff: "-network.host: 0.0.0.0\n".to_owned(),
        items: vec![ChangedItem {
            key: "network.host".to_owned(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        }],
        who: None,
        how: None,
        evidence: Vec::new(),
    }
}

#[test]
fn fires_for_the_default_bind() {
    let diagnosis = crate::diagnose(&fixture::fires());
    let verdict = &diagnosis.verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("bound-to-loopback", Certainty::Certain), "{verdict:#?}");
    assert_eq!(
        verdict.sentence,
        "Elasticsearch on es-1 listens only on loopback ([::1]:9200, 127.0.0.1:9200) because network.host is not set (default)."
    );
    let bound = json!({"bound": ["[::1]:9200", "127.0.0.1:9200"], "setting": "network.host", "value": null, "source": "default"});
    assert_eq!(verdict.detail, bound);
    let links: Vec<&str> = verdict.chain.iter().map(|link| link.cause.as_str()).collect();
    assert_eq!(links, ["port-closed", "bound-to-loopback", "setting"]);
    assert!(diagnosis.evidence.iter().any(|cited| cited.source == format!("{YML}:2")), "{:#?}", diagnosis.evidence);
    assert_eq!(diagnosis.path[4].state, StageState::Fail);
    assert!(diagnosis.missing.is_empty(), "{:?}", diagnosis.missing);
}

#[test]
fn names_the_line_that_binds() {
    let verdict = refused(loopback("network:\n  host: 0.0.0.0\nhttp.host: localhost\n")).verdict;
    assert_eq!(verdict.detail["setting"], "http.host");
    assert_eq!(verdict.detail["source"], format!("{YML}:3"));
    assert!(verdict.sentence.ends_with(&format!("because http.host is localhost ({YML}:3).")), "{}", verdict.sentence);
}

#[test]
fn an_edit_without_a_restart_is_told() {
    let node = loopback("").yml("network.host: 0.0.0.0\n", AT.plus_millis(-600_000));
    let verdict = refused(node).verdict;
    assert_eq!(verdict.cause.as_str(), "bound-to-loopback");
    assert!(verdict.sentence.contains("takes effect with a restart"), "{}", verdict.sentence);
    assert_eq!(verdict.chain.last().unwrap().cause, "edited-not-restarted");
}

#[test]
fn does_not_when_a_socket_takes_the_address() {
    for open in ["[::]:9200", "10.0.0.5:9200", "0.0.0.0:9200"] {
        let picture = picture(Node::new().listening(&["[::1]:9200", open]), vec![probe(Symptom::Timeout)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }), "{open}");
    }
}

#[test]
fn does_not_when_the_endpoint_answers() {
    let picture = picture(loopback(""), vec![answered(200)]);
    assert_eq!(crate::diagnose(&picture).verdict.cause.as_str(), "healthy");
}

#[test]
fn does_not_for_a_client_on_the_machine() {
    let picture = asking("http://127.0.0.1:9200", loopback(""), vec![]);
    assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
}

#[test]
fn another_programs_loopback_socket_is_not_the_engines() {
    let node = Node::new().listeners(vec![foreign("127.0.0.1:9200", "nginx", "nginx.service")]);
    let picture = picture(node, vec![probe(Symptom::Refused)]);
    assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
}

#[test]
fn cannot_tell_without_sockets_or_owner() {
    let blind =
        picture(loopback("").without::<common_evidence::collectors::sockets::Sockets>(), vec![probe(Symptom::Refused)]);
    assert!(matches!(rule(&Case::of(&blind)), Finding::Unknown(_)));
    let anonymous = Node::new().listeners(vec![listener("127.0.0.1:9200", 0, None)]);
    let blind = picture(anonymous, vec![probe(Symptom::Refused)]);
    assert_ne!(crate::diagnose(&blind).verdict.certainty, Certainty::Certain);
}

#[test]
fn a_loopback_socket_without_a_known_owner_is_likely_where_the_file_agrees() {
    let sockets = vec![listener("127.0.0.1:9200", 0, None)];
    let node = loopback("network.host: 127.0.0.1\n").listeners(sockets);
    let verdict = refused(node.without::<common_evidence::collectors::processes::Processes>()).verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("bound-to-loopback", Certainty::Likely), "{verdict:#?}");
}

#[test]
fn the_change_is_the_newest_that_narrowed_the_bind_before_the_start() {
    let before = edit(STARTED.plus_millis(-60_000), Some("0.0.0.0"), None);
    let unrelated = Change { items: Vec::new(), at: STARTED.plus_millis(-30_000), ..edit(AT, None, None) };
    let not_in_force = edit(AT.plus_millis(-1000), Some("0.0.0.0"), Some("_local_"));
    let widened = edit(STARTED.plus_millis(-20_000), Some("127.0.0.1"), Some("0.0.0.0"));
    let node = loopback("").change(not_in_force).change(before.clone()).change(unrelated).change(widened);
    assert_eq!(refused(node).change.unwrap().id, before.id);
}

#[test]
fn without_a_change_that_explains_none_is_named() {
    let node = loopback("").change(Change { topic: Topic::Package, ..edit(STARTED, Some("0.0.0.0"), None) });
    assert_eq!(refused(node).change, None);
}

#[test]
fn an_agent_that_is_gone_leaves_it_likely() {
    let diagnosis = refused(loopback("").offline_for(600_000));
    assert_eq!(diagnosis.verdict.certainty, Certainty::Likely);
    assert!(diagnosis.missing[0].evidence.contains("last heard at 14:00:00 UTC"), "{:?}", diagnosis.missing);
}

#[test]
fn a_stopped_engine_that_would_bind_loopback_is_a_blocker_behind() {
    let node = loopback("cluster.name: es\n").stopped(AT.plus_millis(-480_000));
    let found = rule(&Case::of(&picture(node, vec![probe(Symptom::Refused)])));
    let Finding::Supported(support) = found else { panic!("{found:?}") };
    assert_eq!(support.blocks, Blocks::Next);
}
