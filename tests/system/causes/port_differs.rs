//! ③ http.port was changed.

use system_tests::lab::Engine;

use crate::fleet::{fleet, node};

#[test]
fn an_elasticsearch_on_another_port_is_named() {
    other_port(Engine::Elasticsearch);
}

#[test]
fn an_opensearch_on_another_port_is_named() {
    other_port(Engine::OpenSearch);
}

fn other_port(engine: Engine) {
    let node = node(engine);
    node.restart_with(&format!("{}http.port: 9201\n", engine.healthy_yml()));
    node.wait_answer(9201);
    let seen = fleet().diagnose_until(&node.endpoint(), "port-differs");
    seen.assert_certain("port-differs", "refused");
    assert_eq!(seen.detail()["wanted"], 9200);
    assert!(seen.detail()["listening"].to_string().contains("9201"), "{:#}", seen.detail());
    assert!(
        seen.json["change"]["diff"].as_str().is_some_and(|diff| diff.contains("+http.port: 9201")),
        "{:#}",
        seen.json
    );
    let right = format!("http://{}:9201", node.ip());
    assert!(seen.json["remedies"].to_string().contains(&right), "{:#}", seen.json["remedies"]);
    assert_eq!(fleet().diagnose_until(&right, "healthy").exit, 0);
}
