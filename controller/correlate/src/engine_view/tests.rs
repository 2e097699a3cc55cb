//! Whose sockets, which engine, and how it ended.

use common_evidence::collectors::processes::Processes;
use common_evidence::collectors::sockets::Owner;
use common_evidence::engine::EngineRef;

use super::*;
use crate::testing::{AT, Node, PID, STARTED, engine, foreign, listener};

fn view(node: Node) -> EngineView {
    EngineView::all(&node.build()).unwrap().remove(0)
}

fn shown(view: &EngineView) -> Vec<String> {
    view.listeners().unwrap().iter().map(|listener| listener.shown()).collect()
}

#[test]
fn the_owner_decides_never_the_port() {
    let child = Owner { pid: PID, command: "java".to_owned(), unit: None };
    let sockets = vec![foreign("[::]:9200", "docker-proxy", "docker.service"), listener("[::]:9201", 113, Some(child))];
    let view = view(Node::new().listeners(sockets));
    assert_eq!(shown(&view), ["*:9201"]);
    assert_eq!(view.foreign_listeners(9200).len(), 1);
}

#[test]
fn the_user_tells_where_the_process_cannot_be_seen() {
    let view = view(Node::new().listeners(vec![listener("[::]:9200", 113, None), listener("[::]:9300", 0, None)]));
    assert_eq!(shown(&view), ["*:9200"]);
}

#[test]
fn a_user_two_engines_share_tells_nothing() {
    let processes = Node::new().build().one::<Processes>("elasticsearch");
    let shared = Node::new()
        .engines(vec![engine(), EngineRef { name: "second".to_owned(), ..engine() }])
        .json::<Processes>("second", &processes.known().unwrap().value)
        .listeners(vec![listener("[::]:9200", 113, None)]);
    let view = view(shared);
    assert_eq!(shown(&view), Vec::<String>::new());
    assert_eq!(view.unattributed_listeners(9200).len(), 1);
}

#[test]
fn the_transport_port_is_no_http_port() {
    let view = view(Node::new());
    let http = view.http_listeners(&view.http_ports().unwrap(), &view.transport_ports().unwrap()).unwrap();
    assert_eq!(http.iter().map(|listener| listener.port).collect::<Vec<_>>(), [9200]);
}

#[test]
fn an_edit_after_the_start_is_not_in_force() {
    let edited = |at| view(Node::new().yml("network.host: 0.0.0.0\n", at)).edited_since_start();
    assert_eq!(edited(STARTED.plus_millis(-1000)), Some(false));
    assert_eq!(edited(STARTED.plus_millis(1000)), Some(true));
    assert_eq!(view(Node::new().no_process().unit("inactive", "dead", "success", 0)).edited_since_start(), None);
}

#[test]
fn an_end_is_told_by_the_unit_else_by_the_journal() {
    let at = AT.plus_millis(-480_000);
    assert!(matches!(view(Node::new().stopped(at)).ending(), Ending::Stopped(Some(when)) if when == at));
    let failed = view(Node::new().failed(at, 78).without::<Unit>());
    let Ending::Failed(failed) = failed.ending() else { panic!("{:?}", failed.ending()) };
    assert_eq!((failed.result.as_str(), failed.at), ("exit-code", Some(at)));
}

#[test]
fn times_of_before_a_clock_was_set_back_are_in_no_order() {
    use common_model::change::{ChangedItem, Topic};

    let day = 86_400_000;
    let item =
        ChangedItem { key: "clock".to_owned(), old: Some(AT.plus_millis(day).to_string()), new: Some(AT.to_string()) };
    let set_back = common_model::Change {
        id: "c1".to_owned(),
        node: "es-1".parse().unwrap(),
        at: AT,
        not_before: None,
        topic: Topic::Clock,
        subject: "es-1".to_owned(),
        what: String::new(),
        diff: String::new(),
        items: vec![item],
        who: None,
        how: None,
        evidence: Vec::new(),
    };
    let edited = |at| view(Node::new().yml("a: 1\n", at).change(set_back.clone())).edited_since_start();
    assert_eq!(edited(AT.plus_millis(day / 2)), None);
    assert_eq!(edited(STARTED.plus_millis(-1000)), Some(false));
    // A start that is dated later than it was read.
    let tomorrow = AT.plus_millis(day);
    let failed = view(Node::new().starting(tomorrow).failed(tomorrow, 78));
    assert!(!failed.was_before_last_start(AT.plus_millis(-1000)));
}
