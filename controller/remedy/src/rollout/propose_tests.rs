//! Which rollout is proposed for which nodes.

use common_evidence::collectors::engine_config::EngineConfig;
use common_model::preflight::Answer;
use common_plan::rollout::Calls;
use common_plan::{ConfigInstall, Digest, Goal, Plan, Step, Verb};
use common_yml::Edit;
use controller_correlate::testing::{AT, Node};
use controller_correlate::{EngineView, NodePicture};
use serde_json::json;

use super::propose::{Member, Merged, Proposed, edited, propose};
use crate::plan::Terms;
use crate::step::tests::carrying;

const POLICY: &str = "
epoch: 7
approvers: [{name: alice, key: 'ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='}]
allow:
  service: {units: [elasticsearch.service]}
  config-install:
    files: [/etc/elasticsearch/elasticsearch.yml]
    keys: [http.host]
    units: [elasticsearch.service]
";
const OLD: &str = "cluster.name: logs\nhttp.host: _local_\n";
const NEW: &str = "cluster.name: logs\nhttp.host: 0.0.0.0\n";

/// A node of this name with this yml, whose agent says the digest of the file, too.
fn node(name: &str, yml: &str, digest: &str) -> NodePicture {
    let file = json!({
        "path": "/etc/elasticsearch/elasticsearch.yml", "text": yml, "modified_ms": 1, "digest": Digest::of(digest.as_bytes()),
    });
    let node = Node::new().json::<EngineConfig>("/etc/elasticsearch/elasticsearch.yml", &file);
    NodePicture { name: name.parse().unwrap(), ..carrying(node, POLICY).build() }
}

fn proposed(nodes: &[NodePicture], elected: &str, edits: &[Edit], asked: bool) -> Result<Proposed, String> {
    let engines: Vec<EngineView> = nodes.iter().map(|node| EngineView::all(node).unwrap().remove(0)).collect();
    let members = nodes.iter().zip(&engines).map(|(node, engine)| Member {
        node,
        engine,
        endpoint: format!("http://{}:9200", node.name),
        elected: node.name.as_str() == elected,
    });
    let goal = Goal { endpoint: "http://es:9200".to_owned(), cause: "bound-to-loopback".parse().unwrap() };
    let merged = Merged { edits: edits.to_vec(), node: "es-1".parse().unwrap(), goal };
    let subject = ("A test", Some(&merged).filter(|merged| !merged.edits.is_empty()));
    propose("logs", members.collect(), asked, Vec::new(), subject, &Terms::default(), AT)
}

fn edits() -> Vec<Edit> {
    let edit = json!({"edit": "set", "key": "http.host", "from": "_local_", "to": "0.0.0.0"});
    vec![serde_json::from_value(edit).unwrap()]
}

#[test]
fn an_engine_is_judged_by_what_its_file_becomes() {
    let node = node("es-1", OLD, OLD);
    let engine = EngineView::all(&node).unwrap().remove(0);
    let starts = |engine: &EngineView| controller_diagnose::preflight(&node, engine, None, AT).starts;
    assert_ne!(starts(&engine), Answer::No);
    // In sight of others it has to be told whom to form a cluster with.
    let edit = json!({"edit": "set", "key": "network.host", "from": null, "to": "0.0.0.0"});
    let opened = edited(&engine, &[serde_json::from_value(edit).unwrap()]);
    assert_eq!(starts(&opened), Answer::No);
    // What cannot be edited is judged as it is.
    let wrong = json!({"edit": "set", "key": "http.host", "from": "other", "to": "0.0.0.0"});
    assert_eq!(edited(&engine, &[serde_json::from_value(wrong).unwrap()]), engine);
}

fn only(proposed: &Proposed) -> &Plan {
    &proposed.plans[0].0
}

#[test]
fn the_elected_node_comes_last_and_its_approval_is_good_until_then() {
    let nodes = ["es-1", "es-2", "es-3"].map(|name| node(name, OLD, OLD));
    let proposed = proposed(&nodes, "es-1", &[], true).unwrap();
    let order: Vec<&str> = proposed.rollout.turns.iter().map(|turn| turn.node.as_str()).collect();
    assert_eq!((order, proposed.order.calls), (vec!["es-2", "es-3", "es-1"], Calls::Flush));
    for ((plan, needed, _), id) in proposed.plans.iter().zip(&proposed.order.plans) {
        assert_eq!((&plan.encode().unwrap().id(), *needed), (id, 1));
        assert!(matches!(&plan.step, Step::Service(step) if step.verb == Verb::Restart));
        assert_eq!(plan.expires_at, AT.plus_millis((15 + 2 * 15) * 60_000));
    }
}

#[test]
fn a_cluster_that_is_not_asked_is_said_to_be() {
    assert_eq!(proposed(&[node("es-1", OLD, OLD)], "", &[], false).unwrap().order.calls, Calls::Nothing);
    assert!(proposed(&[], "", &[], true).is_err());
}

#[test]
fn what_was_merged_is_installed_byte_for_byte() {
    let proposed = proposed(&[node("es-1", OLD, OLD)], "", &edits(), true).unwrap();
    let Step::ConfigInstall(ConfigInstall { from, to, edits: installed, .. }) = &only(&proposed).step else {
        panic!("{:?}", only(&proposed))
    };
    assert_eq!((from, to), (&Digest::of(OLD.as_bytes()), &Digest::of(NEW.as_bytes())));
    assert_eq!(*installed, edits());
    // It has to mend what it was merged for.
    assert_eq!(only(&proposed).goal.cause.as_str(), "bound-to-loopback");
}

#[test]
fn a_file_that_has_been_brought_there_is_only_taken_into_force() {
    let proposed = proposed(&[node("es-1", NEW, NEW)], "", &edits(), true).unwrap();
    assert!(matches!(&only(&proposed).step, Step::Service(step) if step.verb == Verb::Restart));
}

#[test]
fn of_a_file_with_hidden_values_nobody_can_say_what_it_becomes() {
    let why = proposed(&[node("es-1", OLD, "password: hunter2\n")], "", &edits(), true).unwrap_err();
    assert!(why.contains("hidden"), "{why}");
}

#[test]
fn what_the_file_does_not_have_is_not_changed() {
    let other = OLD.replace("_local_", "10.0.0.5");
    let why = proposed(&[node("es-1", &other, &other)], "", &edits(), true).unwrap_err();
    assert!(why.contains("http.host"), "{why}");
}
