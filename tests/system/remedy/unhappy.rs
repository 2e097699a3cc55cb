//! What goes another way than to a proven cure, each on real hosts.

use system_tests::lab::{Engine, SysctlGuard};
use system_tests::product::Laptop;

use super::console::fails_its_checks;
use super::trial::{ALLOW, Trial};
use super::{STARTS, Trusting, dialtone, stage};
use crate::fleet::{fleet, unwrapped};

/// Another operator with a key of their own.
pub(super) fn approver(name: &str, role: &str) -> Laptop {
    let laptop = fleet().operator(name, role).unwrap();
    laptop.dialtone(&["key"]).unwrap().ok().unwrap();
    laptop
}

#[test]
fn who_may_not_approve_is_told_and_whose_key_the_node_does_not_list_is_refused_by_it() {
    let trusting = Trusting::new(Engine::Elasticsearch, &format!("{{{STARTS}}}"));
    let plan = trusting.stopped();
    let oscar = approver("oscar", "operator");
    let said = oscar.dialtone(&["approve", &plan, "--yes"]).unwrap();
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.stderr.contains("operator oscar (operator) may not do this: it needs the role approver"), "{said:?}");
    assert_eq!(stage(&plan), "proposed");

    let erin = approver("erin", "approver");
    let said = erin.dialtone(&["approve", &plan, "--yes"]).unwrap();
    assert_eq!(said.code, Some(1), "{said:?}");
    let why = "nobody listed in /etc/dialtone/policy.yaml has signed exactly this plan";
    assert!(unwrapped(&said.stdout).contains(why), "{said:?}");
    assert_eq!(stage(&plan), "refused");
    assert!(!trusting.is_active());
    let log = dialtone(&["audit", "export"]).stdout;
    let told = |words: [&str; 3]| log.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(told(["operator oscar", "refused", "Plans/Approve"]), "{log}");
    assert!(told([&plan, "plan-approved", "operator erin"]) && told([&plan, "plan-reported", why]), "{log}");
}

#[test]
fn a_plan_for_a_node_whose_agent_is_away_waits_and_is_carried_out_when_it_is_back() {
    let trusting = Trusting::new(Engine::OpenSearch, &format!("{{{STARTS}}}"));
    let plan = trusting.stopped();
    trusting.node.check(&["systemctl", "stop", "dialtone-agent"]).unwrap();
    let approving = fleet().laptop().in_terminal(&["approve", &plan, "--yes"]).unwrap();
    approving.wait_text("a node's agent has to be connected").unwrap();
    let shown = dialtone(&["plan", &plan]).stdout;
    let waits = "fleet-os takes it once its agent is connected, unless it expires first";
    assert!(unwrapped(&shown).contains(waits), "{shown}");
    assert!(!trusting.is_active());
    trusting.node.check(&["systemctl", "start", "dialtone-agent"]).unwrap();
    assert!(approving.ended().unwrap());
    assert_eq!(stage(&plan), "verified");
    assert!(trusting.is_active());
}

#[test]
fn what_does_not_open_the_way_is_taken_back() {
    let trusting = Trusting::new(Engine::Elasticsearch8, &format!("{{{ALLOW}}}"));
    let trial = Trial::begin(fleet(), &trusting.node);
    let (kept, because) = trial.ended();
    assert!(!kept && because.contains("it was not seen from outside to work"), "{because}");
    trial.approving.wait_text("rolled back").unwrap();
}

#[test]
fn a_node_that_loses_contact_midway_goes_back_by_itself_and_everybody_learns_of_it_later() {
    let trusting = Trusting::new(Engine::OpenSearch, &format!("{{{ALLOW}}}"));
    let trial = Trial::begin(fleet(), &trusting.node);
    let cut = trusting.node.cut_from(&fleet().controller).unwrap();
    // By now it would work, which nobody can see.
    trial.relieve();
    let entry = trial.wait_on_node("reverted");
    assert!(entry["because"].to_string().contains("the controller was not reached in time"), "{entry:#}");
    assert_eq!(trial.openings(), 0);
    assert_ne!(stage(&trial.plan), "rolled-back");
    drop(cut);
    let (kept, because) = trial.ended();
    assert!(!kept && because.contains("the controller was not reached in time"), "{because}");
}

#[test]
fn a_kernel_setting_is_set_back_where_the_engine_then_fails_another_way() {
    let allow = format!("{{sysctl-set: {{keys: {{vm.max_map_count: 262144..1048576}}}}, {STARTS}}}");
    let trusting = Trusting::new(Engine::Elasticsearch, &allow);
    let node = &trusting.node;
    let _max_map_count = SysctlGuard::set("vm.max_map_count", "65530").unwrap();
    fails_its_checks(&trusting);
    let plan = trusting.plan("bootstrap-check", "sysctl-set");
    // Nobody can know of it when the plan is made.
    let broken = "/etc/elasticsearch/jvm.options.d/broken.options";
    node.write(broken, "-XX:+NoSuchOptionOfAnyJava\n").unwrap();
    let said = dialtone(&["approve", &plan, "--yes"]);
    node.check(&["rm", broken]).unwrap();
    assert_eq!((said.code, stage(&plan).as_str()), (Some(1), "rolled-back"), "{said:?}");
    assert!(unwrapped(&said.stdout).contains("it was not seen from outside to work"), "{said:?}");
    // At once, not when its time is over.
    let why = "not proven from outside: elasticsearch.service was started and failed (exit-code)";
    assert!(unwrapped(&said.stderr).contains(why), "{said:?}");
    assert_eq!(node.read("/proc/sys/vm/max_map_count").unwrap().trim(), "65530");
    assert!(!node.run(&["test", "-e", "/etc/sysctl.d/60-dialtone.conf"]).unwrap().success());
    assert!(!trusting.is_active());
}
