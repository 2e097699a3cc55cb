//! Openings by the real actuator and its guards, in every owner's firewall at once, on a host in a directory: what is left when
//! they are killed at any point.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use agent_act::faults::POINTS;
use common_plan::wire::{Doubt, Reply, Request};
use common_plan::{FirewallAllow, FirewallRevoke, Opening, Place, Plan, PlanBytes, RulesFile, State, Step};
use tests_node::{Host, Kernel, Then, Victim, When, strike, until};

/// What the stand-ins of the tools keep as the kernel's rules, and the files that are loaded at boot; each with what it holds.
const LIVE: [(&str, &str); 3] = [
    ("usr/sbin/chain", "tcp dport 9200 drop # handle 5\n"),
    ("usr/sbin/rules", "-A INPUT -i lo -j ACCEPT\n-A ufw-user-input -p tcp -m tcp --dport 9200 -j DROP\n"),
    ("usr/bin/runtime", ""),
];
const KEPT: [(&str, &str); 4] = [
    ("etc/nftables.conf", "table inet filter {\n\tchain input {\n\t\ttcp dport 9200 drop\n\t}\n}\n"),
    ("etc/iptables/rules.v4", "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n"),
    (
        "etc/ufw/user.rules",
        "### RULES ###\n\n### tuple ### deny tcp 9200 0.0.0.0/0 any 0.0.0.0/0 in\n\
         -A ufw-user-input -p tcp --dport 9200 -j DROP\n\n### END RULES ###\n",
    ),
    ("usr/bin/permanent", ""),
];
const TOOLS: [(&str, &str); 5] = [
    ("usr/sbin/nft", "nft"),
    ("usr/sbin/iptables-nft", "iptables-nft"),
    ("usr/bin/firewall-cmd", "firewall-cmd"),
    ("usr/bin/firewall-offline-cmd", "firewall-cmd"),
    ("usr/bin/systemctl", "systemctl"),
];

fn new_host() -> Host {
    let host = Host::new(env!("CARGO_BIN_EXE_dialtone-actuator"), Kernel::File);
    for (path, content) in LIVE.into_iter().chain(KEPT).chain([("usr/bin/state", "active\n")]) {
        host.write(path, content);
    }
    for (place, tool) in TOOLS {
        let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(tool);
        host.link(place, stand_in.to_str().unwrap());
    }
    host
}

fn openings() -> Vec<Opening> {
    let [inet, filter, chain, input, public] =
        ["inet", "filter", "input", "INPUT", "public"].map(|name| name.parse().unwrap());
    let place = |number, rule: &str| Some(Place { number, rule: rule.to_owned() });
    vec![
        Opening::Nftables {
            family: inet,
            table: common_plan::Label::clone(&filter),
            chain,
            before: place(5, "tcp dport 9200 drop"),
            reply: false,
            file: Some(RulesFile::Nftables),
        },
        Opening::Iptables {
            legacy: false,
            table: filter,
            chain: input,
            before: None,
            reply: false,
            file: Some(RulesFile::Persistent),
        },
        Opening::Ufw { before: place(1, "deny tcp 9200 0.0.0.0/0 any 0.0.0.0/0 in") },
        Opening::Firewalld { zone: Some(public), policy: None, priority: None },
    ]
}

fn allow() -> FirewallAllow {
    FirewallAllow { source: "10.1.1.0/24".parse().unwrap(), port: 9200, openings: openings(), for_s: None }
}

fn plan(host: &Host, step: Step) -> PlanBytes {
    Plan { step, ..host.plan(900) }.encode().unwrap()
}

/// How many rules the kernel and the files have of the client, of four each; what else they hold is as it was.
fn rules(host: &Host) -> (usize, usize) {
    let count = |places: &[(&str, &str)]| {
        let mut count = 0;
        for (path, before) in places {
            let text = fs::read_to_string(host.path(path)).unwrap();
            let (own, others): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.contains("10.1.1.0/24"));
            // A rule of ufw is noted and loaded, with a blank line after both.
            let shape = |lines: &[&str]| {
                lines.iter().filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect::<String>()
            };
            assert_eq!(shape(&others), shape(&before.lines().collect::<Vec<_>>()), "{path}");
            count += own.iter().filter(|line| !line.starts_with('#')).count();
        }
        count
    };
    (count(&LIVE), count(&KEPT))
}

/// What a host has that was shut, and one that was opened for good.
const SHUT: (usize, usize) = (0, 0);
const OPEN: (usize, usize) = (4, 4);

fn done(host: &Host, plan: &PlanBytes) {
    let actuator = host.serve(None);
    let Some(Reply::Applied { nonce, .. }) = host.ask(&host.act(plan)) else { panic!("not applied") };
    let confirmed = host.ask(&Request::Confirm { plan: plan.id(), nonce });
    assert!(matches!(confirmed, Some(Reply::Done { entry }) if entry.state == State::Persisted));
    drop(actuator);
}

/// One kill, and what is left of it; whether there was something left to be stopped at that point.
fn kill(
    host: &Host,
    plan: &PlanBytes,
    point: &'static str,
    (victim, then): (Victim, Then),
    [old, new]: [(usize, usize); 2],
) -> bool {
    let stopped = strike(host, plan, When::At(point), victim, then);
    host.recover();
    let entry = host.entry(plan).unwrap();
    assert!(entry.state.is_final(), "{point}: {entry:?}");
    let expected = if entry.state == State::Persisted { new } else { old };
    assert_eq!(rules(host), expected, "{point}: {victim:?} killed, {then:?}: {entry:?}");
    assert_ne!(entry.state, State::Conflict, "{entry:?}");
    stopped
}

#[test]
fn whoever_is_killed_wherever_every_firewall_is_as_before_or_opened_for_good() {
    for point in POINTS {
        let mut kills = 0;
        for victim in Victim::ALL {
            let host = new_host();
            let allow = plan(&host, Step::FirewallAllow(allow()));
            let then = if point == "undoing" || point == "undone" { Then::Revert } else { Then::Confirm };
            kills += usize::from(kill(&host, &allow, point, (victim, then), [SHUT, OPEN]));
        }
        assert!(kills > 0, "{point} was never reached");
    }
}

#[test]
fn whoever_is_killed_wherever_every_firewall_is_still_open_or_shut_again() {
    let mut kills = 0;
    for point in POINTS {
        let host = new_host();
        let opening = plan(&host, Step::FirewallAllow(allow()));
        done(&host, &opening);
        assert_eq!(rules(&host), OPEN);
        let revoke = FirewallRevoke { plan: opening.id(), made: allow() };
        let shutting = plan(&host, Step::FirewallRevoke(revoke));
        let then = if point == "undoing" || point == "undone" { Then::Revert } else { Then::Confirm };
        kills += usize::from(kill(&host, &shutting, point, (Victim::Both, then), [OPEN, SHUT]));
    }
    assert!(kills >= 8, "only {kills} points were reached");
}

fn limited(host: &Host) -> PlanBytes {
    plan(host, Step::FirewallAllow(FirewallAllow { for_s: Some(10), ..allow() }))
}

/// Live everywhere, and in no file.
const FOR_NOW: (usize, usize) = (4, 0);

/// What `netfilter-persistent save` does, should somebody call it while a port is open.
fn save_iptables(host: &Host) {
    let live = fs::read_to_string(host.path("usr/sbin/rules")).unwrap();
    let own = live.lines().find(|line| line.starts_with("-A INPUT") && line.contains("10.1.1.0/24")).unwrap();
    let kept = fs::read_to_string(host.path("etc/iptables/rules.v4")).unwrap();
    host.write("etc/iptables/rules.v4", &kept.replace("COMMIT", &format!("{own}\nCOMMIT")));
}

#[test]
fn what_is_opened_for_a_limited_time_is_shut_by_its_guard_alone() {
    let host = new_host();
    let plan = limited(&host);
    done(&host, &plan);
    assert_eq!(rules(&host), FOR_NOW);
    host.recover();
    let open = host.entry(&plan).unwrap();
    assert_eq!(open.state, State::Persisted, "its guard lives");
    assert!(open.until.is_some_and(|until| until.millis_since(open.at) <= 10_000), "{open:?}");
    assert_eq!(rules(&host), FOR_NOW);
    save_iptables(&host);
    assert_eq!(rules(&host), (4, 1));
    until("its time is over", || host.entry(&plan).unwrap().state == State::Reverted);
    assert_eq!(rules(&host), SHUT);
    assert_eq!(host.entry(&plan).unwrap().because.unwrap(), "its time was over");
}

#[test]
fn what_is_opened_for_a_limited_time_is_shut_when_nobody_is_left_to_do_it_later() {
    let host = new_host();
    let plan = limited(&host);
    done(&host, &plan);
    host.kill_guards();
    // A guard that is being killed has its lock a moment longer.
    until("it is taken back", || {
        host.recover();
        host.entry(&plan).unwrap().state == State::Reverted
    });
    assert_eq!(rules(&host), SHUT);
}

#[test]
fn a_request_that_nobody_signed_does_not_keep_a_port_open() {
    let host = new_host();
    let plan = limited(&host);
    done(&host, &plan);
    let _actuator = host.serve(None);
    host.ask(&Request::Revert { plan: plan.id(), doubt: Doubt::NotSeen });
    host.ask(&Request::Confirm { plan: plan.id(), nonce: "0".repeat(32) });
    assert_eq!(host.guards().len(), 1);
    assert_eq!(rules(&host), FOR_NOW);
}
