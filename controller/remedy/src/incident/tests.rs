//! An incident ends when its endpoint answers and no plan can still take that away, and not before.

use proptest::prelude::*;

use super::*;

fn look(answers: bool, cause: &str) -> Look {
    Look {
        endpoint: "http://es-1:9200".parse().unwrap(),
        addresses: vec!["10.0.0.5".parse().unwrap()],
        answers,
        symptom: if answers { Symptom::Ok } else { Symptom::Refused },
        verdict: IncidentVerdict {
            cause: cause.parse().unwrap(),
            certainty: Certainty::Certain,
            node: Some("es-1".parse().unwrap()),
            sentence: format!("because of {cause}"),
        },
        path: Vec::new(),
    }
}

fn plan(id: &str, stage: &str) -> IncidentPlan {
    IncidentPlan {
        id: id.to_owned(),
        title: "Raise it".to_owned(),
        node: "es-1".parse().unwrap(),
        proposed_at: Timestamp(1),
        stage: stage.to_owned(),
        ended: stage == "verified",
        on_trial: stage == "applied",
        needed: 1,
        approved_by: Vec::new(),
        could_approve: Vec::new(),
        since: Timestamp(1),
        because: None,
        link: None,
        until: None,
        rollout: None,
        follow_up: None,
    }
}

fn opened() -> Incident {
    open(IncidentId(1), &look(false, "not-running"), "operator alice", None, Timestamp(0))
}

fn looked(answers: bool, cause: &str) -> Event {
    Event::Looked(Box::new(look(answers, cause)))
}

/// The incident after these, one a millisecond.
fn live(events: impl IntoIterator<Item = Event>) -> Incident {
    (1..).zip(events).fold(opened(), |incident, (at, event)| after(&incident, event, Timestamp(at)).unwrap_or(incident))
}

fn told(incident: &Incident) -> Vec<What> {
    incident.history.iter().map(|happening| happening.what).collect()
}

#[test]
fn it_lasts_until_the_endpoint_answers() {
    let incident = live([looked(false, "not-running"), looked(false, "bootstrap-check"), looked(true, "healthy")]);
    assert_eq!(told(&incident), [What::Opened, What::Verdict, What::Closed]);
    let closed = incident.closed.clone().unwrap();
    assert_eq!((closed.at, closed.who.as_str()), (Timestamp(3), "controller"));
    // The cause it had is what people look for afterwards.
    assert_eq!(incident.verdict.cause.as_str(), "bootstrap-check");
    assert_eq!(after(&incident, looked(false, "not-running"), Timestamp(9)), None);
}

#[test]
fn what_comes_and_goes_is_one_incident() {
    let ended = live([looked(true, "healthy")]);
    let again = |at| reopened(&ended, look(false, "host-firewall"), "controller", Timestamp(at));
    let incident = again(REOPENS_MS).unwrap();
    assert!(incident.is_open() && incident.verdict.cause.as_str() == "host-firewall");
    assert_eq!(told(&incident), [What::Opened, What::Closed, What::Reopened, What::Verdict]);
    assert_eq!(incident.began().unwrap().what, What::Reopened);
    assert_eq!(again(REOPENS_MS + 2), None);
    let by_person = live([Event::Closed { operator: "alice".to_owned(), because: "done".to_owned() }]);
    assert_eq!(reopened(&by_person, look(false, "not-running"), "controller", Timestamp(5)), None);
}

#[test]
fn an_answer_during_a_trial_ends_it_only_with_the_trial() {
    let trial = [Event::Plans(vec![plan("a", "applied")]), looked(true, "healthy")];
    let waiting = live(trial.clone());
    assert!(waiting.is_open() && waiting.answers_since == Some(Timestamp(2)));
    let kept = live(trial.clone().into_iter().chain([Event::Plans(vec![plan("a", "verified")])]));
    assert_eq!(told(&kept), [What::Opened, What::Answers, What::Closed]);
    assert_eq!(kept.plans[0].stage, "verified");
    let undone =
        live(trial.into_iter().chain([looked(false, "not-running"), Event::Plans(vec![plan("a", "rolled-back")])]));
    assert!(undone.is_open() && undone.answers_since.is_none());
    assert_eq!(told(&undone), [What::Opened, What::Answers, What::Lost]);
}

#[test]
fn what_is_seen_while_a_plan_is_tried_is_not_why_it_began() {
    let trial = [Event::Plans(vec![plan("a", "applied")]), looked(false, "still-starting")];
    let proven =
        live(trial.clone().into_iter().chain([Event::Plans(vec![plan("a", "verified")]), looked(true, "healthy")]));
    assert_eq!(told(&proven), [What::Opened, What::Closed]);
    assert_eq!(proven.verdict.cause.as_str(), "not-running");
    let undone = [Event::Plans(vec![plan("a", "rolled-back")]), looked(false, "bootstrap-check")];
    assert_eq!(live(trial.into_iter().chain(undone)).verdict.cause.as_str(), "bootstrap-check");
}

#[test]
fn a_person_ends_it_with_words() {
    let event = Event::Closed { operator: "alice".to_owned(), because: "the client\u{1b}[2J uses https".to_owned() };
    let closed = live([event]).closed.unwrap();
    assert_eq!((closed.who.as_str(), closed.because.as_str()), ("operator alice", "the client\\u{1b}[2J uses https"));
}

#[test]
fn what_may_be_mistyped_is_no_incident() {
    let of = |cause: &str, certainty| {
        let mut look = look(false, cause);
        look.verdict.certainty = certainty;
        (look.is_incident(false), look.is_incident(true))
    };
    assert_eq!(of("name-unresolved", Certainty::Certain), (false, true));
    assert_eq!(of("undetermined", Certainty::Undetermined), (false, true));
    assert_eq!(of("host-firewall", Certainty::Likely), (true, true));
    assert!(!look(true, "healthy").is_incident(true));
}

#[test]
fn another_name_for_the_same_addresses_is_the_same_incident() {
    let incident = opened();
    let named = |endpoint: &str, address: &str| Look {
        endpoint: endpoint.parse().unwrap(),
        addresses: vec![address.parse().unwrap()],
        ..look(false, "not-running")
    };
    assert!(named("http://10.0.0.5:9200", "10.0.0.5").is_of(&incident));
    for other in [("https://es-1:9200", "10.0.0.5"), ("http://es-1:9201", "10.0.0.5"), ("http://es-2:9200", "10.0.0.6")]
    {
        assert!(!named(other.0, other.1).is_of(&incident), "{other:?}");
    }
    let both = live([Event::Looked(Box::new(named("http://10.0.0.5:9200", "10.0.0.5")))]);
    assert_eq!(both.also, ["http://10.0.0.5:9200"]);
}

#[test]
fn plans_that_are_told_of_no_more_stay() {
    let incident = live([Event::Plans(vec![plan("a", "verified")]), Event::Plans(vec![plan("b", "applied")])]);
    assert_eq!(incident.plans.iter().map(|plan| plan.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

fn any_event() -> impl Strategy<Value = Event> {
    let causes = ["not-running", "bootstrap-check", "host-firewall"];
    let stages = ["proposed", "applied", "verified", "rolled-back"];
    prop_oneof![
        4 => proptest::sample::select(causes.to_vec()).prop_map(|cause| looked(false, cause)),
        2 => Just(looked(true, "healthy")),
        3 => (0..80u8, proptest::sample::select(stages.to_vec()))
            .prop_map(|(id, stage)| Event::Plans(vec![plan(&id.to_string(), stage)])),
        1 => Just(Event::Closed { operator: "bob".to_owned(), because: String::new() }),
    ]
}

proptest! {
    #[test]
    fn no_order_of_events_breaks_it(events in prop::collection::vec(any_event(), 0..400)) {
        let mut incident = opened();
        for (at, event) in (1..).zip(events) {
            let by_person = matches!(event, Event::Closed { .. });
            let Some(next) = after(&incident, event, Timestamp(at)) else { continue };
            if !incident.is_open() {
                let plans = next.plans.clone();
                prop_assert_eq!(&next, &Incident { plans, ..incident.clone() });
            } else if !next.is_open() {
                prop_assert!(by_person || !next.is_on_trial());
                prop_assert_eq!(next.history.last().map(|last| last.what), Some(What::Closed));
            }
            prop_assert!(next.history.len() <= MAX_HISTORY && next.plans.len() <= MAX_PLANS);
            prop_assert_eq!(next.history[0].what, What::Opened);
            incident = next;
        }
    }
}
