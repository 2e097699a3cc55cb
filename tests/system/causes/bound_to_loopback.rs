//! ② network.host was removed.

use system_tests::lab::Engine;

use crate::fleet::{fleet, node};

#[test]
fn an_elasticsearch_without_network_host_is_named_with_the_line_that_went() {
    loopback(Engine::Elasticsearch, |yml| yml.replace("network.host: 0.0.0.0\n", ""), "default");
}

#[test]
fn an_opensearch_without_network_host_is_named_with_the_line_that_went() {
    loopback(Engine::OpenSearch, |yml| yml.replace("network.host: 0.0.0.0\n", ""), "default");
}

#[test]
fn a_loopback_address_in_a_nested_key_is_named_with_its_line() {
    let nested = |yml: &str| yml.replace("network.host: 0.0.0.0\n", "network:\n  host: _local_\n");
    loopback(Engine::Elasticsearch, nested, "/etc/elasticsearch/elasticsearch.yml:4");
}

#[test]
fn what_changed_while_the_agent_was_down_is_seen_at_its_next_start() {
    let node = node(Engine::Elasticsearch);
    node.check(&["systemctl", "stop", "dialtone-agent"]).unwrap();
    node.restart_with(&node.engine.healthy_yml().replace("network.host: 0.0.0.0\n", ""));
    node.check(&["systemctl", "start", "dialtone-agent"]).unwrap();
    let seen = fleet().diagnose_until(&node.endpoint(), "bound-to-loopback");
    let diff = seen.json["change"]["diff"].as_str().unwrap_or_default();
    assert!(diff.contains("-network.host: 0.0.0.0"), "{:#}", seen.json["change"]);
}

fn loopback(engine: Engine, broken: impl Fn(&str) -> String, source: &str) {
    let node = node(engine);
    node.restart_with(&broken(&engine.healthy_yml()));
    let seen = fleet().diagnose_until(&node.endpoint(), "bound-to-loopback");
    seen.assert_certain("bound-to-loopback", "refused");
    assert_eq!(seen.detail()["source"], source, "{:#}", seen.detail());
    assert!(seen.detail()["bound"].to_string().contains("127.0.0.1"), "{:#}", seen.detail());
    let diff = seen.json["change"]["diff"].as_str().unwrap_or_default();
    assert!(diff.contains("-network.host: 0.0.0.0"), "{:#}", seen.json["change"]);
    node.carry_out(seen.remedy("config-edit"));
    node.wait_answer(9200);
    fleet().diagnose_until(&node.endpoint(), "healthy");
}
