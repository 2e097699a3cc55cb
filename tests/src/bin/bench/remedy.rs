//! From approval to proven, for each step of a plan.

use std::fmt::Write as _;
use std::io::{Write as _, stderr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use system_tests::fleet::Fleet;
use system_tests::lab::{Engine, SysctlGuard, persistent, until};

use crate::node::Node;
use crate::samples::Samples;
use crate::stopwatch;

/// How often each step is carried out: most wait for an engine to start.
const TIMES: usize = 5;
const LIMIT: Duration = Duration::from_secs(120);
/// Of the plan that is timed, everything it may need.
const POLICY: &str = "{sysctl-set: {keys: {vm.max_map_count: 262144..1048576}}, \
    firewall-allow: {ports: [9200], sources: [10.77.0.0/24]}, \
    unit-limit: {units: [elasticsearch.service], limits: {nofile: 65535..1048576}}, \
    service: {units: [elasticsearch.service]}}";

/// A way to break a healthy node, which one plan mends.
struct Case {
    /// What the row is called.
    title: &'static str,
    cause: &'static str,
    action: &'static str,
    inflict: fn(&Node) -> Result<()>,
    mend: fn(&Node) -> Result<()>,
    /// Whether a plan takes it back, which is timed, too.
    is_taken_back: bool,
}

const FIREWALL: Case = Case {
    title: "",
    cause: "host-firewall",
    action: "firewall-allow",
    inflict: |_| Ok(()),
    mend: |_| Ok(()),
    is_taken_back: true,
};

const CASES: [Case; 7] = [
    Case {
        title: "`firewall-allow`, nftables",
        inflict: |node| {
            node.nft("table inet f { chain input { type filter hook input priority 0; tcp dport 9200 drop; }; }")
        },
        mend: |node| node.nft("flush ruleset"),
        ..FIREWALL
    },
    Case {
        title: "`firewall-allow`, iptables, kept in its file",
        inflict: |node| {
            persistent::install(node)?;
            node.check(&["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "9200", "-j", "DROP"])?;
            node.check(&["netfilter-persistent", "save"]).map(drop)
        },
        mend: |node| {
            persistent::remove(node)?;
            node.nft("flush ruleset")
        },
        ..FIREWALL
    },
    Case {
        title: "`firewall-allow`, ufw, kept in its file",
        inflict: |node| node.check(&["ufw", "--force", "enable"]).map(drop),
        mend: |node| node.check(&["ufw", "--force", "reset"]).map(drop),
        ..FIREWALL
    },
    Case {
        title: "`firewall-allow`, firewalld, runtime and permanent",
        inflict: |node| node.check(&["systemctl", "start", "firewalld"]).map(drop),
        mend: |node| node.check(&["systemctl", "stop", "firewalld"]).map(drop),
        ..FIREWALL
    },
    Case {
        title: "`service` start",
        cause: "not-running",
        action: "service",
        inflict: |node| node.engine.stop(node),
        mend: |_| Ok(()),
        is_taken_back: false,
    },
    Case {
        title: "`sysctl-set`, and the start of the engine",
        cause: "bootstrap-check",
        action: "sysctl-set",
        inflict: |node| {
            node.write(MAP_COUNT, "65530")?;
            fails_its_checks(node)
        },
        mend: |node| node.check(&["rm", "--force", "/etc/sysctl.d/60-dialtone.conf"]).map(drop),
        is_taken_back: false,
    },
    Case {
        title: "`unit-limit`, and the start of the engine",
        cause: "bootstrap-check",
        action: "unit-limit",
        inflict: |node| {
            node.write(MAP_COUNT, "262144")?;
            node.engine.drop_in(node, "50-low", "[Service]\nLimitNOFILE=4096\n")?;
            fails_its_checks(node)
        },
        mend: |node| {
            node.check(&["rm", "--recursive", "/etc/systemd/system/elasticsearch.service.d"])?;
            node.check(&["systemctl", "daemon-reload"]).map(drop)
        },
        is_taken_back: false,
    },
];

const MAP_COUNT: &str = "/proc/sys/vm/max_map_count";

/// Has the engine enforce its bootstrap checks, and fail them.
fn fails_its_checks(node: &Node) -> Result<()> {
    let production =
        node.engine.healthy_yml().replace("discovery.type: single-node", "cluster.initial_master_nodes: [\"node-1\"]");
    node.restart_with(&production)?;
    node.engine.wait_failed(node)
}

/// The table.
pub(crate) fn measure(fleet: &Fleet) -> Result<String> {
    // Shared by all hosts and the machine; put back at the end.
    let _map_count = SysctlGuard::hold("vm.max_map_count")?;
    let node = Node::boot(fleet, "bench-es", Engine::Elasticsearch)?;
    let key: Value = serde_json::from_str(&fleet.dialtone(&["key", "-o", "json"])?.ok()?)?;
    let policy = format!("plans_per_hour: 1000\napprovers: [{}]\nallow: {POLICY}\n", key["approver"]);
    node.write("/etc/dialtone/policy.yaml", policy)?;
    let mut table = format!(
        "Seconds, min / **median** / max of {TIMES}, from the start of `dialtone approve PLAN --yes` to its end: signed, handed to \
         the node, carried out, seen from outside over a new connection, confirmed and made to last.\n\n\
         | step | approved to proven | taken back by a plan |\n|---|---|---|\n"
    );
    for case in &CASES {
        let (mut done, mut taken_back) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            (case.inflict)(&node)?;
            let plan = proposed(fleet, &node, case)?;
            done.push(approved(fleet, &plan)?);
            if case.is_taken_back {
                let said: Value = serde_json::from_str(&fleet.dialtone(&["revert", &plan, "-o", "json"])?.ok()?)?;
                taken_back.push(approved(fleet, said["record"]["id"].as_str().context("no inverse")?)?);
            }
            (case.mend)(&node)?;
            if case.cause == "bootstrap-check" {
                node.restart_with(&node.engine.healthy_yml())?;
            }
            node.diagnosed(fleet, "healthy")?;
        }
        let row = format!("| {} | {} | {} |", case.title, seconds(done), seconds(taken_back));
        writeln!(stderr(), "   {row}")?;
        writeln!(table, "{row}")?;
    }
    let row = format!("| restart of the only node of a cluster, as a rollout | {} | |", seconds(rolled_out(fleet)?));
    writeln!(stderr(), "   {row}")?;
    write!(table, "{row}")?;
    Ok(table)
}

fn seconds(figures: Vec<f64>) -> String {
    Samples::new(figures).map(|samples| samples.tenths()).unwrap_or_default()
}

/// The plan that mends a broken node, once the break is seen and the node's policy known.
fn proposed(fleet: &Fleet, node: &Node, case: &Case) -> Result<String> {
    until(&format!("a plan against {}", case.title), LIMIT, || {
        let said = fleet.dialtone(&["diagnose", "-o", "json", &node.endpoint()])?.stdout;
        let json: Value = serde_json::from_str(&said).unwrap_or_default();
        let mut remedies = json["remedies"].as_array().into_iter().flatten();
        let remedy = remedies.find(|remedy| remedy["action"] == case.action && json["verdict"]["cause"] == case.cause);
        Ok(remedy.and_then(|remedy| remedy["plan_id"].as_str().map(str::to_owned)))
    })
}

/// Seconds until what is approved is proven.
fn approved(fleet: &Fleet, id: &str) -> Result<f64> {
    let program = fleet.program();
    let timed = stopwatch::time(fleet, 1, &[0], &[&program.to_string_lossy(), "approve", id, "--yes", "-o", "json"])?;
    let told: Value = serde_json::from_str(timed.printed.first().context("nothing was printed")?)?;
    let stage = told["record"]["stage"].as_str().or(told["rollout"]["stage"].as_str());
    ensure!(matches!(stage, Some("verified" | "done")), "it ended as {stage:?}");
    Ok(timed.millis.median() / 1000.0)
}

/// Restarts of the only node of a cluster, each a rollout of its own with every call that one of many nodes gets.
fn rolled_out(fleet: &Fleet) -> Result<Vec<f64>> {
    let propose = ["rollout", "propose", "lab", "--because", "a measurement", "-o", "json"];
    let mut done = Vec::new();
    for _ in 0..TIMES {
        let proposed: Value = serde_json::from_str(&fleet.dialtone(&propose)?.ok()?)?;
        done.push(approved(fleet, proposed["rollout"]["id"].as_str().context("no rollout")?)?);
    }
    Ok(done)
}
