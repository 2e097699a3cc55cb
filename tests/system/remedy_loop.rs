//! From a verdict to its cure: proposed, approved by a person with a key of their own, carried out by the node or refused, and seen
//! from outside to have worked.

use system_tests::lab::Engine;

use crate::fleet::{fleet, node};
use crate::trusting::{Trusting, dialtone, stage};

/// Stops the engine and waits for a plan that starts it.
fn stopped(trusting: &Trusting) -> String {
    trusting.node.check(&["systemctl", "stop", trusting.node.engine.name()]).unwrap();
    trusting.planned("not-running", "service").1
}

fn is_active(trusting: &Trusting) -> bool {
    trusting.node.run(&["systemctl", "is-active", trusting.node.engine.name()]).unwrap().success()
}

const START: &str = "{service: {units: [elasticsearch.service, opensearch.service]}}";

#[test]
fn a_stopped_engine_is_started_by_an_approved_plan() {
    let trusting = Trusting::new(Engine::Elasticsearch, START);
    let plan = stopped(&trusting);
    let approved = dialtone(&["approve", &plan, "--yes"]);
    assert_eq!(approved.code, Some(0), "{approved:?}");
    assert_eq!(stage(&plan), "verified");
    assert!(is_active(&trusting));
    fleet().diagnose_until(&trusting.node.endpoint(), "healthy");
    let verified = dialtone(&["audit", "verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let log = dialtone(&["audit", "export"]).stdout;
    for event in ["plan-proposed", "plan-approved", "plan-dispatched", "plan-looked-at", "plan-reported"] {
        assert!(log.lines().any(|line| line.contains(event) && line.contains(&plan)), "{event}: {log}");
    }
    // A plan acts at most once.
    assert_ne!(dialtone(&["approve", &plan, "--yes"]).code, Some(0));
}

#[test]
fn what_somebody_rejects_and_what_changed_meanwhile_is_not_done() {
    let trusting = Trusting::new(Engine::OpenSearch, START);
    let rejected = stopped(&trusting);
    let said = dialtone(&["reject", &rejected, "--because", "it is being repaired"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_ne!(dialtone(&["approve", &rejected, "--yes"]).code, Some(0));
    assert_eq!(stage(&rejected), "rejected");
    assert!(!is_active(&trusting));

    let late = stopped(&trusting);
    assert_ne!(late, rejected);
    trusting.node.check(&["systemctl", "start", "opensearch"]).unwrap();
    let refused = dialtone(&["approve", &late, "--yes"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert_eq!(stage(&late), "refused", "{refused:?}");
}

#[test]
fn a_node_whose_administrator_allows_nothing_is_told_what_to_do_and_nothing_is_proposed() {
    let node = node(Engine::Elasticsearch);
    node.check(&["systemctl", "stop", "elasticsearch"]).unwrap();
    let seen = fleet().diagnose_until(&node.endpoint(), "not-running");
    let remedy = seen.remedy("service");
    assert!(remedy["plan_id"].is_null(), "{remedy:#}");
    assert!(remedy["commands"].to_string().contains("systemctl"), "{remedy:#}");
}
