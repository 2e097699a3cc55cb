//! A plan that is live and cannot prove itself yet.

use std::time::Duration;

use serde_json::Value;
use system_tests::lab::{self, Host};
use system_tests::terminal::Terminal;

use super::{proposed, record};
use crate::fleet::Fleet;

/// What a node's policy has to allow for it.
pub(super) const ALLOW: &str = "firewall-allow: {ports: [9200], sources: [10.77.0.0/24]}";

/// For anything that has to come about: far more than it needs.
pub(super) const LIMIT: Duration = Duration::from_secs(100);

/// The opening of a host's firewall, approved and carried out, which opens nothing: since it was proposed, another table drops
/// the same. So it is on trial for as long as that table is there and the node lets it.
pub(super) struct Trial<'a> {
    fleet: &'a Fleet,
    host: &'a Host,
    pub(super) plan: String,
    /// `dialtone approve`, which follows it.
    pub(super) approving: Terminal,
}

/// A table that keeps clients out.
pub(super) fn drops(table: &str) -> String {
    format!("table inet {table} {{ chain input {{ type filter hook input priority 0; tcp dport 9200 drop; }}; }}")
}

/// What a node's own report says of a plan.
pub(super) fn on_node(host: &Host, plan: &str) -> Value {
    let report = host.read("/var/lib/dialtone-actuator/report.json").unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let entries = report["entries"].as_array().unwrap();
    entries.iter().find(|entry| entry["plan"] == plan).cloned().unwrap_or_default()
}

/// Waits until a node says that a plan is so.
pub(super) fn wait_on_node(host: &Host, plan: &str, state: &str) -> Value {
    let entry = || Ok(Some(on_node(host, plan)).filter(|entry| entry["state"] == state));
    lab::until(state, LIMIT, entry).unwrap_or_else(|error| panic!("{error}: {:#}", on_node(host, plan)))
}

/// How many rules of a plan a host's firewall has.
pub(super) fn openings(host: &Host, plan: &str) -> usize {
    host.check(&["nft", "list", "ruleset"]).unwrap().matches(&format!("dialtone-{plan}")).count()
}

impl<'a> Trial<'a> {
    /// Begins it, and waits until it is live.
    pub(super) fn begin(fleet: &'a Fleet, host: &'a Host) -> Self {
        host.nft(&drops("ours")).unwrap();
        Self::begin_on_dropping(fleet, host)
    }

    /// The same on a host that keeps clients out already.
    pub(super) fn begin_on_dropping(fleet: &'a Fleet, host: &'a Host) -> Self {
        let plan = proposed(fleet, host, "host-firewall", "firewall-allow").1;
        host.nft(&drops("theirs")).unwrap();
        let approving = fleet.laptop().in_terminal(&["approve", &plan, "--yes"]).unwrap();
        let trial = Self { fleet, host, plan, approving };
        let live = || Ok((trial.on_node()["state"] == "applied").then_some(()));
        lab::until("the plan being live", LIMIT, live)
            .unwrap_or_else(|error| panic!("{error}\n{}", trial.approving.shown()));
        assert_eq!(trial.openings(), 1);
        trial
    }

    /// Takes away what keeps it from proving itself.
    pub(super) fn relieve(&self) {
        self.host.nft("delete table inet theirs").unwrap();
    }

    /// What the node's own report says of it.
    pub(super) fn on_node(&self) -> Value {
        on_node(self.host, &self.plan)
    }

    /// Waits until the node says that it is so.
    pub(super) fn wait_on_node(&self, state: &str) -> Value {
        wait_on_node(self.host, &self.plan, state)
    }

    /// How many rules of this plan the host's firewall has.
    pub(super) fn openings(&self) -> usize {
        openings(self.host, &self.plan)
    }

    /// Waits until everybody sees how it ended, and that all of them see the same: undone, or kept and proven. Whether it was
    /// kept, and why it was not.
    pub(super) fn ended(&self) -> (bool, String) {
        let final_stage = || {
            // The controller may be on its way back.
            let shown = self.fleet.dialtone(&["plan", &self.plan, "-o", "json"])?;
            let record = serde_json::from_str::<Value>(&shown.stdout).unwrap_or_default()["record"].clone();
            let ended = ["verified", "rolled-back", "failed", "refused", "expired"];
            Ok(ended.into_iter().any(|stage| record["stage"] == stage).then_some(record))
        };
        let record = lab::until("the plan's end", LIMIT, final_stage)
            .unwrap_or_else(|error| panic!("{error}: {:#}\n{:#}", record(self.fleet, &self.plan), self.on_node()));
        let because = record["history"].as_array().unwrap().last().unwrap()["because"].to_string();
        let kept = record["stage"] == "verified";
        let (stage, state) = if kept { ("verified", "persisted") } else { ("rolled-back", "reverted") };
        assert_eq!((&record["stage"], &self.on_node()["state"]), (&stage.into(), &state.into()), "{record:#}");
        assert_eq!(self.openings(), usize::from(kept));
        (kept, because)
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        // A host that is switched off has none.
        self.host.run(&["nft", "flush", "ruleset"]).ok();
    }
}
