//! The console without a terminal: events in, screens out.

use common_model::change::Topic;
use common_model::diagnosis::{PathStage, StageState};
use common_model::incident::{
    ApprovedBy, Closing, Happening, Incident, IncidentId, IncidentPlan, IncidentVerdict, What,
};
use common_model::inventory::{EngineSummary, NodeSummary};
use common_model::probe::Product;
use common_model::{Certainty, Change, Stage, Symptom, Timestamp};
use common_plan::{ApprovalKey, Approved, Plan, Stage as PlanStage};
use ratatui::Terminal as Screen;
use ratatui::backend::TestBackend;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;

use super::model::{Effect, Event, Heard, Key, Model, Sent, Subject};
use super::run::shown;
use super::update::update;
use super::view::view;
use crate::plan::Fetched;
use crate::plan::tests::{NOW, fetched, plan, transition};
use crate::report::IncidentReport;
use crate::terminal::tests::terminal;

pub(super) fn key() -> ApprovalKey {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    ApprovalKey::from_pkcs8(document.as_ref()).unwrap()
}

pub(super) fn console(width: usize, height: usize) -> Model {
    Model::new(terminal(width), height, "controller.example:7443".to_owned(), Ok(key().public().unwrap()))
}

fn node(name: &str, state: &str) -> NodeSummary {
    NodeSummary {
        name: name.parse().unwrap(),
        online: true,
        last_seen: Some(NOW),
        agent_version: None,
        clock_offset_ms: None,
        addresses: vec!["10.0.0.5".to_owned()],
        engines: vec![EngineSummary {
            name: "elasticsearch".to_owned(),
            product: Product::Elasticsearch,
            cluster: Some("logs".to_owned()),
            version: Some("8.18.0".to_owned()),
            state: Some(state.to_owned()),
            listening: Vec::new(),
        }],
        gaps: Vec::new(),
    }
}

fn change(what: &str, at: Timestamp) -> Change {
    Change {
        id: what.to_owned(),
        node: "es-1".parse().unwrap(),
        at,
        not_before: None,
        topic: Topic::Sysctl,
        subject: "vm.max_map_count".to_owned(),
        what: what.to_owned(),
        diff: String::new(),
        items: Vec::new(),
        who: Some("bob".to_owned()),
        how: None,
        evidence: Vec::new(),
    }
}

/// Waits for alice or bob.
fn proposed() -> Fetched {
    let mut plan = fetched(plan());
    plan.record.could_approve = vec!["alice".to_owned(), "bob".to_owned()];
    plan
}

/// A console that has heard of a proposed and an ended plan, two nodes and two changes.
pub(super) fn busy(width: usize, height: usize) -> Model {
    let mut model = console(width, height);
    let mut ended = fetched(Plan { made_at: NOW.plus_millis(-7_200_000), ..plan() }).record;
    ended.stage = PlanStage::Verified;
    for event in [
        Event::Board(vec![incident(12)], vec![ended, proposed().record], Vec::new()),
        Event::Nodes(vec![node("es-1", "failed"), node("es-2", "active")]),
        Event::Changes(vec![
            change("vm.max_map_count: 262144 → 65530", NOW.plus_millis(-90_000)),
            change("elasticsearch.service: active → failed\u{1b}[2J", NOW.plus_millis(-95_000)),
        ]),
    ] {
        assert_eq!(update(&mut model, event), None);
    }
    model
}

/// An endpoint of es-1 that refuses, for which the plan was proposed.
fn incident(id: u64) -> Incident {
    let sentence = "Elasticsearch on es-1 does not start: a bootstrap check fails because vm.max_map_count is 65530 and must \
                    be at least 262144";
    let opened_at = NOW.plus_millis(-180_000);
    let stage = |stage, state| PathStage { stage, state, sentence: String::new(), evidence: Vec::new() };
    let path = Stage::ALL.into_iter().map(|at| match at {
        Stage::Listen => stage(at, StageState::Fail),
        at if at < Stage::Listen => stage(at, StageState::Pass),
        at => stage(at, StageState::NotReached),
    });
    let plan = fetched(plan());
    Incident {
        id: IncidentId(id),
        endpoint: "http://es-1:9200".to_owned(),
        also: vec!["http://10.0.0.5:9200".to_owned()],
        addresses: vec!["10.0.0.5".parse().unwrap()],
        opened_at,
        answered_before: Some(opened_at.plus_millis(-5_000)),
        symptom: Symptom::Refused,
        verdict: IncidentVerdict {
            cause: "bootstrap-check".parse().unwrap(),
            certainty: Certainty::Certain,
            node: Some("es-1".parse().unwrap()),
            sentence: sentence.to_owned(),
        },
        path: path.collect(),
        judged_at: NOW.plus_millis(-4_000),
        answers_since: None,
        history: vec![Happening {
            at: opened_at,
            who: "operator bob".to_owned(),
            what: What::Opened,
            sentence: format!("{sentence} [bootstrap-check]"),
        }],
        plans: vec![IncidentPlan {
            id: plan.id().to_string(),
            title: plan.record.title.clone(),
            node: plan.record.node.clone(),
            proposed_at: plan.record.made_at,
            stage: "proposed".to_owned(),
            ended: false,
            on_trial: false,
            needed: 2,
            approved_by: vec![ApprovedBy { operator: "carol".to_owned(), at: NOW.plus_millis(-30_000) }],
            could_approve: vec!["alice".to_owned(), "bob".to_owned()],
            since: plan.record.made_at,
            because: None,
            link: None,
            until: None,
            rollout: None,
            follow_up: None,
        }],
        changes: Vec::new(),
        closed: None,
    }
}

/// With the incident open and sent.
fn looked_at(width: usize, height: usize) -> (Model, Incident) {
    let (mut model, incident) = (busy(width, height), incident(12));
    assert_eq!(press(&mut model, Key::Enter), Some(Effect::Fetch(incident.id)));
    tell_incident(&mut model, &incident);
    (model, incident)
}

fn tell_incident(model: &mut Model, incident: &Incident) {
    let report = IncidentReport::new(incident.clone(), None);
    update(model, Event::Incident(incident.id, Ok(Box::new(report))));
}

/// With the proposed plan open and sent.
fn opened(width: usize, height: usize) -> (Model, Fetched) {
    let mut model = busy(width, height);
    let plan = proposed();
    press(&mut model, Key::NextPane);
    assert_eq!(press(&mut model, Key::Enter), Some(Effect::Watch(Subject::Plan(plan.id()))));
    tell(&mut model, &plan);
    (model, plan)
}

pub(super) fn press(model: &mut Model, key: Key) -> Option<Effect> {
    update(model, Event::Key(key))
}

fn tell(model: &mut Model, plan: &Fetched) {
    update(model, Event::Sent(Subject::Plan(plan.id()), Ok(Sent::Plan(Box::new(plan.clone())))));
}

/// What a terminal of this size shows, without colour.
pub(super) fn screen(model: &Model) -> String {
    let size = |length: usize| u16::try_from(length).unwrap();
    let backend = TestBackend::new(size(model.terminal.width), size(model.height));
    let mut screen = Screen::new(backend).unwrap();
    let text = shown(&view(model), false);
    screen.draw(|frame| frame.render_widget(text, frame.area())).unwrap();
    let buffer = screen.backend().buffer();
    let rows = buffer.content.chunks(usize::from(buffer.area.width));
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned() + "\n").collect()
}

#[test]
fn the_lists_fit_80_by_24() {
    assert_eq!(screen(&busy(80, 24)), include_str!("golden/lists.txt"));
}

#[test]
fn an_incident_fits_80_by_24() {
    assert_eq!(screen(&looked_at(80, 24).0), include_str!("golden/incident.txt"));
}

#[test]
fn on_a_short_screen_the_list_in_use_is_shown_alone() {
    let mut model = busy(80, 10);
    assert!(screen(&model).contains("http://es-1:9200") && !screen(&model).contains("NODES"));
    press(&mut model, Key::NextPane);
    press(&mut model, Key::NextPane);
    let shown = screen(&model);
    assert!(shown.contains("NODES") && shown.contains("es-2") && !shown.contains("PLANS"), "{shown}");
}

#[test]
fn from_an_incident_to_its_plan_and_back() {
    let (mut model, _) = looked_at(80, 40);
    let plan = fetched(plan());
    assert_eq!(press(&mut model, Key::Char('p')), Some(Effect::Watch(Subject::Plan(plan.id()))));
    tell(&mut model, &plan);
    assert!(screen(&model).contains("Approve this plan"));
    assert_eq!(press(&mut model, Key::Char('n')), Some(Effect::Unwatch));
    assert!(screen(&model).contains("incident 12 is open"));
    press(&mut model, Key::Char('q'));
    assert!(screen(&model).contains("INCIDENTS"));
}

#[test]
fn an_incident_is_ended_with_words_only() {
    let (mut model, incident) = looked_at(80, 40);
    press(&mut model, Key::Char('e'));
    assert_eq!(press(&mut model, Key::Enter), None);
    assert!(screen(&model).contains("say why"));
    // Letters that mean something elsewhere are words here.
    for c in "quite so!".chars() {
        assert_eq!(press(&mut model, Key::Char(c)), None);
    }
    press(&mut model, Key::Erase);
    assert!(screen(&model).contains("End it because: quite so_"));
    assert_eq!(press(&mut model, Key::Enter), Some(Effect::End(incident.id, "quite so".to_owned())));
    update(&mut model, Event::Told("incident 12 was not ended: nothing answers".to_owned()));
    assert!(screen(&model).contains("nothing answers"));
    press(&mut model, Key::Char('e'));
    press(&mut model, Key::Back);
    assert!(screen(&model).contains("incident 12 is open") && !screen(&model).contains("End it because"));
}

#[test]
fn an_incident_that_is_looked_at_is_kept_up_with_the_list() {
    let (mut model, mut incident) = looked_at(80, 40);
    assert_eq!(press(&mut model, Key::Char('l')), Some(Effect::Look("http://es-1:9200".to_owned())));
    let board = |incident: &Incident| Event::Board(vec![incident.clone()], Vec::new(), Vec::new());
    assert_eq!(update(&mut model, board(&incident)), None);
    incident.closed = Some(Closing { at: NOW, who: "controller".to_owned(), because: "it answers again".to_owned() });
    assert_eq!(update(&mut model, board(&incident)), Some(Effect::Fetch(incident.id)));
    tell_incident(&mut model, &incident);
    let shown = screen(&model);
    assert!(shown.contains("✓ incident 12 ended just now after 3 min") && shown.contains("carol"), "{shown}");
    // Nothing is left to be done about it.
    assert!(!shown.contains("e end it") && press(&mut model, Key::Char('l')).is_none());
}

#[test]
fn a_plan_is_asked_for_as_approve_asks() {
    let (model, _) = opened(80, 24);
    assert_eq!(screen(&model), include_str!("golden/asking.txt"));
}

#[test]
fn every_size_is_filled_and_no_larger() {
    for (width, height) in [(40, 4), (40, 10), (40, 15), (80, 24), (132, 43), (200, 60)] {
        let models = [console(width, height), busy(width, height), opened(width, height).0, looked_at(width, height).0];
        for model in models {
            let page = view(&model);
            assert_eq!(page.len(), height, "{width}x{height}");
            let text = page.to_text();
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}x{height}\n{text}");
        }
    }
}

#[test]
fn nothing_hostile_reaches_the_screen() {
    let shown = screen(&busy(120, 24));
    assert!(shown.contains("failed\\u{1b}[2J") && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn y_signs_the_bytes_on_the_screen_and_only_once() {
    let (mut model, plan) = opened(80, 40);
    assert_eq!(press(&mut model, Key::Enter), None);
    assert_eq!(press(&mut model, Key::Char('Y')), None);
    assert_eq!(press(&mut model, Key::Char('y')), Some(Effect::Sign(Sent::Plan(Box::new(plan.clone())))));
    assert_eq!(press(&mut model, Key::Char('y')), None);
    update(&mut model, Event::Signed(Subject::Plan(plan.id()), Err("not permitted".to_owned())));
    assert!(screen(&model).contains("your approval was not taken: not permitted"));
    assert!(press(&mut model, Key::Char('y')).is_some());
}

#[test]
fn what_was_not_read_is_not_signed() {
    let (mut model, _) = opened(80, 20);
    assert_eq!(press(&mut model, Key::Char('y')), None);
    assert!(screen(&model).contains("there is more below"));
    press(&mut model, Key::Char(' '));
    assert!(matches!(press(&mut model, Key::Char('y')), Some(Effect::Sign(_))));
}

#[test]
fn before_the_plan_is_there_y_means_nothing() {
    let mut model = busy(80, 40);
    press(&mut model, Key::NextPane);
    press(&mut model, Key::Enter);
    assert_eq!(press(&mut model, Key::Char('y')), None);
    // Nor where it is another's, or cannot be had.
    let other = fetched(Plan { risk: "another".to_owned(), ..plan() });
    tell(&mut model, &other);
    assert_eq!(press(&mut model, Key::Char('y')), None);
    update(&mut model, Event::Sent(Subject::Plan(fetched(plan()).id()), Err("the bytes of another plan".to_owned())));
    assert_eq!(press(&mut model, Key::Char('y')), None);
    assert!(screen(&model).contains("the bytes of another plan"));
}

#[test]
fn without_a_key_the_console_shows_and_does_not_sign() {
    let (mut model, _) = opened(80, 40);
    model.key = Err("there is no approval.key".to_owned());
    assert!(screen(&model).contains("cannot approve: there is no approval.key"));
    assert_eq!(press(&mut model, Key::Char('y')), None);
}

#[test]
fn n_sends_nothing_and_goes_back() {
    let (mut model, _) = opened(80, 24);
    assert_eq!(press(&mut model, Key::Char('n')), Some(Effect::Unwatch));
    let shown = screen(&model);
    assert!(shown.contains("not approved; nothing was sent") && shown.contains("PLANS"), "{shown}");
}

#[test]
fn details_hold_the_exact_bytes() {
    let (mut model, plan) = opened(80, 80);
    press(&mut model, Key::Char('d'));
    assert!(screen(&model).contains(plan.bytes.digest().as_str()));
    press(&mut model, Key::Char('d'));
    assert!(!screen(&model).contains("SHA-256"));
}

#[test]
fn a_plan_is_followed_to_its_end() {
    let (mut model, mut plan) = opened(80, 40);
    let signer = key();
    let approval = signer.approve(&plan.bytes).unwrap();
    plan.record.approvals.push(Approved { operator: "alice".to_owned(), at: NOW, approval });
    for (stage, who) in [(PlanStage::Approved, "operator alice"), (PlanStage::Applied, "node es-1")] {
        plan.record.stage = stage;
        plan.record.history.push(transition(stage, NOW, who, None));
        tell(&mut model, &plan);
    }
    let shown = screen(&model);
    assert!(shown.contains("live, on trial — node es-1") && !shown.contains("Approve this plan"), "{shown}");
    plan.record.stage = PlanStage::Verified;
    plan.record.history.push(transition(PlanStage::Verified, NOW, "controller", Some("it answers")));
    tell(&mut model, &plan);
    let shown = screen(&model);
    assert!(shown.contains("✓ verified — Set vm.max_map_count"), "{shown}");
    // The connection going away afterwards takes nothing away.
    update(&mut model, Event::Sent(Subject::Plan(plan.id()), Err("the connection broke".to_owned())));
    assert!(screen(&model).contains("✓ verified") && screen(&model).contains("the connection broke"));
    // Nor is it said any more once it is back.
    tell(&mut model, &plan);
    assert!(!screen(&model).contains("the connection broke"));
}

#[test]
fn the_same_row_stays_marked_when_the_list_changes() {
    let mut model = busy(80, 24);
    press(&mut model, Key::NextPane);
    press(&mut model, Key::NextPane);
    press(&mut model, Key::Down);
    update(&mut model, Event::Nodes(vec![node("es-0", "active"), node("es-1", "active"), node("es-2", "active")]));
    assert_eq!(model.nodes[model.marked[2]].summary.name.as_str(), "es-2");
    update(&mut model, Event::Nodes(vec![node("es-0", "active")]));
    assert_eq!(model.marked[2], 0);
    update(&mut model, Event::Nodes(Vec::new()));
    assert_eq!(press(&mut model, Key::Down), None);
}

#[test]
fn a_controller_that_is_gone_is_said_with_the_age_of_what_is_shown() {
    let mut model = busy(100, 24);
    update(&mut model, Event::Tick(NOW.plus_millis(30_000)));
    update(&mut model, Event::Lost("controller controller.example:7443: the connection broke".to_owned()));
    let shown = screen(&model);
    assert!(shown.contains("NO CONTACT; as of 30 s ago") && shown.contains("\nthe connection broke\n"), "{shown}");
    update(&mut model, Event::Board(Vec::new(), Vec::new(), Vec::new()));
    assert_eq!(model.heard, Heard::Well(NOW.plus_millis(30_000)));
}

#[test]
fn it_is_left_by_q_on_the_lists_and_by_ctrl_c_anywhere() {
    let mut model = busy(80, 24);
    assert_eq!(press(&mut model, Key::Char('q')), Some(Effect::Quit));
    let (mut model, _) = opened(80, 24);
    assert_eq!(press(&mut model, Key::Interrupt), Some(Effect::Quit));
}
