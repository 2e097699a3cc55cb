//! No order of events makes a plan skip approval, change once it has ended, or be taken for proven when it was not.

use common_plan::{Action, Goal};
use proptest::prelude::*;

use super::*;

const EXPIRES: Timestamp = Timestamp(1_000_000);

fn life(needed: u8) -> Life {
    Life::new(Record {
        id: "0123456789abcdef".parse().unwrap(),
        node: "es-1".parse().unwrap(),
        action: Action::SysctlSet,
        title: "Raise vm.max_map_count".to_owned(),
        goal: Goal { endpoint: "es-1:9200".to_owned(), cause: "bootstrap-check".parse().unwrap() },
        made_at: Timestamp(0),
        expires_at: EXPIRES,
        needed,
        approvals: Vec::new(),
        could_approve: Vec::new(),
        stage: Stage::Proposed,
        history: Vec::new(),
        link: None,
        reverted_by: None,
        rollout: None,
        until: None,
        follow_up: None,
    })
}

fn approval(key: u8) -> Approval {
    use std::fmt::Write;
    // Base64 of 32 bytes, all alike, needs no encoder: 10 groups of three bytes and one of two.
    let groups = ["AAAA", "AQEB", "AgIC", "AwMD"];
    let last = ["AAA=", "AQE=", "AgI=", "AwM="];
    let (mut text, at) = ("ed25519:".to_owned(), usize::from(key % 4));
    (0..10).for_each(|_| write!(text, "{}", groups[at]).unwrap());
    Approval { key: format!("{text}{}", last[at]).parse().unwrap(), signature: String::new() }
}

fn approved(who: u8) -> Event {
    Event::Approved { operator: format!("op{who}"), approval: approval(who) }
}

fn reported(state: State) -> Event {
    reported_until(state, None)
}

fn reported_until(state: State, until: Option<Timestamp>) -> Event {
    Event::Reported(Entry {
        plan: "0123456789abcdef".parse().unwrap(),
        action: Some(Action::SysctlSet),
        state,
        at: Timestamp(0),
        because: None,
        approvers: Vec::new(),
        until,
    })
}

fn looked(keep: bool) -> Event {
    Event::Looked { keep, because: "seen".to_owned() }
}

fn carried(to: CarriedTo) -> Event {
    Event::Carried(Carried { to, because: "said".to_owned(), link: Some("https://example".to_owned()) })
}

fn tick() -> Event {
    Event::Tick { unknown_until: None }
}

/// The stages a life goes through; events that are impossible change nothing.
fn live(needed: u8, events: &[(Event, i64)]) -> Vec<Stage> {
    let mut life = life(needed);
    for (event, at) in events {
        if let Ok(Some(next)) = life.after(event, Timestamp(*at)) {
            life = next;
        }
    }
    life.record.history.iter().map(|transition| transition.stage).collect()
}

#[test]
fn the_good_way_ends_verified() {
    let events = [
        approved(0),
        Event::Dispatched,
        reported(State::Armed),
        reported(State::Applied),
        looked(true),
        reported(State::Confirmed),
        reported(State::Persisted),
        tick(),
    ];
    let stages = live(1, &events.map(|event| (event, 5)));
    use Stage::{Applied, Approved, Dispatched, Proposed, Verified};
    assert_eq!(stages, [Proposed, Approved, Dispatched, Applied, Applied, Verified]);
}

#[test]
fn two_persons_are_two_names_and_two_keys() {
    let first = life(2).after(&approved(0), Timestamp(1)).unwrap().unwrap();
    assert_eq!(first.record.stage, Stage::Proposed);
    assert_eq!(first.after(&approved(0), Timestamp(2)), Err(Impossible::Twice("op0".to_owned())));
    let same_key = Event::Approved { operator: "mallory".to_owned(), approval: approval(0) };
    assert_eq!(first.after(&same_key, Timestamp(2)), Err(Impossible::Twice("mallory".to_owned())));
    assert_eq!(first.after(&approved(1), Timestamp(2)).unwrap().unwrap().record.stage, Stage::Approved);
}

#[test]
fn what_expired_is_neither_approved_nor_dispatched() {
    let late = EXPIRES.plus_millis(1);
    assert_eq!(life(1).after(&approved(0), late), Err(Impossible::Expired(EXPIRES)));
    let approved = life(1).after(&approved(0), EXPIRES).unwrap().unwrap();
    assert_eq!(approved.after(&Event::Dispatched, late), Err(Impossible::Expired(EXPIRES)));
    assert_eq!(approved.after(&tick(), late).unwrap().unwrap().record.stage, Stage::Expired);
}

#[test]
fn a_plan_handed_over_expires_only_when_the_node_shows_that_it_never_began() {
    let handed = life(1).after(&approved(0), Timestamp(1)).unwrap().unwrap();
    let handed = handed.after(&Event::Dispatched, Timestamp(2)).unwrap().unwrap();
    let much_later = EXPIRES.plus_millis(10 * CLOCKS_MS);
    let unknown = |until| Event::Tick { unknown_until: until };
    assert_eq!(handed.after(&unknown(None), much_later), Ok(None));
    assert_eq!(handed.after(&unknown(Some(EXPIRES)), much_later), Ok(None));
    let shown = handed.after(&unknown(Some(much_later)), much_later).unwrap().unwrap();
    assert_eq!(shown.record.stage, Stage::Expired);
}

#[test]
fn a_node_that_keeps_what_was_not_proven_has_failed() {
    let kept = [approved(0), Event::Dispatched, reported(State::Applied), looked(false), reported(State::Persisted)];
    assert_eq!(live(1, &kept.map(|event| (event, 5))).last(), Some(&Stage::Failed));
}

#[test]
fn what_was_opened_for_a_limited_time_ends_when_its_node_says_so() {
    let until = Some(Timestamp(7_200_000));
    let opened = |last: State| {
        let proven = [approved(0), Event::Dispatched, reported(State::Applied), looked(true)];
        let told = [State::Persisted, State::Persisted, last].map(|state| reported_until(state, until));
        live(1, &proven.into_iter().chain(told).map(|event| (event, 5)).collect::<Vec<_>>())
    };
    assert_eq!(opened(State::Persisted).last(), Some(&Stage::Verified));
    assert_eq!(opened(State::Reverted)[5..], [Stage::Verified, Stage::Ended]);
    // Somebody else's rules are in the way.
    assert_eq!(opened(State::Conflict)[5..], [Stage::Verified, Stage::Failed]);
    let kept = [approved(0), Event::Dispatched, looked(true), reported(State::Persisted), reported(State::Reverted)];
    assert_eq!(live(1, &kept.map(|event| (event, 5))).last(), Some(&Stage::Verified), "for good");
}

#[test]
fn what_the_controller_says_of_its_own_plans_is_nothing_to_those_of_nodes() {
    let stages = live(1, &[(approved(0), 1), (Event::Dispatched, 2), (carried(CarriedTo::Verified), 3)]);
    assert_eq!(stages.last(), Some(&Stage::Dispatched));
}

fn any_event() -> impl Strategy<Value = Event> {
    use State::{Applied, Armed, Confirmed, Conflict, Failed, Persisted, Prepared, Refused, Reverted};
    let states = [Refused, Prepared, Armed, Applied, Confirmed, Persisted, Reverted, Conflict, Failed];
    prop_oneof![
        3 => (0u8..4).prop_map(approved),
        1 => Just(Event::Rejected { operator: "op0".to_owned(), because: String::new() }),
        3 => Just(Event::Dispatched),
        1 => Just(Event::NotSent),
        1 => Just(Event::NotHanded { because: "no actuator".to_owned() }),
        2 => any::<bool>().prop_map(looked),
        4 => (proptest::sample::select(states.to_vec()), any::<bool>())
            .prop_map(|(state, limited)| reported_until(state, limited.then_some(EXPIRES))),
        1 => proptest::option::of(0i64..2_000_000)
            .prop_map(|until| Event::Tick { unknown_until: until.map(Timestamp) }),
    ]
}

proptest! {
    #[test]
    fn no_order_of_events_breaks_a_life(
        needed in 1u8..4,
        events in prop::collection::vec((any_event(), 0i64..1_500_000), 0..40),
    ) {
        let mut now = 0;
        let mut life = life(needed);
        for (event, passed) in events {
            now = passed.max(now);
            let next = match life.after(&event, Timestamp(now)) {
                Ok(Some(next)) => next,
                Ok(None) | Err(_) => continue,
            };
            let (before, after) = (life.record.stage, next.record.stage);
            let may_change = !before.is_final() || life.record.is_open_for_now() && after.is_final();
            prop_assert!(may_change, "{before:?} changed to {after:?} by {event:?}");
            prop_assert_eq!(next.record.history.len(), life.record.history.len() + 1);
            prop_assert_eq!(next.record.history.last().map(|last| last.stage), Some(after));
            let keys: std::collections::BTreeSet<_> =
                next.record.approvals.iter().map(|given| given.approval.key.clone()).collect();
            prop_assert_eq!(keys.len(), next.record.approvals.len());
            if !matches!(after, Stage::Proposed | Stage::Rejected | Stage::Expired) {
                prop_assert!(keys.len() >= usize::from(needed), "{after:?} with {} approvals", keys.len());
            }
            if after == Stage::Dispatched {
                prop_assert!(now <= EXPIRES.0, "dispatched after it expired");
            }
            if after == Stage::Verified {
                prop_assert_eq!(next.proven, Some(true));
            }
            life = next;
        }
    }
}
