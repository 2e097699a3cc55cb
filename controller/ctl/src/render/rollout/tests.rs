//! Rollouts as they are shown before, during and after.

use common_plan::rollout::{Phase, RolloutStage};

use super::*;
use crate::plan::tests::NOW;
use crate::rollout::tests::{moment as happened, rollout};
use crate::terminal::tests::terminal;

#[test]
fn before_it_is_signed_all_of_it_is_on_one_screen() {
    let shown = page(&rollout(), &terminal(80), Extent::Screen).to_text();
    assert_eq!(shown, include_str!("proposed.txt"));
    assert!(shown.lines().count() <= 24);
}

#[test]
fn what_is_signed_is_in_the_details() {
    let rollout = rollout();
    let shown = page(&rollout, &terminal(80), Extent::Signed).to_text();
    for plan in &rollout.plans {
        assert!(shown.contains(plan.bytes.digest().as_str()), "{shown}");
    }
}

#[test]
fn where_it_stopped_comes_first_and_what_is_still_held_is_said() {
    let mut stopped = rollout().rollout;
    stopped.stage = RolloutStage::Stopping;
    stopped.held = true;
    stopped.stop = Some("es-2: its plan was rolled back\u{1b}[2J".to_owned());
    (stopped.turns[0].phase, stopped.turns[1].phase) = (Phase::Failed, Phase::Untouched);
    stopped.history.push(happened(NOW, "operator bob", None, "asked to stop"));
    let shown = outcome(&stopped, &terminal(80)).to_text();
    assert_eq!(shown, include_str!("stopping.txt"));
    let mut page = Page::new(&terminal(80));
    moment(&mut page, 0, stopped.history.last().unwrap(), &terminal(80));
    assert_eq!(page.to_text(), "08:00:00 UTC  asked to stop — operator bob\n");
}

#[test]
fn what_is_waited_for_names_the_node_and_how_many_there_are() {
    let mut running = rollout().rollout;
    running.stage = RolloutStage::Running;
    running.turns[0].phase = Phase::Rejoins;
    running.turns[0].said = Some("the cluster does not have it yet".to_owned());
    assert_eq!(waiting(&running), "es-2 (1 of 2): joins the cluster again — the cluster does not have it yet");
    assert!(list(&[running], &[], false, &terminal(80)).contains("… es-2  · es-1"));
    assert!(list(&[], &[], false, &terminal(80)).contains("--all"));
}
