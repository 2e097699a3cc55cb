//! Refused calls and connections, for the audit log: the first at once, and what repeats within a minute as one more entry with
//! their number, so that nobody can fill the log by knocking.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common_model::Timestamp;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::warn;

use super::Note;
use crate::clock::now;
use crate::core::Core;

/// Refusals that wait to be written; more are counted with the others.
const WAITING: usize = 256;
/// What repeats within this time is counted.
const WINDOW_MS: i64 = 60_000;
/// Different ones that are told apart within that time.
const MAX_KINDS: usize = 500;
const TICK: Duration = Duration::from_secs(5);

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Refusal {
    /// Whom: `operator bob`, `nobody`; and from where.
    pub(crate) who: String,
    pub(crate) from: String,
    /// What they wanted, and why they did not get it.
    pub(crate) what: String,
}

/// Where refusals are told.
#[derive(Debug, Clone)]
pub(crate) struct Refusals(Sender<Refusal>);

impl Refusals {
    /// With the end that [`keep`] takes.
    pub(crate) fn new() -> (Self, Receiver<Refusal>) {
        let (told, heard) = mpsc::channel(WAITING);
        (Self(told), heard)
    }

    /// Tells one. Never waits: whoever is refused has no claim to our time.
    pub(crate) fn tell(&self, refusal: Refusal) {
        if let Err(error) = self.0.try_send(refusal) {
            let (mpsc::error::TrySendError::Full(lost) | mpsc::error::TrySendError::Closed(lost)) = error;
            warn!(
                who = lost.who,
                from = lost.from,
                what = lost.what,
                "refused; too many are, so this is not in the audit log"
            );
        }
    }
}

/// Writes refusals into the audit log until the controller stops.
pub(crate) async fn keep(core: Arc<Core>, mut heard: Receiver<Refusal>) {
    let mut tally = Tally::default();
    loop {
        let notes = tokio::select! {
            Some(refusal) = heard.recv() => tally.take(refusal, now()).into_iter().collect(),
            () = tokio::time::sleep(TICK) => tally.over(now()),
            () = core.stopping.cancelled() => return,
        };
        for Note { actor, event, detail, .. } in notes {
            core.note(actor, event, detail).await;
        }
    }
}

/// What was refused within the last minute, and how often again.
#[derive(Default)]
struct Tally(BTreeMap<Refusal, (Timestamp, u64)>);

impl Tally {
    /// Counts one; an entry if it is the first of its kind.
    fn take(&mut self, refusal: Refusal, now: Timestamp) -> Option<Note> {
        if let Some((_, more)) = self.0.get_mut(&refusal) {
            *more += 1;
            return None;
        }
        if self.0.len() >= MAX_KINDS {
            let others =
                Refusal { who: "others".to_owned(), from: "many places".to_owned(), what: "many things".to_owned() };
            self.0.entry(others).or_insert((now, 0)).1 += 1;
            return None;
        }
        let first = note(&refusal, None);
        self.0.insert(refusal, (now, 0));
        Some(first)
    }

    /// Forgets what is over; an entry for each that was repeated.
    fn over(&mut self, now: Timestamp) -> Vec<Note> {
        let mut notes = Vec::new();
        self.0.retain(|refusal, (since, more)| {
            let is_over = now.millis_since(*since) >= WINDOW_MS;
            if is_over && *more > 0 {
                notes.push(note(refusal, Some(*more)));
            }
            !is_over
        });
        notes
    }
}

fn note(refusal: &Refusal, again: Option<u64>) -> Note {
    let Refusal { who, from, what } = refusal;
    let times = again.map(|times| format!("{times} more times within a minute: ")).unwrap_or_default();
    Note { actor: who.clone(), event: "refused", plan: None, detail: format!("{times}{what}, from {from}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(n: usize) -> Refusal {
        Refusal { who: "operator bob".to_owned(), from: format!("10.0.0.{n}"), what: "Approve".to_owned() }
    }

    #[test]
    fn what_repeats_is_one_entry_more() {
        let mut tally = Tally::default();
        assert_eq!(tally.take(refusal(1), Timestamp(0)).unwrap().detail, "Approve, from 10.0.0.1");
        for _ in 0..1000 {
            assert!(tally.take(refusal(1), Timestamp(10)).is_none());
        }
        assert!(tally.over(Timestamp(59_999)).is_empty());
        let told = tally.over(Timestamp(60_000));
        assert_eq!(told.len(), 1);
        assert!(told[0].detail.starts_with("1000 more times within a minute: Approve"), "{told:?}");
        assert!(tally.over(Timestamp(200_000)).is_empty());
        assert!(tally.take(refusal(1), Timestamp(200_000)).is_some());
    }

    #[test]
    fn many_different_ones_fill_neither_log_nor_memory() {
        let mut tally = Tally::default();
        let told = (0..10_000).filter_map(|n| tally.take(refusal(n), Timestamp(0))).count();
        assert_eq!((told, tally.0.len()), (MAX_KINDS, MAX_KINDS + 1));
        let rest = tally.over(Timestamp(60_000));
        assert_eq!(rest.len(), 1);
        assert!(rest[0].detail.starts_with("9500 more times"), "{rest:?}");
    }
}
