//! I13: kill whoever could undo a plan, singly and together, and boot the node again: it ends as it was, or confirmed.

use std::fs;
use std::time::Duration;

use agent_act::clock;
use common_plan::State;
use common_plan::wire::Reply;
use tests_node::until;

use super::Invariant;
use crate::chain;
use crate::run::{Run, Trial};
use crate::scene::{Change, Scene};

pub(super) const INVARIANT: Invariant = Invariant {
    id: "I13",
    promise: "what was not confirmed is undone, whoever has died, and after a boot",
    trials: 1000,
    few: 40,
    prove: |run: &Run| chain::with_whole_loops(run, 24, undone),
};

/// Who dies, and what comes after.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// The guard is left alone: it undoes at the deadline.
    Actuator,
    /// The actuator is left: it undoes at once.
    Guard,
    /// systemd starts the actuator again.
    Both,
    /// The node boots.
    Boot,
}

fn undone(trial: &mut Trial<'_>) {
    let change = trial.pick(&[Change::Setting, Change::Setting, Change::Setting, Change::Rule]);
    let death = trial.pick(&[Death::Actuator, Death::Guard, Death::Both, Death::Boot]);
    let confirms = !matches!(death, Death::Actuator) && trial.rng.bool();
    let mut scene = Scene::new(change, 10, |_| {});
    let mut actuator = scene.host.serve(None);
    let Some(Reply::Applied { nonce, left_ms, .. }) = scene.act() else { panic!("not applied") };
    let deadline = clock::boot_ms() + left_ms;
    std::thread::scope(|scope| {
        if confirms {
            scope.spawn(|| scene.confirm(nonce));
        }
        std::thread::sleep(Duration::from_micros(trial.rng.u64(..5000)));
        match death {
            Death::Actuator => actuator.kill(),
            Death::Guard => {
                scene.host.kill_guards();
            }
            Death::Both | Death::Boot => {
                // In either order.
                if trial.rng.bool() {
                    scene.host.kill_guards();
                    actuator.kill();
                } else {
                    actuator.kill();
                    scene.host.kill_guards();
                }
            }
        }
    });
    let mut again = None;
    match death {
        Death::Both => again = Some(scene.host.serve(None)),
        Death::Boot => {
            fs::remove_dir_all(scene.host.path("run/dialtone-actuator")).unwrap();
            scene.host.recover();
        }
        Death::Actuator | Death::Guard => {}
    }
    until("it has ended", || scene.entry().is_some_and(|entry| entry.state.is_final()));
    if let (Death::Actuator, false) = (death, scene.is_live()) {
        trial.sample("guard alone: milliseconds after the deadline", clock::boot_ms().saturating_sub(deadline));
    }
    let state = scene.check();
    assert!(confirms || state == State::Reverted, "{death:?}: {state:?}");
    drop(again);
    trial.count(&format!(
        "{change:?}: {death:?} died{}, {state:?}",
        if confirms { " while it was confirmed" } else { "" }
    ));
}
