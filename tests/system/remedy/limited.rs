//! What is opened for a limited time: it is shut at its time by its node alone, whoever has died, and after a boot; and everybody
//! is told until when, and that it is over.

use serde_json::Value;
use system_tests::lab::{self, Engine, Host};

use super::console::last_incident;
use super::deaths::{ACTUATOR, AGENT, CONTROLLER, Mortal, kill, mortal};
use super::trial::{ALLOW, LIMIT, drops, on_node, openings, wait_on_node};
use super::{Trusting, json, proposed, record};
use crate::fleet::{Fleet, fleet, unwrapped};

/// Long enough to be proven, and for a look at it, on a busy machine: a plan may say ten seconds to thirty days.
const SHORT: &str = "25s";
/// So long that only something else ends it.
const LONG: &str = "2h";
/// What its node says when it has shut it in time.
const IN_TIME: &str = "its time was over";

/// Opens a host's firewall for a limited time, seen to have worked: the plan that did.
fn opened(fleet: &Fleet, host: &Host, time: &str) -> String {
    let plan = proposed(fleet, host, "host-firewall", "firewall-allow").1;
    let limited: Value = json(&fleet.dialtone(&["plan", &plan, "--for", time, "-o", "json"]).unwrap());
    let limited = limited["record"]["id"].as_str().unwrap_or_else(|| panic!("{limited:#}")).to_owned();
    assert_ne!(limited, plan);
    let approved = fleet.dialtone(&["approve", &limited, "--yes"]).unwrap();
    assert_eq!(approved.code, Some(0), "{approved:?}");
    assert!(unwrapped(&approved.stdout).contains("; open until "), "{approved:?}");
    assert_eq!(record(fleet, &limited)["stage"], "verified");
    limited
}

fn endpoint(host: &Host) -> String {
    format!("http://{}:9200", host.ip())
}

/// Waits until the controller knows that the node has shut it, and sees that all who ask are told so.
fn told(fleet: &Fleet, plan: &str, because: &str) {
    let ended = || Ok((record(fleet, plan)["stage"] == "ended").then_some(()));
    lab::until("the end being known", LIMIT, ended)
        .unwrap_or_else(|error| panic!("{error}: {:#}", record(fleet, plan)));
    let page = fleet.dialtone(&["plan", plan]).unwrap().stdout;
    assert!(page.starts_with("✓ closed again") && unwrapped(&page).contains(because), "{page}");
    let log = fleet.dialtone(&["audit", "export"]).unwrap().stdout;
    let line = |line: &&str| line.contains(plan) && line.contains("plan-reported") && line.contains(because);
    assert!(log.lines().any(|text| line(&text)), "{log}");
    assert_eq!(fleet.dialtone(&["audit", "verify"]).unwrap().code, Some(0));
}

#[test]
fn nobody_but_the_node_itself_is_needed_to_shut_it_in_time_and_a_boot_ends_it_too() {
    let slot = mortal();
    let Mortal { fleet, host } = slot.as_ref().unwrap();
    host.nft(&drops("ours")).unwrap();
    let plan = opened(fleet, host, SHORT);
    let incident = last_incident(fleet, &endpoint(host))["id"].as_str().unwrap().to_owned();
    for (arguments, said) in [
        (&["plan", plan.as_str()][..], "OPEN until"),
        (&["plans"], "open until"),
        (&["incident", &incident], "open until"),
    ] {
        // The incident learns of it a moment later.
        let page = || fleet.dialtone(arguments).map(|shown| unwrapped(&shown.stdout).contains(said).then_some(()));
        lab::until(said, LIMIT, page).unwrap_or_else(|error| panic!("{error}: {:?}", fleet.dialtone(arguments)));
    }
    host.check(&["systemctl", "stop", AGENT, "dialtone-actuator.socket", ACTUATOR]).unwrap();
    fleet.controller.check(&["systemctl", "stop", CONTROLLER]).unwrap();
    // Killed, it comes back, and goes on waiting: what was proven stays for its time.
    kill(host, &[&format!("dialtone-guard@{plan}.service")]);
    let entry = wait_on_node(host, &plan, "reverted");
    assert_eq!((&entry["because"], openings(host, &plan)), (&IN_TIME.into(), 0), "{entry:#}");
    host.check(&["systemctl", "start", "dialtone-actuator.socket", AGENT]).unwrap();
    fleet.controller.check(&["systemctl", "start", CONTROLLER]).unwrap();
    told(fleet, &plan, IN_TIME);

    let plan = opened(fleet, host, LONG);
    host.power_off().unwrap();
    // Here a host's rules outlive it, as those do that somebody has saved.
    host.power_on().unwrap();
    assert_eq!(on_node(host, &plan)["state"], "reverted");
    assert_eq!(openings(host, &plan), 0);
    told(fleet, &plan, "its guard was gone, by a boot");
    host.check(&["systemctl", "start", "elasticsearch"]).unwrap();
    fleet.diagnose_until(&endpoint(host), "host-firewall");
    host.check(&["nft", "flush", "ruleset"]).unwrap();
}

#[test]
fn firewalld_is_opened_for_a_limited_time_at_runtime_only() {
    let trusting = Trusting::new(Engine::OpenSearch, &format!("{{{}}}", ALLOW));
    let node = &trusting.node;
    node.sudo(&["systemctl", "start", "firewalld"]);
    let plan = opened(fleet(), node, SHORT);
    let rules = || node.check(&["firewall-cmd", "--list-rich-rules"]).unwrap();
    assert!(rules().contains("port=\"9200\""));
    assert!(!node.check(&["firewall-cmd", "--permanent", "--list-rich-rules"]).unwrap().contains("9200"));
    wait_on_node(node, &plan, "reverted");
    assert!(!rules().contains("9200"));
    told(fleet(), &plan, IN_TIME);
    fleet().diagnose_until(&node.endpoint(), "host-firewall");
}
