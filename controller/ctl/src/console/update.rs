//! What an event makes of the console.

use common_model::{Change, Incident, IncidentId};
use common_plan::Record;
use common_plan::rollout::Rollout;

use super::decide::{pressed_on_open, see};
use super::lists::cluster;
use super::model::{Effect, Event, Heard, Key, Model, Open, OpenIncident, Pane, Sent, Subject, Work};
use super::view::{incident_page, room};
use crate::commands::inventory::report;
use crate::render;
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
        Event::Board(incidents, plans, rollouts) => {
            heard(model);
            let work = work(plans, rollouts);
            let id = |incident: &Incident| incident.id;
            keep_mark(&mut model.marked[Pane::Incidents as usize], &model.incidents, &incidents, id);
            keep_mark(&mut model.marked[Pane::Work as usize], &model.work, &work, Work::subject);
            (model.incidents, model.work) = (incidents, work);
            keep_plan(model);
            see(model);
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
        Event::Sent(subject, sent) => {
            if let Some(open) = model.open.as_mut().filter(|open| open.subject == subject) {
                // What was read stays, whatever happens to the connection.
                match (&open.sent, sent) {
                    (Some(Ok(_)), Err(why)) => open.trouble = Some(why),
                    (_, sent) => (open.sent, open.trouble) = (Some(sent), None),
                }
            }
        }
        Event::Signed(subject, result) => {
            if let Some(open) = model.open.as_mut().filter(|open| open.subject == subject) {
                open.sending = false;
            }
            model.notice = Some(match result {
                Ok(()) => format!("your approval of {subject} was taken"),
                Err(why) => format!("your approval was not taken: {why}"),
            });
        }
    }
    see(model);
    None
}

fn heard(model: &mut Model) {
    model.heard = Heard::Well(model.terminal.now);
}

/// What waits for people comes first, then what is under way.
fn work(plans: Vec<Record>, rollouts: Vec<Rollout>) -> Vec<Work> {
    let whole = rollouts.into_iter().map(|rollout| {
        let of = render::rollout::of(&rollout, &plans);
        Work::Rollout(Box::new(rollout), of)
    });
    let mut work: Vec<Work> = whole.collect();
    let alone = plans.into_iter().filter(|record| record.rollout.is_none());
    work.extend(alone.map(|record| Work::Plan(Box::new(record))));
    work.sort_by_key(|work| (!work.waits(), work.has_ended(), -work.made_at().0));
    work
}

/// A plan that has ended is told no more, and something may still follow on it.
fn keep_plan(model: &mut Model) {
    let Some(Open { subject, sent: Some(Ok(Sent::Plan(plan))), .. }) = &mut model.open else { return };
    for work in &model.work {
        if let Work::Plan(record) = work
            && work.subject() == *subject
        {
            plan.take(record);
        }
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
        key if model.open.is_some() => pressed_on_open(model, key),
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
        Key::Enter if model.focus == Pane::Work => {
            let subject = model.work.get(*mark)?.subject();
            return Some(open(model, subject));
        }
        Key::Char('q') => return Some(Effect::Quit),
        Key::Enter | Key::Back | Key::Erase | Key::Char(_) | Key::Interrupt => {}
    }
    None
}

/// How many rows each list has.
pub(super) fn lengths(model: &Model) -> [usize; Pane::ALL.len()] {
    [model.incidents.len(), model.work.len(), model.nodes.len(), model.changes.len()]
}

pub(super) fn open(model: &mut Model, subject: Subject) -> Effect {
    model.open = Some(Open {
        subject: subject.clone(),
        sent: None,
        details: false,
        scroll: 0,
        seen: 0,
        sending: false,
        trouble: None,
        words: None,
    });
    Effect::Watch(subject)
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

/// What was made for the incident that is looked at and waits for approval, or else is under way: a plan, or the rollout that one
/// of its plans belongs to or is followed by.
pub(super) fn work_of_incident(model: &Model) -> Option<Subject> {
    let report = model.incident.as_ref()?.report.as_ref()?.as_ref().ok()?;
    let plans = &report.incident.plans;
    let ours = |work: &&Work| match work {
        Work::Plan(record) => plans.iter().any(|plan| plan.id == record.id.as_str()),
        Work::Rollout(rollout, _) => {
            let id = Some(rollout.id.as_str());
            plans.iter().any(|plan| plan.rollout.as_deref() == id || plan.follow_up.as_deref() == id)
        }
    };
    model.work.iter().filter(ours).find(|work| !work.has_ended()).map(Work::subject)
}

fn pressed_on_incident(model: &mut Model, key: Key) -> Option<Effect> {
    if model.incident.as_ref()?.words.is_some() {
        return pressed_in_words(model, key);
    }
    let page = room(model);
    let last = incident_page(model).map_or(0, |page| page.len()).saturating_sub(page);
    let work = work_of_incident(model);
    let looked_at = model.incident.as_mut()?;
    let report = looked_at.report.as_ref().and_then(|report| report.as_ref().ok());
    let is_open = report.is_some_and(|report| report.incident.is_open());
    match key {
        Key::Char('q' | 'n') | Key::Back | Key::Erase => model.incident = None,
        Key::Enter | Key::Char('p') => return work.map(|subject| open(model, subject)),
        Key::Char('l') if is_open => return report.map(|report| Effect::Look(report.incident.endpoint.clone())),
        Key::Char('e') if is_open => looked_at.words = Some(String::new()),
        Key::Up | Key::Char('k') => looked_at.scroll = looked_at.scroll.saturating_sub(1),
        Key::Down | Key::Char('j') => looked_at.scroll = (looked_at.scroll + 1).min(last),
        Key::PageUp => looked_at.scroll = looked_at.scroll.saturating_sub(page),
        Key::PageDown | Key::Char(' ') => looked_at.scroll = (looked_at.scroll + page).min(last),
        Key::NextPane | Key::Char(_) | Key::Interrupt => {}
    }
    None
}

fn pressed_in_words(model: &mut Model, key: Key) -> Option<Effect> {
    let looked_at = model.incident.as_mut()?;
    match typed(&mut looked_at.words, key) {
        Typed::On => {}
        Typed::Nothing => model.notice = Some(SAY_WHY.to_owned()),
        Typed::Done(words) => {
            model.notice = Some("the controller looks whether it answers".to_owned());
            return Some(Effect::End(looked_at.id, words));
        }
    }
    None
}

/// Asked for where somebody says no, or ends something, without a word.
pub(super) const SAY_WHY: &str = "say why, for the others";
/// Characters of the words.
const MAX_WORDS: usize = 200;

/// What a key made of words that are typed.
pub(super) enum Typed {
    /// They are typed on, or given up.
    On,
    /// There are none.
    Nothing,
    /// They are whole.
    Done(String),
}

/// Types words.
pub(super) fn typed(words: &mut Option<String>, key: Key) -> Typed {
    let Some(text) = words else { return Typed::On };
    match key {
        Key::Char(c) if text.chars().count() < MAX_WORDS => text.push(c),
        Key::Erase => drop(text.pop()),
        Key::Back => *words = None,
        Key::Enter if text.trim().is_empty() => return Typed::Nothing,
        Key::Enter => return words.take().map_or(Typed::Nothing, Typed::Done),
        Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::NextPane | Key::Char(_) | Key::Interrupt => {}
    }
    Typed::On
}
