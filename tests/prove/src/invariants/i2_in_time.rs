//! I2: whoever has a plan in hand is stopped until it has expired, and goes on then.

use agent_act::clock;
use common_plan::CarriedOutBy;
use common_plan::wire::Reply;
use rustix::process::Pid;
use tests_node::{is_stopped, resume, until};

use super::Invariant;
use crate::run::{Run, Trial};
use crate::scene::{Change, Scene};

pub(super) const INVARIANT: Invariant = Invariant {
    id: "I2",
    promise: "no plan acts after it has expired, by either of the node's clocks",
    trials: 500,
    few: 24,
    prove: |run: &Run| run.each(0..run.trials, 8, in_time),
};

/// The points at which the actuator waits before the act: itself, or for its guard.
const POINTS: [&str; 5] = ["begun", "before-image", "guard-starts", "armed", "before-act"];
/// For a plan to come to its point.
const LIFE_MS: u64 = 500;
const DAY_MS: i64 = 86_400_000;

/// By which clock it expires. The machine's own clock is not set: a clock that jumps by a day is a plan a day off.
#[derive(Debug, Clone, Copy)]
enum Expiry {
    /// The boot clock's.
    Boot,
    /// The wall clock's.
    Wall,
    /// The boot clock's, with the wall clock set back by a day since it was made.
    SetBack,
    /// The boot clock's, with the wall clock set forward by a day since: it has expired at once.
    SetForward,
}

fn in_time(trial: &mut Trial<'_>) {
    let point = POINTS[usize::try_from(trial.number).unwrap() % POINTS.len()];
    let expiry =
        trial.pick(&[Expiry::Boot, Expiry::Boot, Expiry::Wall, Expiry::Wall, Expiry::SetBack, Expiry::SetForward]);
    let change = trial.pick(&[Change::Setting, Change::Setting, Change::Setting, Change::Rule]);
    // A machine that is too busy for a plan to come to its point in time has tried nothing.
    let life = (1..).map(|times| LIFE_MS * times).find(|life| try_with(point, expiry, change, *life));
    trial.count(&format!("{change:?} expired at {point}"));
    trial.count(&format!("{expiry:?}"));
    trial.sample("milliseconds to live", life.unwrap());
}

fn try_with(point: &str, expiry: Expiry, change: Change, life: u64) -> bool {
    let mut ends = 0;
    let mut scene = Scene::new(change, 900, |plan| {
        let (boot, wall) = (clock::boot_ms() + life, clock::now().plus_millis(life.cast_signed()));
        ends = boot;
        let CarriedOutBy::Node(on_node) = &mut plan.by else { panic!("a plan for the controller") };
        match expiry {
            Expiry::Boot => on_node.expires_boot_ms = boot,
            Expiry::Wall => plan.expires_at = wall,
            Expiry::SetBack => (on_node.expires_boot_ms, plan.expires_at) = (boot, wall.plus_millis(DAY_MS)),
            Expiry::SetForward => (on_node.expires_boot_ms, plan.expires_at) = (boot, wall.plus_millis(-DAY_MS)),
        }
    });
    let actuator = scene.host.serve(Some(point));
    let stopped = |pid: Pid| scene_stopped(&scene, pid);
    let (reply, was_stopped) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| scene.act());
        let mut at_point = false;
        until("somebody stops, or it is over", || {
            at_point = stopped(actuator.pid());
            at_point || asking.is_finished()
        });
        until("it has expired", || clock::boot_ms() > ends + 1);
        until("the asking ends", || {
            resume(actuator.pid());
            scene.host.guards().into_iter().for_each(resume);
            asking.is_finished()
        });
        (asking.join().unwrap(), at_point)
    });
    match reply {
        Some(Reply::Refused { code, .. }) if code == "expired" => {}
        reply => panic!("{expiry:?} at {point}: {reply:?}"),
    }
    assert_eq!(scene.writes(), 0, "{expiry:?} at {point}: something was written");
    assert!(scene.is_old());
    was_stopped || matches!(expiry, Expiry::SetForward)
}

fn scene_stopped(scene: &Scene, actuator: Pid) -> bool {
    is_stopped(actuator) || scene.host.guards().into_iter().any(is_stopped)
}
