//! A stopped engine in pictures.

use common_evidence::collectors::journal::JournalLine;
use common_model::{Diagnosis, Symptom};
use controller_correlate::changes::between;
use controller_correlate::testing::{AT, Node, answered, picture, probe};

use super::*;

/// The node with the change log its journal gives.
fn with_changes(node: Node) -> Node {
    let mut node = node;
    let changes: Vec<Change> = node.evidence().iter().flat_map(|envelope| between(None, envelope)).collect();
    for change in changes {
        node = node.change(change);
    }
    node
}

fn refused(node: Node) -> Diagnosis {
    crate::diagnose(&picture(with_changes(node), vec![probe(Symptom::Refused)]))
}

#[test]
fn fires_for_a_stopped_unit_and_says_who() {
    let at = AT.plus_millis(-480_000);
    let node = Node::new().sudo(at.plus_millis(-1500), "alice", "/usr/bin/systemctl stop elasticsearch").stopped(at);
    let diagnosis = refused(node);
    assert_eq!((diagnosis.verdict.cause.as_str(), diagnosis.verdict.certainty), ("not-running", Certainty::Certain));
    assert_eq!(
        diagnosis.verdict.sentence,
        "Elasticsearch on es-1 is not running: elasticsearch.service was stopped at 14:02:00 UTC by alice (sudo systemctl stop elasticsearch)."
    );
    let change = diagnosis.change.unwrap();
    assert_eq!((change.at, change.who.as_deref()), (at, Some("alice")));
    let links: Vec<&str> = diagnosis.verdict.chain.iter().map(|link| link.cause.as_str()).collect();
    assert_eq!(links, ["port-closed", "not-running"]);
}

#[test]
fn fires_without_a_record_of_who() {
    let verdict = crate::diagnose(&fixture::fires()).verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("not-running", Certainty::Certain), "{verdict:#?}");
}

#[test]
fn nobody_is_named_without_a_record() {
    let at = AT.plus_millis(-480_000);
    let node = Node::new().sudo(at.plus_millis(-1500), "alice", "/usr/bin/systemctl status elasticsearch").stopped(at);
    assert_eq!(refused(node).change.unwrap().who, None);
}

#[test]
fn a_journal_that_cannot_be_read_is_named_where_it_would_tell_who() {
    let at = AT.plus_millis(-480_000);
    let sudo = |node: Node| node.sudo(at.plus_millis(-1500), "alice", "/usr/bin/systemctl stop elasticsearch");
    let gaps = |node: Node| {
        let missing = refused(node).missing;
        missing.into_iter().filter(|gap| gap.evidence.contains("journal")).map(|gap| gap.evidence).collect::<Vec<_>>()
    };
    let unread = gaps(Node::new().stopped(at).denied::<JournalLine>(""));
    assert_eq!(unread.len(), 1, "{unread:?}");
    assert!(unread[0].starts_with("es-1's journal, which would tell who did it: "), "{unread:?}");
    assert_eq!(gaps(Node::new().stopped(at)), Vec::<String>::new());
    assert_eq!(gaps(sudo(Node::new()).stopped(at).denied::<JournalLine>("")), Vec::<String>::new());
}

#[test]
fn a_killed_process_is_likely() {
    let node = Node::new().unit_with("failed", "failed", "signal", 2, 9, "enabled").no_process().listening(&[]);
    let verdict = refused(node).verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("not-running", Certainty::Likely));
    assert!(verdict.sentence.contains("killed by signal 9"), "{}", verdict.sentence);
}

#[test]
fn does_not_while_it_runs() {
    let picture = picture(Node::new(), vec![probe(Symptom::Refused)]);
    assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
}

#[test]
fn does_not_when_its_start_fails() {
    let picture = picture(Node::new().failed(AT.plus_millis(-480_000), 78), vec![probe(Symptom::Refused)]);
    assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
}

#[test]
fn does_not_when_something_answers() {
    let picture = picture(Node::new().stopped(AT.plus_millis(-480_000)), vec![answered(200)]);
    assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
}

#[test]
fn cannot_tell_without_unit_processes_and_sockets() {
    use common_evidence::collectors::{processes::Processes, sockets::Sockets};

    let node = Node::new().without::<Unit>().without::<Processes>().without::<Sockets>();
    let picture = picture(node, vec![probe(Symptom::Refused)]);
    assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
}

#[test]
fn a_proxy_that_still_listens_does_not_hide_it() {
    use common_model::Probe;
    use common_model::probe::HttpAnswer;
    use controller_correlate::testing::{foreign, http};

    let node =
        Node::new().stopped(AT.plus_millis(-480_000)).listeners(vec![foreign("[::]:9200", "nginx", "nginx.service")]);
    let bad_gateway = Probe { connected: true, http: Some(http(HttpAnswer::Http)), ..probe(Symptom::HttpError) };
    let verdict = crate::diagnose(&picture(with_changes(node), vec![bad_gateway])).verdict;
    assert_eq!((verdict.cause.as_str(), verdict.certainty), ("not-running", Certainty::Likely), "{verdict:#?}");
}
