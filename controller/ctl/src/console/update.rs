//! What an event makes of the console.

use common_plan::{Record, Stage};

use super::model::{Effect, Event, Heard, Key, Model, Open, Pane};
use super::view::{open_page, room};
use crate::commands::inventory::report;
use crate::plan::Fetched;

/// Takes an event in; gives what is to be done about it.
pub(super) fn update(model: &mut Model, event: Event) -> Option<Effect> {
    match event {
        Event::Key(key) => return pressed(model, key),
        Event::Resized(width, height) => {
            model.terminal.width = width;
            model.height = height;
        }
        Event::Tick(now) => model.terminal.now = now,
        Event::Plans(mut plans) => {
            heard(model);
            plans.sort_by_key(|record| (rank(record), -record.made_at.0));
            keep_mark(&mut model.marked[0], &model.plans, &plans, |record| record.id.as_str());
            model.plans = plans;
        }
        Event::Nodes(nodes) => {
            heard(model);
            let nodes =
                nodes.into_iter().map(|summary| report(summary, &model.reached, Vec::new())).collect::<Vec<_>>();
            keep_mark(&mut model.marked[1], &model.nodes, &nodes, |node| node.summary.name.as_str());
            model.nodes = nodes;
        }
        Event::Reached(reached) => {
            let nodes = std::mem::take(&mut model.nodes);
            model.nodes = nodes.into_iter().map(|node| report(node.summary, &reached, Vec::new())).collect();
            model.reached = reached;
        }
        Event::Changes(changes) => {
            heard(model);
            keep_mark(&mut model.marked[2], &model.changes, &changes, |change| change.id.as_str());
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
        stage if !stage.is_final() => 1,
        _ => 2,
    }
}

/// Keeps the same thing marked where its list has changed.
fn keep_mark<T>(mark: &mut usize, old: &[T], new: &[T], name: impl Fn(&T) -> &str) {
    let marked = old.get(*mark).map(&name);
    let found = marked.and_then(|marked| new.iter().position(|item| name(item) == marked));
    *mark = found.unwrap_or(*mark).min(new.len().saturating_sub(1));
}

fn pressed(model: &mut Model, key: Key) -> Option<Effect> {
    model.notice = None;
    let effect = match key {
        Key::Interrupt => Some(Effect::Quit),
        key if model.open.is_some() => pressed_on_plan(model, key),
        key => pressed_on_lists(model, key),
    };
    see(model);
    effect
}

fn pressed_on_lists(model: &mut Model, key: Key) -> Option<Effect> {
    let pane = model.focus as usize;
    let length = [model.plans.len(), model.nodes.len(), model.changes.len()][pane];
    let mark = &mut model.marked[pane];
    match key {
        Key::Up | Key::Char('k') => *mark = mark.saturating_sub(1),
        Key::Down | Key::Char('j') => *mark = (*mark + 1).min(length.saturating_sub(1)),
        Key::PageUp => *mark = mark.saturating_sub(10),
        Key::PageDown | Key::Char(' ') => *mark = (*mark + 10).min(length.saturating_sub(1)),
        Key::NextPane => model.focus = Pane::ALL[(pane + 1) % Pane::ALL.len()],
        Key::Enter if model.focus == Pane::Plans => {
            let id = model.plans.get(*mark)?.id.clone();
            model.open = Some(Open { id: id.clone(), plan: None, details: false, scroll: 0, seen: 0, sending: false });
            return Some(Effect::Watch(id));
        }
        Key::Char('q') => return Some(Effect::Quit),
        Key::Enter | Key::Back | Key::Char(_) | Key::Interrupt => {}
    }
    None
}

fn pressed_on_plan(model: &mut Model, key: Key) -> Option<Effect> {
    match key {
        Key::Char('y') => return approve(model),
        Key::Char('n' | 'q') | Key::Back => {
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
        Key::NextPane | Key::Enter | Key::Back | Key::Char(_) | Key::Interrupt => {}
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
