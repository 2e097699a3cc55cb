//! I3: somebody else changes the same at any instant while a plan is carried out. Theirs must stay.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use agent_act::places::Places;
use agent_act::steps;
use common_plan::wire::Reply;
use tests_node::{CONF, Kernel};

use super::Invariant;
use crate::firewall;
use crate::run::{Run, Trial};
use crate::scene::{Change, Scene};

pub(super) const INVARIANT: Invariant = Invariant {
    id: "I3",
    promise: "no plan acts where the node is not as the plan says, whoever changes it meanwhile",
    trials: 3000,
    few: 60,
    prove: |run: &Run| run.each(0..run.trials, 4, as_it_was),
};

/// What somebody else sets.
const THEIRS: u64 = 11;

fn as_it_was(trial: &mut Trial<'_>) {
    match trial.number % 3 {
        0 => setting(trial),
        1 => file(trial),
        _ => ruleset(trial),
    }
}

/// The kernel cannot compare and set in one. What is overwritten in between is counted, and how long "between" is, measured.
fn setting(trial: &mut Trial<'_>) {
    let scene = Scene::new(Change::Setting, 900, |_| {});
    if trial.rng.u8(..10) == 0 {
        trial.sample("sysctl: microseconds from before the comparison to after the write", window(&scene));
    }
    let actuator = scene.host.serve(None);
    let after = Duration::from_micros(trial.rng.u64(..20_000));
    let reply = std::thread::scope(|scope| {
        let asking = scope.spawn(|| scene.act());
        sleep(after);
        scene.host.set_live(THEIRS);
        asking.join().unwrap()
    });
    let applied = matches!(reply, Some(Reply::Applied { .. }));
    if scene.host.live() == THEIRS {
        trial.count(if applied { "sysctl: changed after the act" } else { "sysctl: changed before the act, refused" });
    } else {
        assert!(applied, "{reply:?}, and the value is {}", scene.host.live());
        trial.count("sysctl: changed in between and OVERWRITTEN, which the kernel cannot exclude");
    }
    drop(actuator);
}

/// A bound on what is between comparing and setting: the whole act, which is comparing, setting and reading back.
fn window(scene: &Scene) -> u64 {
    let places = Places::below(scene.host.root().to_owned());
    let plan = scene.plan.decode().unwrap();
    let before = steps::observe(&plan.step, &scene.plan.id(), &places).unwrap();
    let begun = Instant::now();
    steps::apply(&plan.step, &before, &scene.plan.id(), &places).unwrap();
    let took = begun.elapsed();
    scene.host.set_live(Kernel::Namespace.values().0);
    u64::try_from(took.as_micros()).unwrap()
}

/// Somebody saves the file some times, as editors and configuration management do: a new one, renamed over it.
fn file(trial: &mut Trial<'_>) {
    let scene = Scene::new(Change::Setting, 900, |_| {});
    let actuator = scene.host.serve(None);
    let Some(Reply::Applied { nonce, .. }) = scene.act() else { panic!("not applied") };
    let pauses: Vec<u64> = (0..=trial.rng.u8(..4)).map(|_| trial.rng.u64(..3000)).collect();
    let theirs = |round: usize| format!("# saved {round}\n");
    let state = std::thread::scope(|scope| {
        let confirming = scope.spawn(|| scene.confirm(nonce));
        for (round, pause) in pauses.iter().enumerate() {
            sleep(Duration::from_micros(*pause));
            let draft = scene.host.path("etc/sysctl.d/.theirs");
            fs::write(&draft, theirs(round)).unwrap();
            fs::rename(draft, scene.host.path(CONF)).unwrap();
        }
        match confirming.join().unwrap() {
            Some(Reply::Done { entry }) => entry.state,
            reply => panic!("{reply:?}"),
        }
    });
    let found = fs::read_to_string(scene.host.path(CONF)).unwrap();
    assert_eq!(found, theirs(pauses.len() - 1), "what somebody saved is gone; told {state:?}");
    let beside = scene.host.path("etc/sysctl.d/.60-elasticsearch.conf.dialtone");
    assert!(!beside.exists(), "a draft was left");
    trial.count(&format!("file: saved meanwhile, {state:?}"));
    drop(actuator);
}

/// Somebody loads another ruleset: the rule that the plan's goes before is another one then, of the same number.
fn ruleset(trial: &mut Trial<'_>) {
    let scene = Scene::new(Change::Rule, 900, |_| {});
    let actuator = scene.host.serve(None);
    let after = Duration::from_micros(trial.rng.u64(..80_000));
    let reply = std::thread::scope(|scope| {
        let asking = scope.spawn(|| scene.act());
        sleep(after);
        firewall::set(&firewall::table_with("tcp dport 9200-9300 reject"));
        asking.join().unwrap()
    });
    let applied = matches!(reply, Some(Reply::Applied { .. }));
    assert_eq!(
        firewall::rules_of(&scene.plan.id()),
        0,
        "a rule stands in a ruleset that nobody planned for; {reply:?}"
    );
    trial.count(if applied { "ruleset: loaded after the act" } else { "ruleset: loaded before the act" });
    drop(actuator);
}
