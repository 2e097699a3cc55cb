//! From a verdict to its cure: proposed, approved by a person with a key of their own, carried out by the node or refused, and seen
//! from outside to have worked.

mod config_edit;
pub(crate) mod console;
mod deaths;
mod firewall;
mod limited;
mod trial;
mod two_persons;
mod unhappy;

use serde_json::Value;
use system_tests::lab::{Engine, Host, Output};
use system_tests::product::Laptop;

use crate::fleet::{Fleet, Node, Seen, fleet, node};

const POLICY: &str = "/etc/dialtone/policy.yaml";

/// Has the node's administrator trust alice with these actions, for as long as it is borrowed.
struct Trusting {
    node: Node,
    shipped: String,
}

impl Trusting {
    fn new(engine: Engine, allow: &str) -> Self {
        Self::in_persons(engine, &[fleet().laptop()], allow)
    }

    /// The same for several persons.
    fn in_persons(engine: Engine, laptops: &[&Laptop], allow: &str) -> Self {
        let node = node(engine);
        let shipped = node.check(&["cat", POLICY]).unwrap();
        trust_all(&node, laptops, allow);
        Self { node, shipped }
    }

    fn plan(&self, cause: &str, action: &str) -> String {
        proposed(fleet(), &self.node, cause, action).1
    }

    /// Stops the engine; the plan that starts it.
    fn stopped(&self) -> String {
        self.node.check(&["systemctl", "stop", self.node.engine.name()]).unwrap();
        self.plan("not-running", "service")
    }

    /// Whether the unit starts at boot, in systemd's word.
    fn at_boot(&self) -> String {
        self.node.run(&["systemctl", "is-enabled", self.node.engine.name()]).unwrap().stdout.trim().to_owned()
    }

    fn is_active(&self) -> bool {
        self.node.run(&["systemctl", "is-active", self.node.engine.name()]).unwrap().success()
    }
}

impl Drop for Trusting {
    fn drop(&mut self) {
        // Should it fail, the node is not handed on: the next test sees the plan it allows.
        self.node.write(POLICY, &self.shipped).ok();
    }
}

/// Lists a person's key in a host's policy, and what is allowed.
fn trust(host: &Host, laptop: &Laptop, allow: &str) {
    trust_all(host, &[laptop], allow);
}

fn trust_all(host: &Host, laptops: &[&Laptop], allow: &str) {
    let approver = |laptop: &&Laptop| json(&laptop.dialtone(&["key", "-o", "json"]).unwrap())["approver"].clone();
    let approvers = Value::from_iter(laptops.iter().map(approver));
    host.write(POLICY, format!("plans_per_hour: 1000\napprovers: {approvers}\nallow: {allow}\n")).unwrap();
}

/// The answer about a broken host, and the plan in it, by the cause and what the plan does.
fn proposed(fleet: &Fleet, host: &Host, cause: &str, action: &str) -> (Seen, String) {
    proposed_for(fleet, &format!("http://{}:9200", host.ip()), cause, action)
}

/// The same for clients of this endpoint.
fn proposed_for(fleet: &Fleet, endpoint: &str, cause: &str, action: &str) -> (Seen, String) {
    let seen =
        fleet.diagnose_when(endpoint, |seen| seen.cause() == cause && seen.remedy(action)["plan_id"].is_string());
    assert_eq!(seen.cause(), cause, "{:#}", seen.json);
    let plan = seen.remedy(action)["plan_id"].as_str().map(str::to_owned);
    let plan = plan.unwrap_or_else(|| panic!("no plan: {:#}", seen.json));
    (seen, plan)
}

fn dialtone(arguments: &[&str]) -> Output {
    fleet().dialtone(arguments).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// What the controller keeps of a plan.
fn record(fleet: &Fleet, plan: &str) -> Value {
    json(&fleet.dialtone(&["plan", plan, "-o", "json"]).unwrap())["record"].clone()
}

fn stage(plan: &str) -> String {
    record(fleet(), plan)["stage"].as_str().unwrap_or_default().to_owned()
}

const STARTS: &str = "service: {units: [elasticsearch.service, opensearch.service]}";

#[test]
fn a_stopped_engine_is_started_by_an_approved_plan() {
    let trusting = Trusting::new(Engine::Elasticsearch, &format!("{{{STARTS}}}"));
    let plan = trusting.stopped();
    let approved = dialtone(&["approve", &plan, "--yes"]);
    assert_eq!(approved.code, Some(0), "{approved:?}");
    assert_eq!(stage(&plan), "verified");
    assert!(trusting.is_active());
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
    let trusting = Trusting::new(Engine::OpenSearch, &format!("{{{STARTS}}}"));
    let rejected = trusting.stopped();
    let said = dialtone(&["reject", &rejected, "--because", "it is being repaired"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_ne!(dialtone(&["approve", &rejected, "--yes"]).code, Some(0));
    assert_eq!(stage(&rejected), "rejected");
    assert!(!trusting.is_active());

    let late = trusting.stopped();
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
