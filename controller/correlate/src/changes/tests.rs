//! Changes between pieces of evidence as agents send them.

use common_evidence::collectors::engine_config::EngineConfig;
use common_evidence::collectors::host::Host;
use common_evidence::collectors::nftables::Nftables;
use common_evidence::collectors::packages::Packages;
use common_evidence::collectors::sockets::Sockets;
use common_evidence::collectors::sysctl::Sysctls;
use common_evidence::collectors::sysctl_files::PersistedSysctls;
use common_evidence::collectors::unit::Unit;
use common_evidence::source::FileRead;

use super::*;
use crate::testing::{AT, Node, YML};

/// The changes of a kind from one node's evidence to another's.
fn changes<T: Evidence>(before: Node, after: Node) -> Vec<Change> {
    let newest = |node: Node| node.build().evidence.into_iter().rfind(|held| held.kind.as_str() == T::KIND).unwrap();
    let previous = Envelope { taken_at: AT.plus_millis(-600_000), ..newest(before) };
    between(Some(&previous), &newest(after))
}

#[test]
fn a_changed_setting_is_told_by_key_and_by_line() {
    let at = AT.plus_millis(-60_000);
    let before = Node::new().yml("a: 1\nnetwork.host: 0.0.0.0\nb: 2\n", AT.plus_millis(-900_000));
    let found = changes::<EngineConfig>(before, Node::new().yml("a: 1\nb: 2\nhttp.port: 9201\n", at));
    assert_eq!(found.len(), 1);
    let change = &found[0];
    assert_eq!((change.topic, change.subject.as_str(), change.at), (Topic::Config, YML, at));
    assert_eq!(change.what, "http.port: (unset) → 9201; network.host: 0.0.0.0 → (unset)");
    assert!(change.diff.contains("-network.host: 0.0.0.0\n"), "{}", change.diff);
    assert_eq!(change.not_before, Some(AT.plus_millis(-600_000)));
}

#[test]
fn an_unchanged_or_first_read_changes_nothing() {
    assert_eq!(changes::<EngineConfig>(Node::new(), Node::new()), []);
    let first = Node::new().build().evidence;
    assert!(first.iter().all(|envelope| between(None, envelope).is_empty()));
}

#[test]
fn a_unit_that_failed_is_told_once() {
    let mut all = changes::<Unit>(Node::new(), Node::new().unit("failed", "failed", "exit-code", 78));
    let failed = Node::new().failed(all[0].at, 78).build();
    all.extend(
        failed.evidence.iter().filter(|held| held.kind.as_str() == "journal").flat_map(|line| between(None, line)),
    );
    assert_eq!(all.len(), 3, "{all:#?}");
    let told = coalesce(all);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0].what, "elasticsearch.service failed with exit status 78");
}

#[test]
fn a_stop_and_a_later_start_are_two() {
    let stopped = Node::new().stopped(AT.plus_millis(-60_000)).build();
    let mut all: Vec<Change> = stopped
        .evidence
        .iter()
        .filter(|held| held.kind.as_str() == "journal")
        .flat_map(|line| between(None, line))
        .collect();
    all.extend(changes::<Unit>(Node::new().unit("inactive", "dead", "success", 0), Node::new()));
    let told: Vec<String> = coalesce(all).into_iter().map(|change| change.what).collect();
    assert!(told.contains(&"elasticsearch.service stopped".to_owned()), "{told:?}");
    assert!(told.contains(&"elasticsearch.service started".to_owned()), "{told:?}");
}

#[test]
fn a_stop_right_after_a_restart_is_one_of_its_own() {
    let (restart, stop) = (AT.plus_millis(-64_000), AT.plus_millis(-60_000));
    let up = stop.plus_millis(-400);
    let started = "39f53479d3a045ac8e11786248231fbf";
    let node = Node::new()
        .stopped(restart)
        .systemd(
            up,
            started,
            "Started elasticsearch.service - Elasticsearch.",
            serde_json::json!({"JOB_TYPE": "start"}),
        )
        .sudo(stop.plus_millis(-300), "anna", "/usr/bin/systemctl stop elasticsearch")
        .stopped(stop);
    let lines: Vec<Change> = node.evidence().iter().flat_map(|held| between(None, held)).collect();
    let node = lines.into_iter().fold(node, Node::change).build();
    let told: Vec<_> = timeline(&node).into_iter().map(|change| (change.at, change.what, change.who)).collect();
    let entry =
        |at, what: &str, who: Option<&str>| (at, format!("elasticsearch.service {what}"), who.map(str::to_owned));
    assert_eq!(
        told,
        [entry(restart, "stopped", None), entry(up, "started", None), entry(stop, "stopped", Some("anna"))]
    );
}

#[test]
fn a_disabled_unit_is_a_change_of_its_definition() {
    let found = changes::<Unit>(Node::new(), Node::new().unit_with("active", "running", "success", 0, 0, "disabled"));
    assert_eq!(found[0].what, "elasticsearch.service: unit-file-state: enabled → disabled");
}

#[test]
fn kernel_settings_live_and_persisted() {
    let live = changes::<Sysctls>(Node::new(), Node::new().sysctl("vm.max_map_count", "65530"));
    assert_eq!(live[0].what, "vm.max_map_count: 262144 → 65530");
    let gone = changes::<PersistedSysctls>(Node::new(), Node::new().sysctl_files(&[]));
    assert_eq!(gone[0].subject, "/usr/lib/sysctl.d/elasticsearch.conf");
    assert_eq!(gone[0].items[0].new, None);
}

#[test]
fn sockets_of_the_engine_that_closed() {
    let found = changes::<Sockets>(Node::new(), Node::new().listening(&["[::]:9300"]));
    assert_eq!(found[0].what, "elasticsearch.service: *:9200 closed");
}

#[test]
fn a_boot_is_dated_by_the_kernel() {
    let host = |boot: &str, at: Timestamp| Host {
        hostname: "es-1".to_owned(),
        boot_id: boot.to_owned(),
        booted_at_ms: at.0,
        kernel: "6.1".to_owned(),
        ..Host::default()
    };
    let booted = AT.plus_millis(-30_000);
    let before = Node::new().json::<Host>("", &host("a", AT.plus_millis(-9_000_000)));
    let found = changes::<Host>(before, Node::new().json::<Host>("", &host("b", booted)));
    assert_eq!((found[0].topic, found[0].at), (Topic::Boot, booted));
}

#[test]
fn packages_are_told_once() {
    let log = |text: &str, modified: Timestamp| {
        let read = FileRead {
            path: "/var/log/dpkg.log".to_owned(),
            text: text.to_owned(),
            modified_ms: modified.0,
            ..FileRead::default()
        };
        Node::new().json::<Packages>("", &read)
    };
    let old = "2026-01-31 13:10:00 upgrade elasticsearch:amd64 7.17.27 7.17.28\n";
    let new = format!("{old}2026-01-31 14:10:00 install openjdk-17-jre-headless:amd64 <none> 17.0.9\n");
    let found = changes::<Packages>(log(old, AT.plus_millis(-3_600_000)), log(&new, AT));
    let told: Vec<&str> = found.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(told, ["install openjdk-17-jre-headless 17.0.9"]);
}

#[test]
fn a_rule_that_came_is_told_as_its_tool_prints_it() {
    let table = serde_json::json!({"table": {"family": "inet", "name": "filter", "handle": 1}});
    let chain = serde_json::json!({"chain": {"family": "inet", "table": "filter", "name": "input", "handle": 1, "type": "filter",
        "hook": "input", "prio": 0, "policy": "accept"}});
    let rule = serde_json::json!({"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 4, "expr": [
        {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 9200}}, {"drop": null}]}});
    let before = Node::new().nft(serde_json::json!({"nftables": [table, chain]}));
    let found = changes::<Nftables>(before, Node::new().nft(serde_json::json!({"nftables": [table, chain, rule]})));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].what, "nftables: added tcp dport 9200 drop");
    assert_eq!(found[0].diff, "+inet filter input: tcp dport 9200 drop\n");
}
