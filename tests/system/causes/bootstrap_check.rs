//! ⑤ The engine's own bootstrap checks end its start.

use system_tests::lab::{Engine, SysctlGuard};

use crate::fleet::{fleet, node};

#[test]
fn an_elasticsearch_that_fails_its_checks_has_each_named() {
    fails(Engine::Elasticsearch, "cluster.initial_master_nodes");
}

#[test]
fn an_opensearch_that_fails_its_checks_has_each_named() {
    fails(Engine::OpenSearch, "cluster.initial_cluster_manager_nodes");
}

#[test]
fn checks_that_stand_only_in_the_log_file_are_found_there() {
    fails(Engine::Elasticsearch8, "cluster.initial_master_nodes");
}

fn fails(engine: Engine, initial: &str) {
    let node = node(engine);
    let _max_map_count = SysctlGuard::set("vm.max_map_count", "65530").unwrap();
    let production = engine.healthy_yml().replace("discovery.type: single-node", &format!("{initial}: [\"node-1\"]"));
    engine.set_yml(&node, &production).unwrap();
    assert!(!node.run(&["systemctl", "restart", engine.name()]).unwrap().success());
    engine.wait_failed(&node).unwrap();
    let seen = fleet().diagnose_until(&node.endpoint(), "bootstrap-check");
    seen.assert_certain("bootstrap-check", "refused");
    let checks = seen.detail()["checks"].as_array().unwrap();
    let max_map_count = checks.iter().find(|check| check["check"] == "max-map-count").unwrap();
    assert_eq!((&max_map_count["actual"], &max_map_count["required"]), (&"65530".into(), &"262144".into()));
    let chain = seen.json["verdict"]["chain"].to_string();
    assert!(chain.contains("78") && chain.contains("max_map_count"), "{chain}");
    node.carry_out(seen.remedy("sysctl-set"));
    assert_eq!(node.check(&["sysctl", "-n", "vm.max_map_count"]).unwrap().trim(), "262144");
    assert!(node.check(&["sh", "-c", "cat /etc/sysctl.d/*.conf"]).unwrap().contains("vm.max_map_count"));
    node.wait_answer(9200);
    fleet().diagnose_until(&node.endpoint(), "healthy");
}
