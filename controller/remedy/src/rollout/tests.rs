//! Every way a rollout can go, with the cluster and the nodes played.

use common_model::Timestamp;
use common_model::probe::Product;
use common_plan::rollout::{Calls, Health, Phase, Rollout, RolloutStage, Status, Turn};
use proptest::prelude::*;

use super::machine::{Outcome, Todo, after, ask_to_stop, todo};
use super::propose::calls;

fn rollout(nodes: usize) -> Rollout {
    let turn = |at: usize| Turn {
        node: format!("es-{at}").parse().unwrap(),
        plan: format!("{at:016x}").parse().unwrap(),
        phase: Phase::Waits,
        since: Timestamp(0),
        said: None,
        before: None,
        run_before: None,
    };
    Rollout {
        id: "r0123456789abcdef".parse().unwrap(),
        cluster: "logs".to_owned(),
        made_at: Timestamp(0),
        expires_at: Timestamp(1_000_000),
        stage: RolloutStage::Proposed,
        turns: (0..nodes).map(turn).collect(),
        held: false,
        stop: None,
        history: Vec::new(),
    }
}

fn well(todo: Todo) -> Outcome {
    match todo {
        Todo::Check(at) => Outcome::Checked {
            said: "fine".to_owned(),
            health: Some(Health { status: Status::Green, nodes: 3 }),
            run: Some(format!("run-{at}")),
        },
        _ => Outcome::Done("fine".to_owned()),
    }
}

/// Goes on until it has ended, with these outcomes where they are given; what was done, in order.
fn play(start: &Rollout, calls: Calls, mut outcome: impl FnMut(Todo) -> Outcome) -> (Rollout, Vec<Todo>) {
    let (mut rollout, mut done) = (start.clone(), Vec::new());
    while !rollout.stage.is_final() {
        let todo = todo(&rollout);
        done.push(todo);
        assert!(done.len() < 200, "{done:?}");
        if let Some(next) = after(&rollout, calls, todo, outcome(todo), Timestamp(1)) {
            rollout = next;
        }
    }
    (rollout, done)
}

#[test]
fn each_node_is_restarted_with_allocation_held_and_put_back_around_it() {
    let (ended, done) = play(&rollout(2), Calls::Flush, well);
    let turn = |at| {
        [
            Todo::Check(at),
            Todo::Hold(at),
            Todo::Flush(at),
            Todo::Restart(at),
            Todo::Rejoin(at),
            Todo::Release(at),
            Todo::Recover(at),
        ]
    };
    let expected: Vec<Todo> = [Todo::AwaitApproval].into_iter().chain(turn(0)).chain(turn(1)).collect();
    assert_eq!(done, expected);
    assert_eq!((ended.stage, ended.held), (RolloutStage::Done, false));
    assert!(ended.turns.iter().all(|turn| turn.phase == Phase::Done));
    assert_eq!(ended.turns[1].run_before.as_deref(), Some("run-1"));
}

#[test]
fn a_cluster_that_cannot_be_asked_is_not() {
    let (ended, done) = play(&rollout(1), Calls::Nothing, well);
    assert_eq!(done, [Todo::AwaitApproval, Todo::Check(0), Todo::Restart(0)]);
    assert_eq!(ended.stage, RolloutStage::Done);
}

#[test]
fn it_stops_at_the_node_that_is_worse_and_puts_allocation_back() {
    for bad in [Todo::Restart(1), Todo::Rejoin(1), Todo::Hold(1)] {
        let (ended, done) = play(&rollout(3), Calls::Flush, |todo| {
            if todo == bad { Outcome::Wrong("it does not come up".to_owned()) } else { well(todo) }
        });
        assert_eq!((done.last(), ended.stage, ended.held), (Some(&Todo::PutBack), RolloutStage::Stopped, false));
        let phases: Vec<Phase> = ended.turns.iter().map(|turn| turn.phase).collect();
        assert_eq!(phases, [Phase::Done, Phase::Failed, Phase::Untouched], "{bad:?}");
        assert_eq!(ended.stop.as_deref(), Some("es-1: it does not come up"));
    }
}

#[test]
fn what_would_not_start_again_is_not_touched_and_nothing_has_to_be_put_back() {
    let (ended, done) = play(&rollout(2), Calls::Flush, |todo| match todo {
        Todo::Check(_) => Outcome::Wrong("it would not start".to_owned()),
        other => well(other),
    });
    assert_eq!(done, [Todo::AwaitApproval, Todo::Check(0)]);
    assert_eq!((ended.stage, ended.turns[1].phase), (RolloutStage::Stopped, Phase::Untouched));
}

#[test]
fn a_flush_that_fails_or_takes_long_stops_nothing() {
    let failing = |todo| if matches!(todo, Todo::Flush(_)) { Outcome::Wrong("busy".to_owned()) } else { well(todo) };
    assert_eq!(play(&rollout(1), Calls::Flush, failing).0.stage, RolloutStage::Done);
    let mut flushing = rollout(1);
    (flushing.stage, flushing.turns[0].phase) = (RolloutStage::Running, Phase::Flushes);
    let slow = |now| after(&flushing, Calls::Flush, Todo::Flush(0), Outcome::NotYet("slow".to_owned()), Timestamp(now));
    assert_eq!(slow(1_000).unwrap().turns[0].phase, Phase::Flushes);
    assert_eq!(slow(31_000).unwrap().turns[0].phase, Phase::Restarts);
}

#[test]
fn a_node_that_does_not_come_back_is_waited_for_only_so_long() {
    let mut waiting = rollout(2);
    (waiting.stage, waiting.turns[0].phase, waiting.held) = (RolloutStage::Running, Phase::Rejoins, true);
    let at = |now| {
        after(&waiting, Calls::Flush, Todo::Rejoin(0), Outcome::NotYet("not seen".to_owned()), Timestamp(now)).unwrap()
    };
    assert_eq!(at(599_000).stage, RolloutStage::Running);
    assert_eq!((at(601_000).stage, at(601_000).held), (RolloutStage::Stopping, true));
}

#[test]
fn putting_allocation_back_is_tried_until_it_is_done() {
    let mut stopping = rollout(1);
    (stopping.stage, stopping.turns[0].phase, stopping.held) = (RolloutStage::Stopping, Phase::Failed, true);
    let tried =
        after(&stopping, Calls::Flush, Todo::PutBack, Outcome::NotYet("no answer".to_owned()), Timestamp(1 << 40));
    let tried = tried.unwrap();
    assert_eq!((tried.stage, tried.held, todo(&tried)), (RolloutStage::Stopping, true, Todo::PutBack));
    assert_eq!(
        after(&tried, Calls::Flush, Todo::PutBack, Outcome::NotYet("no answer".to_owned()), Timestamp(1 << 41)),
        None
    );
    assert_eq!(play(&tried, Calls::Flush, well).0.stage, RolloutStage::Stopped);
}

#[test]
fn asked_to_stop_it_brings_the_node_it_is_at_to_an_end_first() {
    let mut restarting = rollout(2);
    (restarting.stage, restarting.turns[0].phase, restarting.held) = (RolloutStage::Running, Phase::Restarts, true);
    let asked = ask_to_stop(&restarting, "operator bob", "lunch", Timestamp(1)).unwrap();
    assert_eq!(asked.stage, RolloutStage::Running);
    let (ended, done) = play(&asked, Calls::Flush, well);
    assert_eq!(done, [Todo::Restart(0), Todo::Rejoin(0), Todo::Release(0)]);
    assert_eq!((ended.stage, ended.turns[1].phase), (RolloutStage::Stopped, Phase::Untouched));

    (restarting.turns[0].phase, restarting.held) = (Phase::Checks, false);
    let stopped = ask_to_stop(&restarting, "operator bob", "", Timestamp(1)).unwrap();
    assert_eq!((stopped.stage, stopped.turns[0].phase), (RolloutStage::Stopped, Phase::Untouched));
    assert_eq!(ask_to_stop(&stopped, "operator bob", "", Timestamp(1)), None);
    assert_eq!(ask_to_stop(&rollout(1), "operator bob", "", Timestamp(1)).unwrap().stage, RolloutStage::Rejected);
}

#[test]
fn not_approved_in_time_nothing_is_done() {
    for (outcome, stage) in [
        (Outcome::Expired, RolloutStage::Expired),
        (Outcome::Rejected("operator bob".to_owned()), RolloutStage::Rejected),
    ] {
        let (ended, done) = play(&rollout(2), Calls::Flush, |_| outcome.clone());
        assert_eq!((done.as_slice(), ended.stage), ([Todo::AwaitApproval].as_slice(), stage));
    }
}

#[test]
fn the_engines_version_decides_how_it_is_flushed() {
    for (product, version, expected) in [
        (Product::Elasticsearch, Some((6, 8)), Calls::SyncedFlush),
        (Product::Elasticsearch, Some((7, 5)), Calls::SyncedFlush),
        (Product::Elasticsearch, Some((7, 6)), Calls::Flush),
        (Product::Elasticsearch, Some((9, 0)), Calls::Flush),
        (Product::Opensearch, Some((1, 3)), Calls::SyncedFlush),
        (Product::Opensearch, Some((2, 19)), Calls::Flush),
        (Product::Opensearch, None, Calls::Flush),
    ] {
        assert_eq!(calls(product, version), expected, "{product:?} {version:?}");
    }
}

proptest! {
    /// Whatever happens in whatever order: a node is handed its plan only after those before it are done, allocation is not left
    /// held, and it ends.
    #[test]
    fn however_it_goes_it_goes_in_order_and_leaves_nothing_held(outcomes in prop::collection::vec(0_u8..8, 0..120), stop_at in 0_usize..60) {
        let (mut rollout, mut now) = (rollout(3), 0);
        let mut outcomes = outcomes.into_iter();
        for step in 0..200 {
            let doing = todo(&rollout);
            if let Todo::Restart(at) = doing {
                prop_assert!(rollout.turns[..at].iter().all(|turn| turn.phase == Phase::Done));
                prop_assert!(rollout.held);
            }
            if step == stop_at && let Some(asked) = ask_to_stop(&rollout, "operator bob", "", Timestamp(now)) {
                rollout = asked;
                continue;
            }
            let outcome = match outcomes.next() {
                Some(0) => Outcome::NotYet("wait".to_owned()),
                Some(1) => Outcome::Wrong("worse".to_owned()),
                _ => well(doing),
            };
            now += 1_000;
            rollout = after(&rollout, Calls::Flush, doing, outcome, Timestamp(now)).unwrap_or(rollout);
        }
        prop_assert!(rollout.stage.is_final(), "{rollout:?}");
        prop_assert!(!rollout.held, "{rollout:?}");
    }
}
