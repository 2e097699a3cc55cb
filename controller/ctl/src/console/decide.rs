//! Keys on an open plan or rollout: reading it to its end, saying yes or no to it.

use super::model::{Effect, Key, Model, No, Sent, Subject};
use super::update::{SAY_WHY, Typed, open, typed};
use super::view::{open_page, room};

pub(super) fn pressed_on_open(model: &mut Model, key: Key) -> Option<Effect> {
    if model.open.as_ref()?.words.is_some() {
        return pressed_in_words(model, key);
    }
    match key {
        Key::Char('y') => return approve(model),
        Key::Char('n' | 'q') | Key::Back | Key::Erase => {
            if asks(model).is_some() {
                model.notice = Some("not approved; nothing was sent".to_owned());
            }
            model.open = None;
            return Some(Effect::Unwatch);
        }
        Key::Char('r') => return rollout_of(model).map(|subject| open(model, subject)),
        _ => {}
    }
    let no = no(model);
    let page = room(model);
    let last = open_page(model).map_or(0, |page| page.len()).saturating_sub(page);
    let open = model.open.as_mut()?;
    match key {
        Key::Char('d') => {
            open.details = !open.details;
            open.scroll = 0;
        }
        Key::Char('x') if no.is_some() => open.words = Some(String::new()),
        Key::Up | Key::Char('k') => open.scroll = open.scroll.saturating_sub(1),
        Key::Down | Key::Char('j') => open.scroll = (open.scroll + 1).min(last),
        Key::PageUp => open.scroll = open.scroll.saturating_sub(page),
        Key::PageDown | Key::Char(' ') => open.scroll = (open.scroll + page).min(last),
        Key::NextPane | Key::Enter | Key::Back | Key::Erase | Key::Char(_) | Key::Interrupt => {}
    }
    None
}

/// What is open, as far as it was sent.
fn sent(model: &Model) -> Option<&Sent> {
    model.open.as_ref()?.sent.as_ref()?.as_ref().ok()
}

/// What is open, if it waits for an approval that this console can give.
pub(super) fn asks(model: &Model) -> Option<&Sent> {
    let key = model.key.as_ref().ok()?;
    let is_sending = model.open.as_ref()?.sending;
    sent(model).filter(|sent| sent.lacks(key) && !is_sending)
}

/// Whether this console's person has approved what is open, which waits for others.
pub(super) fn waits_for_others(model: &Model) -> bool {
    let mine = |sent: &&Sent| model.key.as_ref().is_ok_and(|key| !sent.lacks(key));
    sent(model).filter(|sent| sent.waits()).is_some_and(|sent| mine(&sent))
}

/// What a no to what is open would do.
pub(super) fn no(model: &Model) -> Option<No> {
    sent(model)?.no()
}

/// The rollout that brings to the nodes what the open plan had merged.
pub(super) fn rollout_of(model: &Model) -> Option<Subject> {
    match sent(model)? {
        Sent::Plan(plan) => plan.record.follow_up.clone().map(Subject::Rollout),
        Sent::Rollout(_) => None,
    }
}

/// Lines of what is open that were not on the screen yet.
pub(super) fn unread(model: &Model) -> usize {
    let lines = open_page(model).map_or(0, |page| page.len());
    model.open.as_ref().map_or(0, |open| lines.saturating_sub(open.seen))
}

/// Signs what is on the screen, once all of it was.
fn approve(model: &mut Model) -> Option<Effect> {
    if let Err(why) = &model.key {
        model.notice = Some(format!("nothing to sign with: {why}"));
        return None;
    }
    let sent = asks(model)?.clone();
    if unread(model) > 0 {
        model.notice = Some("there is more below: read it first (space)".to_owned());
        return None;
    }
    let open = model.open.as_mut()?;
    // What comes of it is told at the top.
    (open.sending, open.scroll) = (true, 0);
    Some(Effect::Sign(sent))
}

fn pressed_in_words(model: &mut Model, key: Key) -> Option<Effect> {
    let open = model.open.as_mut()?;
    match typed(&mut open.words, key) {
        Typed::On => None,
        Typed::Nothing => {
            model.notice = Some(SAY_WHY.to_owned());
            None
        }
        Typed::Done(words) => Some(Effect::Reject(open.subject.clone(), words)),
    }
}

/// Notes what is on the screen now.
pub(super) fn see(model: &mut Model) {
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
