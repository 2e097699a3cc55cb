//! A node that answers is healthy, whatever else could be said of it.

use system_tests::lab::Engine;

use crate::fleet::{fleet, node};

#[test]
fn engines_that_answer_are_healthy() {
    for engine in [Engine::Elasticsearch, Engine::OpenSearch] {
        let node = node(engine);
        let seen = fleet().diagnose(&node.endpoint()).unwrap();
        assert_eq!((seen.cause(), seen.certainty(), seen.exit), ("healthy", "certain", 0), "{:#}", seen.json);
        assert!(
            seen.json["change"].is_null() && seen.json["remedies"].as_array().unwrap().is_empty(),
            "{:#}",
            seen.json
        );
    }
}

#[test]
fn the_inventory_names_nodes_and_engines() {
    let node = node(Engine::Elasticsearch);
    let output = fleet().dialtone(&["nodes", "-o", "json"]).unwrap();
    let nodes: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let this = nodes.as_array().unwrap().iter().find(|row| row["name"] == node.name()).unwrap();
    assert_eq!(this["online"], true);
    assert_eq!(this["engines"][0]["product"], "elasticsearch");
    assert!(this["engines"][0]["listening"].to_string().contains("9200"), "{this:#}");
}
