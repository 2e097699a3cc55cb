//! Rollouts in the console, and whatever two persons decide.

use common_plan::rollout::{Phase, RolloutStage};
use common_plan::{Approved, Stage};

use super::model::{Effect, Event, Key, Model, Sent, Subject};
use super::tests::{busy, console, key, press, screen};
use super::update::update;
use crate::plan::tests::{NOW, fetched, transition};
use crate::rollout::FetchedRollout;
use crate::rollout::tests::{moment, rollout};

fn subject(of: &FetchedRollout) -> Subject {
    Subject::Rollout(of.rollout.id.clone())
}

/// Waits for two persons, of alice, bob and carol.
fn proposed() -> FetchedRollout {
    let mut rollout = rollout();
    for plan in &mut rollout.plans {
        plan.record.needed = 2;
        plan.record.rollout = Some(rollout.rollout.id.clone());
        plan.record.could_approve = ["alice", "bob", "carol"].map(str::to_owned).into();
    }
    rollout
}

fn tell(model: &mut Model, of: &FetchedRollout) {
    let records = of.plans.iter().map(|plan| plan.record.clone()).collect();
    update(model, Event::Board(Vec::new(), records, vec![of.rollout.clone()]));
    update(model, Event::Sent(subject(of), Ok(Sent::Rollout(Box::new(of.clone())))));
}

/// With the proposed rollout open and sent.
fn opened(width: usize, height: usize) -> (Model, FetchedRollout) {
    let (mut model, rollout) = (console(width, height), proposed());
    tell(&mut model, &rollout);
    press(&mut model, Key::NextPane);
    assert_eq!(press(&mut model, Key::Enter), Some(Effect::Watch(subject(&rollout))));
    tell(&mut model, &rollout);
    (model, rollout)
}

#[test]
fn a_rollout_is_one_row_and_its_plans_are_none() {
    let mut model = busy(80, 24);
    tell(&mut model, &proposed());
    let shown = screen(&model);
    assert_eq!(shown.matches("waits for approval").count(), 1, "{shown}");
    assert!(shown.contains("2 persons have to, of alice, bob and carol"), "{shown}");
}

#[test]
fn it_is_asked_for_on_80_by_24() {
    assert_eq!(screen(&opened(80, 24).0), include_str!("golden/rollout.txt"));
}

#[test]
fn what_was_not_read_of_it_is_not_signed_and_then_all_of_it_is() {
    let (mut model, rollout) = opened(80, 16);
    assert_eq!(press(&mut model, Key::Char('y')), None);
    assert!(screen(&model).contains("there is more below"));
    assert!(!screen(&model).contains("y yes"));
    press(&mut model, Key::Char(' '));
    assert!(screen(&model).contains("y yes"));
    assert_eq!(press(&mut model, Key::Char('y')), Some(Effect::Sign(Sent::Rollout(Box::new(rollout)))));
    assert_eq!(press(&mut model, Key::Char('y')), None);
}

#[test]
fn who_has_approved_waits_for_the_others() {
    let (mut model, mut rollout) = opened(80, 40);
    let mine = key();
    model.key = Ok(mine.public().unwrap());
    for plan in &mut rollout.plans {
        let approval = mine.approve(&plan.bytes).unwrap();
        plan.record.approvals.push(Approved { operator: "alice".to_owned(), at: NOW, approval });
        plan.record.could_approve.remove(0);
    }
    tell(&mut model, &rollout);
    let shown = screen(&model);
    assert!(shown.contains("You have approved it.") && !shown.contains("y yes"), "{shown}");
    assert!(shown.contains("by alice, just now") && shown.contains("one more person has to: bob or carol"), "{shown}");
    assert_eq!(press(&mut model, Key::Char('y')), None);
    // Somebody who has not is still asked.
    model.key = Ok(key().public().unwrap());
    assert!(screen(&model).contains("y yes"));
}

#[test]
fn who_could_not_approve_it_is_told_before() {
    let (mut model, _) = opened(80, 40);
    for (operator, told) in [("bob", false), ("erin", true)] {
        model.operator = Some(operator.to_owned());
        assert_eq!(screen(&model).contains("erin is not among those whose approval counts here"), told);
    }
}

#[test]
fn it_is_followed_node_by_node_and_can_be_stopped() {
    let (mut model, mut followed) = opened(80, 24);
    let running = &mut followed.rollout;
    running.stage = RolloutStage::Running;
    running.held = true;
    (running.turns[0].phase, running.turns[1].phase) = (Phase::Done, Phase::Rejoins);
    running.turns[0].said = Some("the cluster is green, 3 nodes, as before".to_owned());
    running.turns[1].said = Some("the cluster does not have it yet".to_owned());
    for second in 0..20 {
        running.history.push(moment(NOW.plus_millis(second * 1000 - 30_000), "controller", Some("es-2"), "seen"));
    }
    tell(&mut model, &followed);
    assert_eq!(screen(&model), include_str!("golden/running.txt"));
    press(&mut model, Key::Char('x'));
    for c in "enough".chars() {
        press(&mut model, Key::Char(c));
    }
    assert!(screen(&model).contains("Stop after this node because: enough_"));
    let stopped = press(&mut model, Key::Enter);
    assert_eq!(stopped, Some(Effect::Reject(subject(&followed), "enough".to_owned())));
    followed.rollout.stage = RolloutStage::Stopped;
    followed.rollout.stop = Some("stopped by operator alice: enough".to_owned());
    tell(&mut model, &followed);
    let shown = screen(&model);
    assert!(shown.contains("after 1 of 2 nodes of logs: stopped by operator alice: enough"), "{shown}");
    assert!(!shown.contains("x stop"), "{shown}");
}

#[test]
fn a_no_needs_words_and_can_be_taken_back_before_it_is_sent() {
    let (mut model, rollout) = opened(80, 24);
    press(&mut model, Key::Char('x'));
    assert_eq!(press(&mut model, Key::Enter), None);
    assert!(screen(&model).contains("say why"));
    // Letters that decide elsewhere are words here.
    for c in "my n".chars() {
        assert_eq!(press(&mut model, Key::Char(c)), None);
    }
    assert!(screen(&model).contains("Reject it for everybody because: my n_"));
    press(&mut model, Key::Back);
    assert!(screen(&model).contains("Approve this rollout"));
    press(&mut model, Key::Char('x'));
    press(&mut model, Key::Char('z'));
    assert_eq!(press(&mut model, Key::Enter), Some(Effect::Reject(subject(&rollout), "z".to_owned())));
}

#[test]
fn from_what_was_merged_to_the_rollout_that_brings_it() {
    let mut merged = fetched(crate::render::plan::tests::edit_of_the_yml());
    merged.record.stage = Stage::Verified;
    merged.record.history.push(transition(Stage::Verified, NOW, "controller", Some("it is as approved")));
    let mut model = console(80, 40);
    let board = |record: &common_plan::Record| Event::Board(Vec::new(), vec![record.clone()], Vec::new());
    update(&mut model, board(&merged.record));
    press(&mut model, Key::NextPane);
    press(&mut model, Key::Enter);
    update(&mut model, Event::Sent(Subject::Plan(merged.id()), Ok(Sent::Plan(Box::new(merged.clone())))));
    let shown = screen(&model);
    assert!(shown.contains("✓ merged") && !shown.contains("r its rollout"), "{shown}");
    assert_eq!(press(&mut model, Key::Char('r')), None);
    // The plan has ended: that it is followed is heard with the lists.
    let rollout = rollout();
    merged.record.follow_up = Some(rollout.rollout.id.clone());
    update(&mut model, board(&merged.record));
    assert!(screen(&model).contains("r its rollout"), "{}", screen(&model));
    assert_eq!(press(&mut model, Key::Char('r')), Some(Effect::Watch(subject(&rollout))));
    // What contradicts the plan's bytes is not taken.
    let mut model = console(80, 40);
    update(&mut model, board(&merged.record));
    press(&mut model, Key::NextPane);
    press(&mut model, Key::Enter);
    update(&mut model, Event::Sent(Subject::Plan(merged.id()), Ok(Sent::Plan(Box::new(merged.clone())))));
    let mut lie = merged.record.clone();
    (lie.follow_up, lie.node) = (None, "es-9".parse().unwrap());
    update(&mut model, board(&lie));
    assert!(screen(&model).contains("r its rollout"));
}
