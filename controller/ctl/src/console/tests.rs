//! The console without a terminal: events in, screens out.

use common_model::change::Topic;
use common_model::inventory::{EngineSummary, NodeSummary};
use common_model::probe::Product;
use common_model::{Change, Timestamp};
use common_plan::{ApprovalKey, Approved, Plan, Stage};
use ratatui::Terminal as Screen;
use ratatui::backend::TestBackend;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;

use super::model::{Effect, Event, Heard, Key, Model};
use super::run::shown;
use super::update::update;
use super::view::view;
use crate::plan::Fetched;
use crate::plan::tests::{NOW, fetched, plan, transition};
use crate::terminal::tests::terminal;

fn key() -> ApprovalKey {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    ApprovalKey::from_pkcs8(document.as_ref()).unwrap()
}

fn console(width: usize, height: usize) -> Model {
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

/// A console that has heard of a proposed and an ended plan, two nodes and two changes.
fn busy(width: usize, height: usize) -> Model {
    let mut model = console(width, height);
    let mut ended = fetched(Plan { made_at: NOW.plus_millis(-7_200_000), ..plan() }).record;
    ended.stage = Stage::Verified;
    for event in [
        Event::Plans(vec![ended, fetched(plan()).record]),
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

/// With the proposed plan open and sent.
fn opened(width: usize, height: usize) -> (Model, Fetched) {
    let mut model = busy(width, height);
    let plan = fetched(plan());
    assert_eq!(press(&mut model, Key::Enter), Some(Effect::Watch(plan.id())));
    tell(&mut model, &plan);
    (model, plan)
}

fn press(model: &mut Model, key: Key) -> Option<Effect> {
    update(model, Event::Key(key))
}

fn tell(model: &mut Model, plan: &Fetched) {
    update(model, Event::Plan(plan.id(), Ok(Box::new(plan.clone()))));
}

/// What a terminal of this size shows, without colour.
fn screen(model: &Model) -> String {
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
fn a_plan_is_asked_for_as_approve_asks() {
    let (model, _) = opened(80, 24);
    assert_eq!(screen(&model), include_str!("golden/asking.txt"));
}

#[test]
fn every_size_is_filled_and_no_larger() {
    for (width, height) in [(40, 10), (80, 24), (132, 43), (200, 60)] {
        for model in [console(width, height), busy(width, height), opened(width, height).0] {
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
    assert_eq!(press(&mut model, Key::Char('y')), Some(Effect::Sign(Box::new(plan.clone()))));
    assert_eq!(press(&mut model, Key::Char('y')), None);
    update(&mut model, Event::Signed(plan.id(), Err("not permitted".to_owned())));
    assert!(screen(&model).contains("was not approved: not permitted"));
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
    press(&mut model, Key::Enter);
    assert_eq!(press(&mut model, Key::Char('y')), None);
    // Nor where it is another's, or cannot be had.
    let other = fetched(Plan { risk: "another".to_owned(), ..plan() });
    tell(&mut model, &other);
    assert_eq!(press(&mut model, Key::Char('y')), None);
    update(&mut model, Event::Plan(fetched(plan()).id(), Err("the bytes of another plan".to_owned())));
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
    for (stage, who) in [(Stage::Approved, "operator alice"), (Stage::Applied, "node es-1")] {
        plan.record.stage = stage;
        plan.record.history.push(transition(stage, NOW, who, None));
        tell(&mut model, &plan);
    }
    let shown = screen(&model);
    assert!(shown.contains("live, on trial — node es-1") && !shown.contains("Approve this plan"), "{shown}");
    plan.record.stage = Stage::Verified;
    plan.record.history.push(transition(Stage::Verified, NOW, "controller", Some("it answers")));
    tell(&mut model, &plan);
    let shown = screen(&model);
    assert!(shown.contains("✓ verified — Set vm.max_map_count"), "{shown}");
    // The connection going away afterwards takes nothing away.
    update(&mut model, Event::Plan(plan.id(), Err("the connection broke".to_owned())));
    assert!(screen(&model).contains("✓ verified"));
}

#[test]
fn the_same_row_stays_marked_when_the_list_changes() {
    let mut model = busy(80, 24);
    press(&mut model, Key::NextPane);
    press(&mut model, Key::Down);
    update(&mut model, Event::Nodes(vec![node("es-0", "active"), node("es-1", "active"), node("es-2", "active")]));
    assert_eq!(model.nodes[model.marked[1]].summary.name.as_str(), "es-2");
    update(&mut model, Event::Nodes(vec![node("es-0", "active")]));
    assert_eq!(model.marked[1], 0);
    update(&mut model, Event::Nodes(Vec::new()));
    assert_eq!(press(&mut model, Key::Down), None);
}

#[test]
fn a_controller_that_is_gone_is_said_with_the_age_of_what_is_shown() {
    let mut model = busy(100, 24);
    update(&mut model, Event::Tick(NOW.plus_millis(30_000)));
    update(&mut model, Event::Lost("the connection broke".to_owned()));
    assert!(screen(&model).contains("as of 30 s ago: the connection broke"));
    update(&mut model, Event::Plans(Vec::new()));
    assert_eq!(model.heard, Heard::Well(NOW.plus_millis(30_000)));
}

#[test]
fn it_is_left_by_q_on_the_lists_and_by_ctrl_c_anywhere() {
    let mut model = busy(80, 24);
    assert_eq!(press(&mut model, Key::Char('q')), Some(Effect::Quit));
    let (mut model, _) = opened(80, 24);
    assert_eq!(press(&mut model, Key::Interrupt), Some(Effect::Quit));
}
