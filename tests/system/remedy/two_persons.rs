//! Two persons with a console each: what one decides the other sees, and where two are wanted one is not enough.

use std::sync::Barrier;
use std::thread;

use serde_json::Value;
use system_tests::lab::Engine;
use system_tests::product::Laptop;
use system_tests::terminal::Screen;

use super::console::{Console, last_incident};
use super::unhappy::approver;
use super::{Trusting, dialtone, stage};
use crate::fleet::{fleet, unwrapped};

/// A node that drops its clients, of which two persons are to decide, each with the plan open in a console.
struct Scene {
    trusting: Trusting,
    plan: String,
    alice: Console,
    bob: Console,
    /// For as long as his console runs.
    _bobs: Laptop,
}

impl Scene {
    fn new(engine: Engine, bob: &str, approvals: u8) -> Self {
        let bobs = approver(bob, "approver");
        let allow = format!("{{firewall-allow: {{approvals: {approvals}, ports: [9200], sources: [10.77.0.0/24]}}}}");
        let trusting = Trusting::in_persons(engine, &[fleet().laptop(), &bobs], &allow);
        let drops = "table inet f { chain input { type filter hook input priority 0; tcp dport 9200 drop; }; }";
        trusting.node.nft(drops).unwrap();
        let plan = trusting.plan("host-firewall", "firewall-allow");
        let console = |laptop: &Laptop| {
            let console = Console::open(laptop);
            console.read_incident(&trusting.node.endpoint());
            console.read_plan(&plan);
            console
        };
        let (alice, bob) = (console(fleet().laptop()), console(&bobs));
        Self { trusting, plan, alice, bob, _bobs: bobs }
    }

    /// Rules of the plan on the node.
    fn rules(&self) -> usize {
        let rules = self.trusting.node.check(&["nft", "list", "ruleset"]).unwrap();
        rules.matches(&format!("dialtone-{}", self.plan)).count()
    }

    /// What the audit log says of the plan, `ACTOR EVENT: DETAIL` each.
    fn audited(&self) -> Vec<String> {
        let log = dialtone(&["audit", "export"]).stdout;
        let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let own = entries.filter(|entry| entry["plan"] == self.plan.as_str());
        let word = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        own.map(|entry| format!("{} {}: {}", word(&entry, "actor"), word(&entry, "event"), word(&entry, "detail")))
            .collect()
    }
}

#[test]
fn one_of_two_is_not_enough_and_both_see_who_has_approved_and_how_it_went() {
    let scene = Scene::new(Engine::OpenSearch, "bob", 2);
    let Scene { plan, alice, bob, .. } = &scene;
    for console in [alice, bob] {
        console.see("by nobody yet; 2 persons have to: alice and bob");
    }
    alice.say_yes();
    for console in [alice, bob] {
        console.see("one more person has to: bob");
    }
    alice.see("You have approved it.");
    // One person counts once, however often.
    alice.press("y");
    let again = dialtone(&["approve", plan, "--yes"]);
    assert!(again.stderr.contains("you have approved it already; nothing was sent"), "{again:?}");
    for said in [again.stdout, dialtone(&["plans"]).stdout] {
        assert!(unwrapped(&said).contains("approved by alice; one more person has to: bob"), "{said}");
    }
    assert_eq!((stage(plan).as_str(), scene.rules()), ("proposed", 0));

    bob.say_yes();
    for console in [alice, bob] {
        console.follow("verified");
        console.back();
        console.see_it_ended();
    }
    assert_eq!(scene.rules(), 1);
    let approved = last_incident(fleet(), &scene.trusting.node.endpoint())["plans"].clone();
    let of_it = |done: &&Value| done["id"] == plan.as_str();
    let done = approved.as_array().unwrap().iter().find(of_it).unwrap_or_else(|| panic!("{approved:#}"));
    let by = done["approved_by"].as_array().unwrap().iter().map(|by| &by["operator"]);
    assert_eq!(by.collect::<Vec<_>>(), ["alice", "bob"]);
    let audited = scene.audited();
    for (operator, count) in [("alice", "1 of 2"), ("bob", "2 of 2")] {
        let own = format!("operator {operator} plan-approved: ");
        let own: Vec<&String> = audited.iter().filter(|entry| entry.starts_with(&own)).collect();
        assert!(own.len() == 1 && own[0].contains(&format!("approval {count}")), "{audited:#?}");
    }
}

/// The headline and what was said last.
fn ended(screen: &Screen) -> Option<(&'static str, String)> {
    let shown = screen.contents();
    let outcome = ["verified", "rejected"].into_iter().find(|outcome| shown.contains(&format!("{outcome} — ")))?;
    Some((outcome, shown))
}

#[test]
fn of_a_yes_and_a_no_at_the_same_instant_one_counts_and_both_persons_see_which() {
    let scene = Scene::new(Engine::Elasticsearch, "bert", 1);
    let Scene { plan, alice, bob, .. } = &scene;
    alice.read_on();
    bob.begin_no("being looked into");
    let both = Barrier::new(2);
    thread::scope(|scope| {
        for (console, key) in [(alice, "y"), (bob, "\r")] {
            let both = &both;
            scope.spawn(move || {
                both.wait();
                console.press(key);
            });
        }
    });
    let (yes, of_alice) = alice.wait("the end", ended);
    let (no, of_bob) = bob.wait("the end", ended);
    assert_eq!(yes, no, "{of_alice}\n{of_bob}");
    let kept = yes == "verified";
    assert_eq!((stage(plan).as_str(), scene.rules()), (yes, usize::from(kept)));
    let audited = scene.audited();
    let told = |words: &str| audited.iter().any(|entry| entry.starts_with(words));
    if kept {
        assert!(of_bob.contains("your no was not taken"), "{of_bob}");
        assert!(told("operator alice plan-approved") && told("operator bert refused"), "{audited:#?}");
    } else {
        assert!(of_alice.contains("operator bert: being looked into"), "{of_alice}");
        assert!(told("operator bert plan-rejected") && !told("controller plan-dispatched"), "{audited:#?}");
    }
}
