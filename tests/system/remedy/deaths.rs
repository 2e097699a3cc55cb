//! Plans in whose midst something dies: killed as units of real hosts, or switched off with the host.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use system_tests::lab::{self, Engine, Host};

use super::trial::{ALLOW, Trial, drops, openings};
use super::{Trusting, proposed, record, trust};
use crate::fleet::{Fleet, fleet};

/// Seconds a plan is good for here: the shortest there is.
const VALID: u32 = 20;

/// A fleet of their own for those who kill its controller.
pub(super) struct Mortal {
    pub(super) fleet: Fleet,
    pub(super) host: Host,
}

pub(super) fn mortal() -> MutexGuard<'static, Option<Mortal>> {
    static MORTAL: Mutex<Option<Mortal>> = Mutex::new(None);
    let mut slot = MORTAL.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.is_none() {
        let fleet = Fleet::set_up("mortal-controller", "valid_seconds", VALID).unwrap();
        let host = Host::boot("mortal").unwrap();
        Engine::Elasticsearch.run_healthy(&host).unwrap();
        fleet.join(&host).unwrap();
        trust(&host, fleet.laptop(), &format!("{{{ALLOW}}}"));
        *slot = Some(Mortal { fleet, host });
    }
    slot
}

/// Kills every process of units with SIGKILL.
pub(super) fn kill(host: &Host, units: &[&str]) {
    host.check(&[&["systemctl", "kill", "--signal=KILL", "--"], units].concat()).unwrap();
}

pub(super) const AGENT: &str = "dialtone-agent.service";
pub(super) const ACTUATOR: &str = "dialtone-actuator.service";
pub(super) const CONTROLLER: &str = "dialtone-controller.service";

#[test]
fn whoever_is_killed_while_a_plan_is_on_trial_it_is_kept_and_proven_or_undone_and_all_say_the_same() {
    let slot = mortal();
    let Mortal { fleet, host } = slot.as_ref().unwrap();
    let trial = |dies: &dyn Fn(&str)| {
        let trial = Trial::begin(fleet, host);
        dies(&format!("dialtone-guard@{}.service", trial.plan));
        trial.relieve();
        trial.ended()
    };
    // Those who only carry messages come back and go on.
    let (kept, because) = trial(&|_| kill(&fleet.controller, &[CONTROLLER]));
    assert!(kept, "{because}");
    let (kept, because) = trial(&|_| kill(host, &[AGENT]));
    assert!(kept, "{because}");
    // Those who act, and who undo, never go on.
    let (kept, because) = trial(&|_| kill(host, &[ACTUATOR]));
    assert!(!kept && because.contains("the actuator, or the node, was stopped"), "{because}");
    let (kept, because) = trial(&|guard| kill(host, &[guard]));
    assert!(!kept && because.contains("its guard was stopped"), "{because}");
    let (kept, because) = trial(&|guard| {
        kill(&fleet.controller, &[CONTROLLER]);
        kill(host, &[AGENT, ACTUATOR, guard]);
    });
    assert!(!kept, "{because}");
}

#[test]
fn what_is_not_begun_in_time_expires_whether_it_was_approved_or_not() {
    let slot = mortal();
    let Mortal { fleet, host } = slot.as_ref().unwrap();
    let opened = "table inet ours { chain input { type filter hook input priority 0; tcp dport 9200 drop; }; }";
    host.nft(opened).unwrap();
    let before = host.check(&["nft", "list", "ruleset"]).unwrap();
    let late = proposed(fleet, host, "host-firewall", "firewall-allow").1;
    // Once half of its time is over, somebody who asks gets one with more.
    let newer = || Ok(Some(proposed(fleet, host, "host-firewall", "firewall-allow").1).filter(|plan| *plan != late));
    let away = lab::until("a newer plan", Duration::from_secs(60), newer).unwrap();
    host.check(&["systemctl", "stop", "dialtone-agent"]).unwrap();
    let approving = fleet.laptop().in_terminal(&["approve", &away, "--yes"]).unwrap();

    let expired = |plan: &str| {
        let is = || Ok((record(fleet, plan)["stage"] == "expired").then_some(()));
        lab::until("the plan's expiry", Duration::from_secs(60), is).unwrap();
    };
    expired(&late);
    let said = fleet.dialtone(&["approve", &late, "--yes"]).unwrap();
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.stderr.contains("expired"), "{said:?}");
    expired(&away);
    assert!(!approving.ended().unwrap());
    host.check(&["systemctl", "start", "dialtone-agent"]).unwrap();
    assert_eq!(host.check(&["nft", "list", "ruleset"]).unwrap(), before);
    host.check(&["nft", "flush", "ruleset"]).unwrap();
}

#[test]
fn a_node_that_loses_its_power_is_as_before_when_its_engine_starts_and_open_once_that_was_proven() {
    let trusting = Trusting::new(Engine::OpenSearch, &format!("{{{ALLOW}}}"));
    let node = &trusting.node;
    let shipped = node.read("/etc/nftables.conf").unwrap();
    let script = format!("#!/usr/sbin/nft -f\nflush ruleset\n{}\n", drops("ours").replace("; ", ";\n"));
    node.write("/etc/nftables.conf", &script).unwrap();
    node.check(&["systemctl", "enable", "nftables", "opensearch"]).unwrap();
    node.check(&["systemctl", "restart", "nftables"]).unwrap();
    let power_cut = || {
        node.power_off().unwrap();
        node.forget_rules().unwrap();
        node.power_on().unwrap();
    };

    let trial = Trial::begin_on_dropping(fleet(), node);
    trial.relieve();
    power_cut();
    assert_eq!((trial.openings(), node.read("/etc/nftables.conf").unwrap()), (0, script));
    let entry = trial.wait_on_node("reverted");
    assert!(entry["because"].to_string().contains("the node, was stopped"), "{entry:#}");
    let at = |unit: &str, property: &str| -> u64 {
        let shown = node.check(&["systemctl", "show", "--value", "--property", property, unit]).unwrap();
        shown.trim().parse().unwrap_or_else(|_| panic!("{unit} {property}: {shown:?}"))
    };
    let undone = at("dialtone-recover", "ExecMainExitTimestampMonotonic");
    assert!(undone > 0 && undone <= at("nftables", "ExecMainStartTimestampMonotonic"));
    assert!(undone <= at("opensearch", "ExecMainStartTimestampMonotonic"));
    assert!(!trial.ended().0);

    let plan = proposed(fleet(), node, "host-firewall", "firewall-allow").1;
    let approved = fleet().dialtone(&["approve", &plan, "--yes"]).unwrap();
    assert_eq!(approved.code, Some(0), "{approved:?}");
    power_cut();
    assert_eq!(openings(node, &plan), 1);
    fleet().diagnose_until(&node.endpoint(), "healthy");
    assert_eq!(record(fleet(), &plan)["stage"], "verified");
    node.check(&["systemctl", "disable", "--now", "nftables"]).unwrap();
    node.write("/etc/nftables.conf", shipped).unwrap();
}
