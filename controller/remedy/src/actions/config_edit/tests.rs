//! Edits of the yml in pictures, line for line.

use common_evidence::collectors::interfaces::{InterfaceAddress, Interfaces};
use common_model::Change;
use common_model::change::{ChangedItem, Topic};
use controller_correlate::Picture;
use controller_correlate::testing::{AT, Node, STARTED, YML, ip, picture, probe};

use super::*;
use crate::tests::{FAILED_AT, changed, checked, failed, mended, refused};

const UNKNOWN: &str = "java.lang.IllegalArgumentException: unknown setting [http.prot] did you mean [http.port]?";
const LOST: &str =
    "BindTransportException[Failed to bind to 10.9.9.9:9300]; nested: BindException[Cannot assign requested address];";
const DISCOVERY: &str = "the default discovery settings are unsuitable for production use; at least one of [discovery.seed_hosts, discovery.seed_providers, cluster.initial_master_nodes] must be configured";
const LOADER: &str = "Exception in thread \"main\" SettingsException[Failed to load settings from [elasticsearch.yml]]";

/// The node with this yml, which alice wrote in place of that one.
fn edited(node: Node, old: &str, new: &str, key: &str) -> Node {
    let at = FAILED_AT.plus_millis(-60_000);
    node.yml(new, at).change(Change {
        id: "es-1-1".to_owned(),
        node: "es-1".parse().unwrap(),
        at,
        not_before: None,
        topic: Topic::Config,
        subject: YML.to_owned(),
        what: key.to_owned(),
        diff: diff::unified(YML, old, new),
        items: vec![ChangedItem { key: key.to_owned(), old: None, new: Some("x".to_owned()) }],
        who: Some("alice".to_owned()),
        how: None,
        evidence: Vec::new(),
    })
}

fn written(yml: &str) -> Node {
    Node::new().yml(yml, STARTED.plus_millis(-60_000))
}

fn edits(remedies: &[Remedy]) -> Vec<(&str, Vec<&str>)> {
    let of_yml = remedies.iter().filter(|remedy| remedy.action == ACTION.id);
    of_yml.map(|remedy| (remedy.title.as_str(), changed(remedy))).collect()
}

#[test]
fn a_key_that_the_engine_guesses_is_written_so() {
    let remedies = refused(failed(written("network.host: 0.0.0.0\nhttp.prot: 9200 # ours\n"), &[UNKNOWN], 1));
    let title = format!("Write http.port instead of http.prot in line 2 of {YML} on es-1, then restart");
    assert_eq!(edits(&remedies), [(title.as_str(), vec!["-http.prot: 9200 # ours", "+http.port: 9200 # ours"])]);
}

#[test]
fn a_key_that_nobody_knows_becomes_a_comment() {
    let unknown = UNKNOWN.replace("did you mean [http.port]?", "please check that any required plugins are installed");
    let remedies = refused(failed(written("network.host: 0.0.0.0\nhttp.prot: 9200\n"), &[&unknown], 1));
    assert_eq!(edits(&remedies)[0].1, ["-http.prot: 9200", "+#http.prot: 9200"]);
    // Without its only key, the block would be empty, which the engine does not take either.
    let remedies = refused(failed(written("network.host: 0.0.0.0\nhttp:\n  prot: 9200\n"), &[&unknown], 1));
    assert_eq!(edits(&remedies)[0].1, ["-http:", "-  prot: 9200", "+#http:", "+#  prot: 9200"]);
}

#[test]
fn the_change_that_brought_it_can_be_taken_back() {
    let (old, new) = ("cluster.name: es\n# why\nhttp.port: 9200\n", "cluster.name: es\n# why\n\thttp.port: 9200\n");
    let remedies = refused(failed(edited(Node::new(), old, new, "syntax"), &[LOADER], 1));
    let edits = edits(&remedies);
    let title = format!("Take back the change by alice of {YML} on es-1, then restart");
    // The line put right is the line as it was before.
    assert_eq!(edits, [(title.as_str(), vec!["-\thttp.port: 9200", "+http.port: 9200"])], "{remedies:#?}");
}

#[test]
fn what_binds_to_everything_again_says_so() {
    let risk = |old: &str| {
        let node = edited(Node::new(), old, "network.host: 10.9.9.9\n", "network.host");
        let remedies = refused(failed(node, &[LOST], 1));
        remedies.into_iter().find(|remedy| remedy.title.contains("Take back")).unwrap().risk
    };
    assert!(risk("network.host: 0.0.0.0\n").contains("every network the machine is in"));
    assert!(!risk("network.host: 10.0.0.5\n#\n").contains("every network"));
}

#[test]
fn a_change_that_another_came_after_is_not_taken_back() {
    let (old, new) = ("http.port: 9200\n", "\thttp.port: 9200\n");
    let node = edited(Node::new(), old, new, "syntax").yml("\thttp.port: 9201\n", FAILED_AT.plus_millis(-30_000));
    let remedies = refused(failed(node, &[LOADER], 1));
    assert!(edits(&remedies).iter().all(|(title, _)| !title.contains("Take back")), "{remedies:#?}");
}

#[test]
fn common_slips_are_put_right_and_others_are_shown() {
    let mended = |yml: &str| {
        let remedies = refused(failed(written(yml), &[LOADER], 1));
        edits(&remedies).first().map(|(_, lines)| lines.join("|"))
    };
    assert_eq!(mended("network:\n\thost: a\n").as_deref(), Some("-\thost: a|+  host: a"));
    assert_eq!(mended("a: 1\nhttp.port:9200\n").as_deref(), Some("-http.port:9200|+http.port: 9200"));
    assert_eq!(mended("a: 1\n b: 2\n").as_deref(), Some("- b: 2|+b: 2"));
    let remedies = refused(failed(written("network.host: a\nnetwork.host: b\n"), &[LOADER], 1));
    assert_eq!(remedies[0].title, format!("Correct {YML}:2 on es-1, then start the engine"), "{remedies:#?}");
    assert_eq!(remedies[0].commands[0], format!("sudo sed -n '1,4p' {YML}"));
}

#[test]
fn an_address_the_machine_lost_is_replaced_by_the_one_it_has() {
    let remedies = refused(failed(written("network.host: 10.9.9.9 # dhcp\n"), &[LOST], 1));
    assert_eq!(edits(&remedies)[0].1, ["-network.host: 10.9.9.9 # dhcp", "+network.host: 10.0.0.5 # dhcp"]);
    let remedies = refused(failed(written("network.host: [_local_, 10.9.9.9]\n"), &[LOST], 1));
    assert_eq!(edits(&remedies)[0].1[1], "+network.host: [\"_local_\", \"10.0.0.5\"]");
    let remedies = refused(failed(written("network.host: es.example\n"), &[LOST], 1));
    assert_eq!(remedies[0].action, "by-hand", "{remedies:#?}");
}

#[test]
fn a_node_that_knows_no_cluster_is_asked_which() {
    let remedies = refused(checked(written("network.host: 10.0.0.5\n"), &[DISCOVERY]));
    let kinds: Vec<RemedyKind> = remedies.iter().map(|remedy| remedy.kind).collect();
    assert_eq!(kinds, [RemedyKind::Manual, RemedyKind::PullRequest], "{remedies:#?}");
    let edits = edits(&remedies);
    assert_eq!(edits[0].1, ["+discovery.seed_hosts: [\"ADDRESS-OF-A-MASTER-ELIGIBLE-NODE\"]"]);
    assert_eq!(edits[1].1, ["+discovery.type: single-node"]);
    assert!(edits[1].0.starts_with("If it is a cluster of its own, set"), "{}", edits[1].0);
}

/// Another node of 10.0.0.0/24, with an engine of this cluster.
fn other(cluster: &str) -> controller_correlate::NodePicture {
    let held = |address: &str, prefix| InterfaceAddress {
        interface: "eth0".to_owned(),
        address: ip(address),
        prefix,
        up: true,
    };
    let addresses = vec![held("172.17.0.1", 16), held("10.0.0.6", 24)];
    let node = Node::new().json::<Interfaces>("", &Interfaces { addresses });
    let mut node = node.yml(&format!("cluster.name: {cluster}\nnetwork.host: 0.0.0.0\n"), STARTED).build();
    node.name = "es-2".parse().unwrap();
    node
}

#[test]
fn other_nodes_of_its_cluster_are_named_where_they_are_known() {
    let lonely = checked(written("cluster.name: prod\nnetwork.host: 10.0.0.5\n"), &[DISCOVERY]);
    let mut both = picture(lonely, vec![probe(common_model::Symptom::Refused)]);
    let with = |both: &mut Picture, cluster: &str| {
        let other = other(cluster);
        both.nodes.insert(other.name.clone(), other);
        mended(both)
    };
    let remedies = with(&mut both, "prod");
    assert_eq!(edits(&remedies)[0].1, ["+discovery.seed_hosts: [\"10.0.0.6\"]"], "{remedies:#?}");
    assert_eq!(edits(&with(&mut both, "test")).len(), 2);
}

#[test]
fn discovery_that_was_taken_away_is_put_back() {
    let (old, new) = ("network.host: 10.0.0.5\ndiscovery.seed_hosts: [a, b]\n", "network.host: 10.0.0.5\n");
    let node = edited(Node::new(), old, new, "discovery.seed_hosts");
    let remedies = refused(checked(node, &[DISCOVERY]));
    assert_eq!(
        edits(&remedies).iter().map(|(_, lines)| lines.clone()).collect::<Vec<_>>(),
        [["+discovery.seed_hosts: [a, b]"]]
    );
}

#[test]
fn a_line_with_a_secret_is_never_part_of_a_diff() {
    let yml = format!("a: 1\nx.secret: {HIDDEN}\nhttp.prot: 9200\n");
    let remedies = refused(failed(written(&yml), &[UNKNOWN], 1));
    let diff = remedies[0].diff.as_deref().unwrap();
    assert!(!diff.contains(HIDDEN) && diff.contains("@@ -3,1 +3,1 @@"), "{diff}");
}

#[test]
fn an_edit_that_only_awaits_a_restart_is_not_made_again() {
    let moved = Node::new()
        .yml("network.host: [10.9.0.5, 10.0.0.5]\n", AT.plus_millis(-60_000))
        .listening(&["10.9.0.5:9200", "10.9.0.5:9300"]);
    let remedies = refused(moved);
    assert_eq!(edits(&remedies).len(), 0, "{remedies:#?}");
    assert_eq!(
        (remedies[0].action.as_str(), remedies[0].commands[0].as_str()),
        ("service", "sudo systemctl restart elasticsearch.service")
    );
}
