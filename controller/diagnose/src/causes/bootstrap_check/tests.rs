//! Failed bootstrap checks in pictures.

use common_evidence::collectors::engine_log::EngineLog;
use common_model::change::ChangedItem;
use common_model::{Diagnosis, Symptom, Timestamp};
use controller_correlate::testing::{AT, Node, STARTED, picture, probe};

use super::fixture::{self, MAP_COUNT, failing};
use super::*;
use crate::start::pictures::FAILED_AT;

fn refused(node: Node) -> Diagnosis {
    crate::diagnose(&picture(node, vec![probe(Symptom::Refused)]))
}

fn sysctl_change(at: Timestamp, subject: &str, old: Option<&str>, new: Option<&str>) -> Change {
    Change {
        id: format!("{subject}-{}", at.0),
        node: "es-1".parse().unwrap(),
        at,
        not_before: None,
        topic: Topic::Sysctl,
        subject: subject.to_owned(),
        what: String::new(),
        diff: String::new(),
        items: vec![ChangedItem {
            key: "vm.max_map_count".to_owned(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        }],
        who: None,
        how: None,
        evidence: Vec::new(),
    }
}

#[test]
fn fires_with_values_and_the_root() {
    let diagnosis = crate::diagnose(&fixture::fires());
    let verdict = &diagnosis.verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("bootstrap-check", Certainty::Certain), "{verdict:#?}");
    assert_eq!(
        verdict.sentence,
        "Elasticsearch on es-1 does not start because a bootstrap check failed: vm.max_map_count is 65530, at least 262144 is required."
    );
    let check = &verdict.detail["checks"][0];
    assert_eq!(
        (check["check"].as_str(), check["actual"].as_str(), check["required"].as_str()),
        (Some("max-map-count"), Some("65530"), Some("262144"))
    );
    let links: Vec<&str> = verdict.chain.iter().map(|link| link.cause.as_str()).collect();
    assert_eq!(links, ["port-closed", "unit-failed", "bootstrap-check", "sysctl-live", "sysctl-not-persisted"]);
    assert!(verdict.chain[1].sentence.contains("exit status 78"), "{}", verdict.chain[1].sentence);
}

#[test]
fn every_failed_check_is_named() {
    let files = "max file descriptors [4096] for elasticsearch process is too low, increase to at least [65535]";
    let verdict = refused(failing(&[files, MAP_COUNT])).verdict;
    assert_eq!(verdict.detail["checks"].as_array().unwrap().len(), 2);
    assert!(
        verdict.sentence.contains("2 bootstrap checks failed: the limit of open files is 4096"),
        "{}",
        verdict.sentence
    );
}

#[test]
fn the_log_tells_where_the_journal_does_not() {
    let log = format!(
        "[2026-01-31T14:01:55,000][INFO ][o.e.n.Node               ] [es-1] version[8.18.0], pid[4242]\n\
         [2026-01-31T14:01:58,000][INFO ][o.e.b.BootstrapChecks    ] [es-1] bound or publishing to a non-loopback address, enforcing bootstrap checks\n\
         [2026-01-31T14:01:59,000][ERROR][o.e.b.Elasticsearch      ] [es-1] node validation exception\n\
         [1] bootstrap checks failed. You must address the points described in the following [1] lines before starting Elasticsearch. For more information see [https://x]\n\
         bootstrap check failure [1] of [1]: {MAP_COUNT}; for more information see [https://x]\n"
    );
    let node = Node::new().starting(FAILED_AT.plus_millis(-6000)).failed(FAILED_AT, 78).log(&log);
    let verdict = refused(node).verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("bootstrap-check", Certainty::Certain), "{verdict:#?}");
}

#[test]
fn does_not_for_another_exit_or_a_running_engine() {
    let other = picture(Node::new().failed(FAILED_AT, 1), vec![probe(Symptom::Refused)]);
    assert!(matches!(rule(&Case::of(&other)), Finding::RuledOut { .. }));
    let running = picture(Node::new().stderr(AT, MAP_COUNT), vec![probe(Symptom::Refused)]);
    assert!(matches!(rule(&Case::of(&running)), Finding::RuledOut { .. }));
}

#[test]
fn cannot_tell_from_the_exit_status_alone() {
    let picture = picture(Node::new().failed(FAILED_AT, 78).without::<EngineLog>(), vec![probe(Symptom::Refused)]);
    assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    let verdict = crate::diagnose(&picture).verdict;
    assert_eq!(verdict.cause.as_str(), "undetermined");
}

#[test]
fn the_change_is_the_one_that_lowered_the_value() {
    let lowered = sysctl_change(STARTED.plus_millis(-120_000), "vm.max_map_count", Some("262144"), Some("65530"));
    let other = Change { topic: Topic::Package, ..sysctl_change(STARTED.plus_millis(-60_000), "openjdk", None, None) };
    let raised = sysctl_change(STARTED.plus_millis(-90_000), "vm.max_map_count", Some("65530"), Some("65531"));
    let node = failing(&[MAP_COUNT]).change(lowered.clone()).change(other).change(raised);
    assert_eq!(refused(node).change.unwrap().id, lowered.id);
}

#[test]
fn going_into_production_explains_a_check_that_was_ignored_before() {
    let opened = Change {
        topic: Topic::Config,
        subject: "/etc/elasticsearch/elasticsearch.yml".to_owned(),
        items: vec![ChangedItem { key: "network.host".to_owned(), old: None, new: Some("0.0.0.0".to_owned()) }],
        ..sysctl_change(STARTED.plus_millis(-60_000), "x", None, None)
    };
    let node = failing(&[MAP_COUNT]).change(opened.clone());
    assert_eq!(refused(node).change.unwrap().id, opened.id);
}

#[test]
fn a_value_repaired_since_is_told() {
    let verdict = refused(failing(&[MAP_COUNT]).sysctl("vm.max_map_count", "262144")).verdict;
    assert!(verdict.chain.iter().any(|link| link.sentence.contains("262144 by now")), "{:#?}", verdict.chain);
}
