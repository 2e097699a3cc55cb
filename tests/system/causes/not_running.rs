//! ① The unit was stopped.

use system_tests::lab::Engine;

use crate::fleet::{fleet, node};

#[test]
fn a_stopped_elasticsearch_is_named_with_who_stopped_it() {
    stopped(Engine::Elasticsearch);
}

#[test]
fn a_stopped_opensearch_is_named_with_who_stopped_it() {
    stopped(Engine::OpenSearch);
}

fn stopped(engine: Engine) {
    let node = node(engine);
    node.sudo(&["systemctl", "stop", engine.name()]);
    // At once: the verdict waits for the journal, which says who a moment after the kernel says that the port is closed.
    let seen = fleet().diagnose(&node.endpoint()).unwrap();
    seen.assert_certain("not-running", "refused");
    let change = &seen.json["change"];
    let timeline = fleet().dialtone(&["timeline"]).unwrap().stdout;
    assert!(change["who"].as_str().is_some_and(|who| who.contains("anna")), "{:#}\n{timeline}", seen.json);
    assert_eq!(seen.json["verdict"]["node"], node.name());
    node.carry_out(seen.remedy("service"));
    node.wait_answer(9200);
    assert_eq!(fleet().diagnose_until(&node.endpoint(), "healthy").exit, 0);
}

#[test]
fn a_stopped_engine_behind_a_firewall_has_both_named() {
    let node = node(Engine::Elasticsearch);
    node.check(&["systemctl", "stop", "elasticsearch"]).unwrap();
    node.nft("table inet f { chain input { type filter hook input priority 0; tcp dport 9200 drop; }; }").unwrap();
    let seen = fleet().diagnose_until(&node.endpoint(), "host-firewall");
    assert_eq!(seen.json["symptom"], "timeout");
    assert!(seen.blockers().contains(&"not-running"), "{:#}", seen.json);
}

#[test]
fn without_the_agent_the_verdict_is_less_certain_and_says_since_when() {
    let node = node(Engine::OpenSearch);
    node.check(&["systemctl", "stop", "dialtone-agent"]).unwrap();
    node.check(&["systemctl", "stop", "opensearch"]).unwrap();
    let seen = fleet().diagnose(&node.endpoint()).unwrap();
    node.check(&["systemctl", "start", "dialtone-agent"]).unwrap();
    assert_ne!(seen.certainty(), "certain", "{:#}", seen.json);
    let missing = seen.json["missing"].to_string();
    assert!(missing.contains(node.name()), "{:#}", seen.json);
    fleet().diagnose_until(&node.endpoint(), "not-running").assert_certain("not-running", "refused");
}
