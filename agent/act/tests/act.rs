//! The real actuator and its guards as processes on a host in a directory: what it does, refuses, and leaves behind when it, its
//! guard, or both are killed at any point.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use agent_act::faults::POINTS;
use common_plan::wire::{Doubt, Reply, Request};
use common_plan::{PlanBytes, State};
use tests_node::{Host, Kernel, Then, Victim, When, strike, until};

const NEW: u64 = 262_144;

fn new_host() -> Host {
    Host::new(env!("CARGO_BIN_EXE_dialtone-actuator"), Kernel::File)
}

fn applied(reply: Option<Reply>) -> String {
    match reply {
        Some(Reply::Applied { nonce, .. }) => nonce,
        other => panic!("not applied: {other:?}"),
    }
}

fn code(reply: Option<Reply>) -> String {
    match reply {
        Some(Reply::Refused { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    }
}

fn state(reply: Option<Reply>) -> State {
    match reply {
        Some(Reply::Done { entry }) => entry.state,
        other => panic!("not ended: {other:?}"),
    }
}

#[test]
fn whoever_was_away_learns_what_waits_for_a_confirmation() {
    let host = new_host();
    let _actuator = host.serve(None);
    assert_eq!(host.ask(&Request::Pending {}), Some(Reply::Idle {}));
    let plan = host.plan(900).encode().unwrap();
    let made = applied(host.ask(&host.act(&plan)));
    let pending = host.ask(&Request::Pending {});
    assert!(matches!(&pending, Some(Reply::Applied { plan: waits, .. }) if *waits == plan.id()), "{pending:?}");
    let nonce = applied(pending);
    assert_eq!(nonce, made);
    assert_eq!(state(host.ask(&Request::Confirm { plan: plan.id(), nonce })), State::Persisted);
    assert_eq!(host.ask(&Request::Pending {}), Some(Reply::Idle {}));
}

#[test]
fn a_confirmed_plan_lasts_and_acts_once() {
    let host = new_host();
    let _actuator = host.serve(None);
    let plan = host.plan(900).encode().unwrap();
    let nonce = applied(host.ask(&host.act(&plan)));
    assert_eq!(host.live(), NEW);
    assert_eq!(host.entry(&plan).unwrap().state, State::Applied);
    let wrong = Request::Confirm { plan: plan.id(), nonce: "0".repeat(32) };
    assert_eq!(state(host.ask(&wrong)), State::Applied);
    assert_eq!(state(host.ask(&Request::Confirm { plan: plan.id(), nonce })), State::Persisted);
    assert!(host.is_new());
    assert_eq!(host.entry(&plan).unwrap().approvers, ["alice"]);
    assert_eq!(code(host.ask(&host.act(&plan))), "repeated");
    assert_eq!(state(host.ask(&Request::Revert { plan: plan.id(), doubt: Doubt::NotSeen })), State::Persisted);
    until("the guard has gone", || host.guards().is_empty());
    assert!(host.is_new());
}

#[test]
fn what_is_not_confirmed_is_undone_by_the_guard_alone() {
    let host = new_host();
    let mut actuator = host.serve(None);
    let plan = host.plan(10).encode().unwrap();
    applied(host.ask(&host.act(&plan)));
    actuator.kill();
    until("the guard has undone it", || host.entry(&plan).unwrap().state == State::Reverted);
    assert!(host.is_old());
    assert_eq!(host.entry(&plan).unwrap().because.unwrap(), "it was not confirmed in time");
}

#[test]
fn a_plan_is_undone_at_once_when_it_is_asked_for_or_its_guard_dies() {
    let host = new_host();
    let _actuator = host.serve(None);
    let plan = host.plan(900).encode().unwrap();
    applied(host.ask(&host.act(&plan)));
    assert_eq!(state(host.ask(&Request::Revert { plan: plan.id(), doubt: Doubt::NotSeen })), State::Reverted);
    assert!(host.is_old());
    until("the guard has gone", || host.guards().is_empty());
    let plan = host.plan(899).encode().unwrap();
    applied(host.ask(&host.act(&plan)));
    assert_eq!(host.kill_guards(), 1);
    until("it was undone", || host.entry(&plan).unwrap().state == State::Reverted);
    assert!(host.is_old());
    // The policy allows two within an hour.
    let plan = host.plan(898).encode().unwrap();
    assert_eq!(code(host.ask(&host.act(&plan))), "rate");
}

#[test]
fn what_somebody_else_set_meanwhile_is_left_alone() {
    let host = new_host();
    let _actuator = host.serve(None);
    let plan = host.plan(900).encode().unwrap();
    applied(host.ask(&host.act(&plan)));
    host.set_live(500_000);
    assert_eq!(state(host.ask(&Request::Revert { plan: plan.id(), doubt: Doubt::NotSeen })), State::Conflict);
    assert_eq!(host.live(), 500_000);
    assert!(host.entry(&plan).unwrap().because.unwrap().contains("vm.max_map_count is 500000"));
}

#[test]
fn what_is_refused_changes_nothing() {
    let host = new_host();
    let _actuator = host.serve(None);
    let plan = host.plan(900);
    let bytes = plan.encode().unwrap();
    let unsigned = Request::Act { plan: bytes.clone(), approvals: Vec::new() };
    assert_eq!(code(host.ask(&unsigned)), "unsigned");
    let another = new_host();
    assert_eq!(code(host.ask(&another.act(&bytes))), "unsigned");
    let garbage = PlanBytes::new(b"{}".to_vec()).unwrap();
    assert_eq!(code(host.ask(&host.act(&garbage))), "invalid");
    let policy = host.path("etc/dialtone/policy.yaml");
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(code(host.ask(&host.act(&bytes))), "policy");
    assert!(host.entry(&bytes).unwrap().because.unwrap().contains("others than root may write to it"));
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o644)).unwrap();
    // A refusal of that sort does not spend it; one about the node's state does.
    host.write("proc/sys/vm/max_map_count", "70000\n");
    assert_eq!(code(host.ask(&host.act(&bytes))), "changed");
    host.write("proc/sys/vm/max_map_count", "65530\n");
    assert_eq!(code(host.ask(&host.act(&bytes))), "repeated");
    assert!(host.is_old());
    assert_eq!(host.entry(&bytes).unwrap().state, State::Refused);
}

#[test]
fn one_plan_at_a_time() {
    let host = new_host();
    let _actuator = host.serve(None);
    let first = host.plan(900).encode().unwrap();
    applied(host.ask(&host.act(&first)));
    let second = host.plan(899).encode().unwrap();
    assert_eq!(code(host.ask(&host.act(&second))), "busy");
    assert!(host.entry(&second).is_none());
}

#[test]
fn a_plan_of_another_boot_is_refused_and_what_was_live_is_undone() {
    let host = new_host();
    let mut actuator = host.serve(None);
    let [done, late] = [900, 899].map(|within| host.plan(within).encode().unwrap());
    applied(host.ask(&host.act(&done)));
    actuator.kill();
    host.kill_guards();
    fs::remove_dir_all(host.path("run/dialtone-actuator")).unwrap();
    host.recover();
    assert!(host.is_old());
    assert_eq!(host.entry(&done).unwrap().state, State::Reverted);
    let _actuator = host.serve(None);
    assert_eq!(code(host.ask(&host.act(&late))), "other-boot");
}

/// One kill, and what is left of it.
fn kill_at(point: &'static str, victim: Victim, then: Then) -> (bool, State) {
    let host = new_host();
    let plan = host.plan(900).encode().unwrap();
    let stopped = strike(&host, &plan, When::At(point), victim, then);
    host.recover();
    let again = host.serve(None);
    let entry = host.entry(&plan).unwrap();
    let new = entry.state == State::Persisted;
    assert!(if new { host.is_new() } else { host.is_old() }, "told {entry:?}, live {}", host.live());
    assert!(new || matches!(entry.state, State::Refused | State::Failed | State::Reverted), "{entry:?}");
    assert_eq!(code(host.ask(&host.act(&plan))), "repeated");
    assert!(if new { host.is_new() } else { host.is_old() });
    drop(again);
    (stopped, entry.state)
}

#[test]
fn whoever_is_killed_wherever_the_host_is_old_or_confirmed_new_and_says_which() {
    for point in POINTS {
        let mut kills = 0;
        for victim in Victim::ALL {
            for then in Then::ALL {
                let (stopped, state) = kill_at(point, victim, then);
                println!("{point}: {victim:?} killed, {then:?}: {state:?}");
                kills += usize::from(stopped);
            }
        }
        assert!(kills >= 3, "{point} was only reached {kills} times");
    }
}
