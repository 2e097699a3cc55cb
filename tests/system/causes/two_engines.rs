//! Two engines on one node are told apart.

use system_tests::lab::Engine;
use system_tests::lab::engine::Scheme;

use crate::fleet::{fleet, node};

const PORT: u16 = 9201;

#[test]
fn of_two_engines_on_a_node_the_one_that_is_meant_is_named() {
    let node = node(Engine::Elasticsearch);
    let second = Engine::OpenSearch;
    second.install(&node).unwrap();
    let ports = format!("http.port: {PORT}\ntransport.port: 9301\n");
    second.set_yml(&node, &(second.healthy_yml() + &ports)).unwrap();
    second.start(&node).unwrap().ok().unwrap();
    second.wait_http(&node, PORT, Scheme::Http).unwrap();
    let endpoint = format!("http://{}:{PORT}", node.ip());
    fleet().diagnose_until(&endpoint, "healthy");

    second.stop(&node).unwrap();
    let seen = fleet().diagnose_until(&endpoint, "not-running");
    seen.assert_certain("not-running", "refused");
    let sentence = seen.json["verdict"]["sentence"].as_str().unwrap_or_default();
    assert!(sentence.contains("opensearch.service"), "{sentence}");
    fleet().diagnose_until(&node.endpoint(), "healthy");

    second.start(&node).unwrap().ok().unwrap();
    second.wait_http(&node, PORT, Scheme::Http).unwrap();
    node.check(&["systemctl", "stop", "elasticsearch"]).unwrap();
    let seen = fleet().diagnose_until(&node.endpoint(), "not-running");
    let sentence = seen.json["verdict"]["sentence"].as_str().unwrap_or_default();
    assert!(sentence.contains("elasticsearch.service"), "{sentence}");
    fleet().diagnose_until(&endpoint, "healthy");
    node.check(&["dpkg", "--purge", second.name()]).unwrap();
}
