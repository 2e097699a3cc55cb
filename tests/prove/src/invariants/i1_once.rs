//! I1: kill whoever has a plan in hand, at any point or instant, hand the same plan in ten more times, and count what was written.

use std::time::Duration;

use agent_act::faults::POINTS;
use common_plan::wire::Reply;
use tests_node::{Then, Victim, When, strike};

use super::Invariant;
use crate::chain;
use crate::run::{Run, Trial};
use crate::scene::{Change, Scene};

pub(super) const INVARIANT: Invariant = Invariant {
    id: "I1",
    promise: "no plan acts twice, whoever retries, whoever was killed when",
    trials: 1000,
    few: 40,
    prove: |run: &Run| chain::with_whole_loops(run, 4, once),
};

/// How often it is handed in again.
const AGAIN: usize = 10;

fn once(trial: &mut Trial<'_>) {
    let change = trial.pick(&[Change::Setting, Change::Setting, Change::Setting, Change::Rule]);
    let at = When::At(POINTS[usize::try_from(trial.number).unwrap() % POINTS.len()]);
    let when = if trial.rng.u8(..4) > 0 { at } else { When::After(Duration::from_micros(trial.rng.u64(..60_000))) };
    let (victim, then) = (trial.pick(&Victim::ALL), trial.pick(&Then::ALL));
    let mut scene = Scene::new(change, 900, |_| {});
    let stopped = strike(&scene.host, &scene.plan, when, victim, then);
    if trial.rng.bool() {
        scene.host.recover();
    }
    let _again = scene.host.serve(None);
    // One that was killed before it had written anything down has not begun.
    let mut may_act = scene.entry().is_none();
    for _ in 0..AGAIN {
        match scene.act() {
            Some(Reply::Refused { code, .. }) if code == "repeated" => {}
            Some(Reply::Applied { nonce, .. }) if may_act => {
                may_act = false;
                scene.confirm(nonce);
            }
            reply => panic!("handed in again: {reply:?}"),
        }
    }
    let state = scene.check();
    let what = if stopped { format!("{victim:?} killed") } else { "over before anybody was killed".to_owned() };
    trial.count(&format!("{change:?}: {what}, {state:?}"));
}
