//! What an event makes of the console.

use common_model::{Change, Incident, IncidentId};
use common_plan::{PlanId, Record, Stage};

use super::model::{Effect, Event, Heard, Key, Model, Open, OpenIncident, Pane};
use super::view::{cluster, incident_page, open_page, room};
use crate::commands::inventory::report;
use crate::plan::Fetched;
use crate::report::NodeReport;

/// Takes an event in; gives what is to be done about it.
pub(super) fn update(model: &mut Model, event: Event) -> Option<Effect> {
    match event {
        Event::Key(key) => return pressed(model, key),
        Event::Resized(width, height) => {
            model.terminal.width = width;
            model.height = height;
        }
        Event::Tick(now) => model.terminal.now = now,
        Event::Board(incidents, mut plans) => {
            heard(model);
            plans.sort_by_key(|record| (rank(record), -record.made_at.0));
            let id = |incident: &Incident| incident.id;
            keep_mark(&mut model.marked[Pane::Incidents as usize], &model.incidents, &incidents, id);
            keep_mark(&mut model.marked[Pane::Plans as usize], &model.plans, &plans, |record| record.id.clone());
            (model.incidents, model.plans) = (incidents, plans);
            // What is looked at is to be as new as what is listed.
            return changed_incident(model).map(Effect::Fetch);
        }
        Event::Incident(id, report) => {
            if let Some(open) = model.incident.as_mut().filter(|open| open.id == id) {
                match (&open.report, report) {
                    (Some(Ok(_)), Err(why)) => model.notice = Some(why),
                    (_, report) => open.report = Some(report),
                }
            }
        }
        Event::Told(words) => model.notice = Some(words),
        Event::Nodes(nodes) => {
            heard(model);
            let mut nodes =
                nodes.into_iter().map(|summary| report(summary, &model.reached, Vec::new())).collect::<Vec<_>>();
            // The nodes of a cluster stand together.
            nodes.sort_by(|a, b| cluster(a).cmp(cluster(b)));
            let name = |node: &NodeReport| node.summary.name.clone();
            keep_mark(&mut model.marked[Pane::Nodes as usize], &model.nodes, &nodes, name);
            model.nodes = nodes;
        }
        Event::Reached(reached) => {
            let nodes = std::mem::take(&mut model.nodes);
            model.nodes = nodes.into_iter().map(|node| report(node.summary, &reached, Vec::new())).collect();
            model.reached = reached;
        }
        Event::Changes(changes) => {
            heard(model);
            let id = |change: &Change| (change.node.clone(), change.id.clone());
            keep_mark(&mut model.marked[Pane::Changes as usize], &model.changes, &changes, id);
            model.changes = changes;
        }
        Event::Lost(why) => {
            let last = match model.heard {
                Heard::Well(at) | Heard::Not(Some(at), _) => Some(at),
                Heard::Never | Heard::Not(None, _) => None,
            };
            model.heard = Heard::Not(last, why);
        }
        Event::Plan(id, plan) => {
            if let Some(open) = model.open.as_mut().filter(|open| open.id == id) {
                // A plan that was read stays, whatever happens to the connection.
                match (&open.plan, plan) {
                    (Some(Ok(_)), Err(why)) => model.notice = Some(why),
                    (_, plan) => open.plan = Some(plan),
                }
            }
        }
        Event::Signed(id, result) => {
            if let Some(open) = model.open.as_mut().filter(|open| open.id == id) {
                open.sending = false;
            }
            model.notice = Some(match result {
                Ok(()) => format!("your approval of {id} was taken"),
                Err(why) => format!("{id} was not approved: {why}"),
            });
        }
    }
    see(model);
    None
}

fn heard(model: &mut Model) {
    model.heard = Heard::Well(model.terminal.now);
}

/// Those that wait for people come first.
fn rank(record: &Record) -> u8 {
    match record.stage {
        Stage::Proposed => 0,
        _ if !record.is_over() => 1,
        _ => 2,
    }
}

/// Keeps the same thing marked where its list has changed.
fn keep_mark<T, N: PartialEq>(mark: &mut usize, old: &[T], new: &[T], name: impl Fn(&T) -> N) {
    let marked = old.get(*mark).map(&name);
    let found = marked.and_then(|marked| new.iter().position(|item| name(item) == marked));
    *mark = found.unwrap_or(*mark).min(new.len().saturating_sub(1));
}

fn pressed(model: &mut Model, key: Key) -> Option<Effect> {
    model.notice = None;
    let effect = match key {
        Key::Interrupt => Some(Effect::Quit),
        key if model.open.is_some() => pressed_on_plan(model, key),
        key if model.incident.is_some() => pressed_on_incident(model, key),
        key => pressed_on_lists(model, key),
    };
    see(model);
    effect
}

fn pressed_on_lists(model: &mut Model, key: Key) -> Option<Effect> {
    let pane = model.focus as usize;
    let length = lengths(model)[pane];
    let mark = &mut model.marked[pane];
    match key {
        Key::Up | Key::Char('k') => *mark = mark.saturating_sub(1),
        Key::Down | Key::Char('j') => *mark = (*mark + 1).min(length.saturating_sub(1)),
        Key::PageUp => *mark = mark.saturating_sub(10),
        Key::PageDown | Key::Char(' ') => *mark = (*mark + 10).min(length.saturating_sub(1)),
        Key::NextPane => model.focus = Pane::ALL[(pane + 1) % Pane::ALL.len()],
        Key::Enter if model.focus == Pane::Incidents => {
            let id = model.incidents.get(*mark)?.id;
            model.incident = Some(OpenIncident { id, report: None, scroll: 0, words: None });
            return Some(Effect::Fetch(id));
        }
        Key::Enter if model.focus == Pane::Plans => {
            let id = model.plans.get(*mark)?.id.clone();
            return Some(open_plan(model, id));
        }
        Key::Char('q') => return Some(Effect::Quit),
        Key::Enter | Key::Back | Key::Erase | Key::Char(_) | Key::Interrupt => {}
    }
    None
}

/// How many rows each list has.
pub(super) fn lengths(model: &Model) -> [usize; Pane::ALL.len()] {
    [model.incidents.len(), model.plans.len(), model.nodes.len(), model.changes.len()]
}

fn open_plan(model: &mut Model, id: PlanId) -> Effect {
    model.open = Some(Open { id: id.clone(), plan: None, details: false, scroll: 0, seen: 0, sending: false });
    Effect::Watch(id)
}

/// The incident that is looked at, if the list has a newer one than is shown.
fn changed_incident(model: &Model) -> Option<IncidentId> {
    let open = model.incident.as_ref()?;
    let listed = model.incidents.iter().find(|incident| incident.id == open.id)?;
    match &open.report {
        Some(Ok(report)) if report.incident == *listed => None,
        _ => Some(open.id),
    }
}

/// The plan made for the incident that is looked at which waits for approval, or else is under way.
pub(super) fn plan_of_incident(model: &Model) -> Option<PlanId> {
    let report = model.incident.as_ref()?.report.as_ref()?.as_ref().ok()?;
    let ours = |record: &&Record| report.incident.plans.iter().any(|plan| plan.id == record.id.as_str());
    let found = model.plans.iter().filter(ours).find(|record| !record.stage.is_final());
    found.map(|record| record.id.clone())
}

fn pressed_on_incident(model: &mut Model, key: Key) -> Option<Effect> {
    if model.incident.as_ref()?.words.is_some() {
        return pressed_in_words(model, key);
    }
    let page = room(model);
    let last = incident_page(model).map_or(0, |page| page.len()).saturating_sub(page);
    let plan = plan_of_incident(model);
    let open = model.incident.as_mut()?;
    let report = open.report.as_ref().and_then(|report| report.as_ref().ok());
    let is_open = report.is_some_and(|report| report.incident.is_open());
    match key {
        Key::Char('q' | 'n') | Key::Back | Key::Erase => model.incident = None,
        Key::Enter | Key::Char('p') => return plan.map(|id| open_plan(model, id)),
        Key::Char('l') if is_open => return report.map(|report| Effect::Look(report.incident.endpoint.clone())),
        Key::Char('e') if is_open => open.words = Some(String::new()),
        Key::Up | Key::Char('k') => open.scroll = open.scroll.saturating_sub(1),
        Key::Down | Key::Char('j') => open.scroll = (open.scroll + 1).min(last),
        Key::PageUp => open.scroll = open.scroll.saturating_sub(page),
        Key::PageDown | Key::Char(' ') => open.scroll = (open.scroll + page).min(last),
        Key::NextPane | Key::Char(_) | Key::Interrupt => {}
    }
    None
}

/// Characters of the words an incident is ended with.
const MAX_WORDS: usize = 200;

fn pressed_in_words(model: &mut Model, key: Key) -> Option<Effect> {
    let open = model.incident.as_mut()?;
    let id = open.id;
    let words = open.words.as_mut()?;
    match key {
        Key::Char(c) if words.chars().count() < MAX_WORDS => words.push(c),
        Key::Erase => drop(words.pop()),
        Key::Back => open.words = None,
        Key::Enter if words.trim().is_empty() => model.notice = Some("say why, for the others".to_owned()),
        Key::Enter => {
            let words = open.words.take()?;
            model.notice = Some("the controller looks whether it answers".to_owned());
            return Some(Effect::End(id, words));
        }
        Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::NextPane | Key::Char(_) | Key::Interrupt => {}
    }
    None
}

fn pressed_on_plan(model: &mut Model, key: Key) -> Option<Effect> {
    match key {
        Key::Char('y') => return approve(model),
        Key::Char('n' | 'q') | Key::Back | Key::Erase => {
            if asks(model).is_some() {
                model.notice = Some("not approved; nothing was sent".to_owned());
            }
            model.open = None;
            return Some(Effect::Unwatch);
        }
        _ => {}
    }
    let page = room(model);
    let last = open_page(model).map_or(0, |page| page.len()).saturating_sub(page);
    let open = model.open.as_mut()?;
    match key {
        Key::Char('d') => {
            open.details = !open.details;
            open.scroll = 0;
        }
        Key::Up | Key::Char('k') => open.scroll = open.scroll.saturating_sub(1),
        Key::Down | Key::Char('j') => open.scroll = (open.scroll + 1).min(last),
        Key::PageUp => open.scroll = open.scroll.saturating_sub(page),
        Key::PageDown | Key::Char(' ') => open.scroll = (open.scroll + page).min(last),
        Key::NextPane | Key::Enter | Key::Back | Key::Erase | Key::Char(_) | Key::Interrupt => {}
    }
    None
}

/// The plan that is open, if it waits for an approval that this console can give.
pub(super) fn asks(model: &Model) -> Option<&Fetched> {
    let open = model.open.as_ref()?;
    let plan = open.plan.as_ref()?.as_ref().ok()?;
    let key = model.key.as_ref().ok()?;
    let mine = plan.valid_approvals().any(|approved| approved.approval.key == *key);
    (plan.record.stage == Stage::Proposed && !mine && !open.sending).then_some(plan)
}

/// Signs what is on the screen, once all of it was.
fn approve(model: &mut Model) -> Option<Effect> {
    if let Err(why) = &model.key {
        model.notice = Some(format!("nothing to sign with: {why}"));
        return None;
    }
    let plan = Box::new(asks(model)?.clone());
    let lines = open_page(model)?.len();
    let open = model.open.as_mut()?;
    if open.seen < lines {
        model.notice = Some("there is more below: read it first (space)".to_owned());
        return None;
    }
    open.sending = true;
    Some(Effect::Sign(plan))
}

/// Notes what is on the screen now.
fn see(model: &mut Model) {
    let shown = room(model);
    let Some(page) = open_page(model) else { return };
    if let Some(open) = &mut model.open {
        open.scroll = open.scroll.min(page.len().saturating_sub(shown));
        // Only what follows on what was seen is seen: nothing is skipped by jumping.
        if open.scroll <= open.seen {
            open.seen = open.seen.max(open.scroll + shown);
        }
    }
}
