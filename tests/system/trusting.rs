//! A node whose administrator trusts the operator's key, and the plans it then allows.

use std::time::Instant;

use serde_json::Value;
use system_tests::lab::{Engine, Output};

use crate::fleet::{Node, Seen, fleet, node};

const POLICY: &str = "/etc/dialtone/policy.yaml";

/// Has the node's administrator trust alice with these actions, for as long as it is borrowed.
pub(crate) struct Trusting {
    pub(crate) node: Node,
    shipped: String,
}

impl Trusting {
    pub(crate) fn new(engine: Engine, allow: &str) -> Self {
        let node = node(engine);
        let key: Value = json(&dialtone(&["key", "-o", "json"]));
        let approver = serde_json::to_string(&key["approver"]).unwrap();
        let shipped = node.check(&["cat", POLICY]).unwrap();
        let text = format!("plans_per_hour: 1000\napprovers: [{approver}]\nallow: {allow}\n");
        node.write(POLICY, text).unwrap();
        Self { node, shipped }
    }

    /// Waits until this cause is named and there is a plan for this action; the answer, and the plan.
    pub(crate) fn planned(&self, cause: &str, action: &str) -> (Seen, String) {
        let seen = fleet().diagnose_when(&self.node.endpoint(), |seen| {
            seen.cause() == cause && seen.remedy(action)["plan_id"].is_string()
        });
        assert_eq!(seen.cause(), cause, "{:#}", seen.json);
        let plan = seen.remedy(action)["plan_id"].as_str().map(str::to_owned);
        let plan = plan.unwrap_or_else(|| panic!("no plan: {:#}", seen.json["remedies"]));
        (seen, plan)
    }
}

impl Drop for Trusting {
    fn drop(&mut self) {
        // Should it fail, the node is not handed on: the next test sees the plan it allows.
        self.node.write(POLICY, &self.shipped).ok();
    }
}

pub(crate) fn dialtone(arguments: &[&str]) -> Output {
    fleet().dialtone(arguments).unwrap()
}

pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

pub(crate) fn stage(plan: &str) -> String {
    let shown = json(&dialtone(&["plan", plan, "-o", "json"]));
    shown["record"]["stage"].as_str().or(shown["stage"].as_str()).unwrap_or_default().to_owned()
}

/// Approves a plan and sees it proven; prints how long that took.
#[allow(clippy::print_stdout, reason = "a figure for people")]
pub(crate) fn verified(plan: &str, what: &str) {
    let begun = Instant::now();
    let approved = dialtone(&["approve", plan, "--yes"]);
    println!("{what}: {:.1} s from approval to proven", begun.elapsed().as_secs_f64());
    assert_eq!(approved.code, Some(0), "{approved:?}");
    assert_eq!(stage(plan), "verified");
}
