//! `dialtone` on the node itself, without a controller: the first run on a host knows what happened before it.

use serde_json::Value;
use system_tests::lab::Engine;
use system_tests::packages;

use crate::fleet::{Node, node};

#[test]
fn the_first_run_names_who_stopped_the_engine_and_why_it_does_not_start() {
    let node = node(Engine::Elasticsearch);
    node.install_deb(&packages::deb("dialtone").unwrap()).unwrap();

    node.sudo(&["systemctl", "stop", "elasticsearch"]);
    let stopped = first_run(&node);
    assert_eq!(stopped["verdict"]["cause"], "not-running", "{stopped:#}");
    assert!(stopped["change"]["who"].as_str().is_some_and(|who| who.contains("anna")), "{stopped:#}");

    // Said on standard error before the engine has a log, so that only the journal has it.
    let yml = format!("{}node.name: twice\n", node.engine.healthy_yml());
    node.engine.set_yml(&node, &yml).unwrap();
    assert!(!node.engine.start(&node).unwrap().success());
    let failed = first_run(&node);
    assert_eq!(failed["verdict"]["cause"], "config-syntax", "{failed:#}");
    assert_eq!(failed["verdict"]["certainty"], "certain", "{failed:#}");
    let cited = failed["evidence"].as_array().unwrap();
    assert!(cited.iter().any(|cited| cited["kind"] == "journal"), "{failed:#}");
}

/// Diagnoses on the node as if `dialtone` had never run there.
fn first_run(node: &Node) -> Value {
    node.check(&["rm", "-rf", "/root/.local/state/dialtone"]).unwrap();
    let output = node.run(&["dialtone", "diagnose", "-o", "json", &node.endpoint()]).unwrap();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}
