//! Following the journal: every line that concerns the engines becomes an event, once.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use agent_sources::{Follower, JournalEntry, Start, recent};
use common_evidence::Source;
use common_evidence::collectors::journal::COLLECTOR;
use common_evidence::engine::EngineRef;
use common_model::text::printable_line;
use common_model::{Body, Class, Failure, NodeName};
use common_tls::files::write_atomic;
use proto::v1;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::jobs::Cause;
use crate::queue::Queue;
use crate::{clock, draft};

/// Lines appended at once, at most.
const BATCH_LINES: usize = 256;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// A follower that ended sooner could not use its cursor.
const WORKED: Duration = Duration::from_secs(5);

/// What the task needs from outside.
pub(crate) struct Wiring {
    pub(crate) node: NodeName,
    pub(crate) queue: Queue,
    pub(crate) engines: watch::Receiver<Vec<EngineRef>>,
    pub(crate) units: mpsc::Sender<Cause>,
    /// Where the place in the journal is kept.
    pub(crate) place_file: PathBuf,
}

/// How far the journal has been followed, as kept on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Place {
    /// Behind the last line that was appended.
    cursor: Option<String>,
    /// What was followed: groups of match arguments.
    groups: BTreeSet<String>,
}

/// Follows until it is dropped.
pub(crate) async fn run(wiring: Wiring) {
    let mut follow = Follow { place: load(&wiring.place_file).await, wiring, told: None };
    let mut retry = FIRST_RETRY;
    loop {
        let engines = follow.wiring.engines.borrow_and_update().clone();
        let begun = tokio::time::Instant::now();
        let failure = follow.lines(&engines).await;
        let Some(failure) = failure else { continue };
        follow.tell(failure).await;
        if begun.elapsed() < WORKED && follow.place.cursor.is_some() && retry > FIRST_RETRY {
            // The lines it stood for may have been rotated away.
            follow.place.cursor = None;
        }
        retry = if begun.elapsed() < WORKED { (retry * 2).min(LAST_RETRY) } else { FIRST_RETRY };
        tokio::time::sleep(retry).await;
    }
}

struct Follow {
    wiring: Wiring,
    place: Place,
    /// The failure told last.
    told: Option<Failure>,
}

impl Follow {
    /// Follows the lines of these engines until others are found; the failure that ended it otherwise.
    async fn lines(&mut self, engines: &[EngineRef]) -> Option<Failure> {
        let groups = groups(engines);
        let mut seen = BTreeSet::new();
        let new: BTreeSet<String> = groups.difference(&self.place.groups).cloned().collect();
        if self.place.cursor.is_some() && !new.is_empty() {
            // What was not followed before is told from its past; the follower may meet some of these lines again.
            match recent(&matches(&new)).await {
                Ok(entries) => {
                    seen.extend(entries.iter().filter_map(|entry| entry.cursor.clone()));
                    self.append(entries, engines, false).await;
                }
                Err(failure) => return Some(failure),
            }
        }
        self.place.groups = groups;
        tracing::debug!(groups = ?self.place.groups, "following the journal");
        let start = self.place.cursor.clone().map_or(Start::Recent, Start::After);
        let mut follower = match Follower::start(&matches(&self.place.groups), &start) {
            Ok(follower) => follower,
            Err(failure) => return Some(failure),
        };
        loop {
            let first = tokio::select! {
                entry = follower.next() => entry,
                Ok(()) = changed(&mut self.wiring.engines, &self.place.groups) => return None,
            };
            let mut batch = Vec::new();
            match first {
                Ok(entry) => batch.push(entry),
                Err(failure) => return Some(failure),
            }
            while batch.len() < BATCH_LINES && follower.has_more() {
                match follower.next().await {
                    Ok(entry) => batch.push(entry),
                    Err(_) => break,
                }
            }
            tracing::debug!(lines = batch.len(), "the journal has news");
            batch.retain(|entry| entry.cursor.as_ref().is_none_or(|cursor| !seen.contains(cursor)));
            self.told = None;
            self.append(batch, engines, true).await;
        }
    }

    /// Appends lines, tells what they are about, and remembers the place behind them if `follows`.
    async fn append(&mut self, entries: Vec<JournalEntry>, engines: &[EngineRef], follows: bool) {
        let (Some(cause), cursor) =
            (cause(&entries, engines), entries.iter().rev().find_map(|entry| entry.cursor.clone()))
        else {
            return;
        };
        let (node, engines) = (self.wiring.node.clone(), engines.to_vec());
        let redact = move || entries.into_iter().filter_map(|entry| envelope(&node, entry, &engines)).collect();
        match tokio::task::spawn_blocking(redact).await {
            Ok(envelopes) => self.queue(envelopes).await,
            Err(error) => tracing::error!(%error, "lines of the journal were lost"),
        }
        // The loop may be busy: it then reads again anyway.
        self.wiring.units.try_send(cause).ok();
        if follows && cursor.is_some() {
            self.place.cursor = cursor;
            self.save().await;
        }
    }

    /// Tells once that the journal cannot be read.
    async fn tell(&mut self, failure: Failure) {
        if self.told.as_ref() == Some(&failure) {
            return;
        }
        tracing::warn!("the journal cannot be followed: {}", printable_line(&failure.message));
        self.told = Some(failure.clone());
        let body = Body::Failed(failure);
        let envelope = draft::envelope(&self.wiring.node, &COLLECTOR, String::new(), clock::now(), body);
        self.queue(envelope.into_iter().collect()).await;
    }

    /// Waits until there is room: meanwhile the journal keeps the lines.
    async fn queue(&self, envelopes: Vec<(Class, v1::Envelope)>) {
        while self.wiring.queue.append(envelopes.clone()).await.is_err() {
            tokio::time::sleep(FIRST_RETRY).await;
        }
    }

    async fn save(&self) {
        let (path, place) = (self.wiring.place_file.clone(), self.place.clone());
        let saved = tokio::task::spawn_blocking(move || {
            let json = serde_json::to_vec(&place)?;
            write_atomic(&path, &json, 0o600)
        });
        // Lines are then told twice after a restart, which is better than not at all.
        if let Ok(Err(error)) = saved.await {
            tracing::debug!("the place in the journal cannot be kept: {error}");
        }
    }
}

fn envelope(node: &NodeName, entry: JournalEntry, engines: &[EngineRef]) -> Option<(Class, v1::Envelope)> {
    let about = entry.unit.filter(|unit| is_engine(unit, engines));
    let subject = about.unwrap_or(entry.command);
    let body = draft::redacted(&COLLECTOR, entry.line);
    draft::envelope(node, &COLLECTOR, subject, clock::now(), body).ok()
}

async fn load(path: &std::path::Path) -> Place {
    let read = tokio::fs::read(path).await.unwrap_or_default();
    serde_json::from_slice(&read).unwrap_or_default()
}

/// Waits until the engines need other lines.
async fn changed(
    engines: &mut watch::Receiver<Vec<EngineRef>>,
    followed: &BTreeSet<String>,
) -> Result<(), watch::error::RecvError> {
    engines.wait_for(|engines| groups(engines) != *followed).await.map(|_| ())
}

/// What the collector wants followed, as groups of which any may match.
fn groups(engines: &[EngineRef]) -> BTreeSet<String> {
    let sources = (COLLECTOR.sources)(engines);
    let matches = sources
        .into_iter()
        .filter_map(|(_, source)| if let Source::Journal { matches } = source { Some(matches) } else { None });
    matches
        .flat_map(|matches| matches.split(|part| part == "+").map(|group| group.join("\n")).collect::<Vec<_>>())
        .filter(|group| !group.is_empty())
        .collect()
}

/// The arguments for journalctl.
fn matches(groups: &BTreeSet<String>) -> Vec<String> {
    let groups: Vec<Vec<String>> = groups.iter().map(|group| group.lines().map(str::to_owned).collect()).collect();
    groups.join(&"+".to_owned())
}

fn is_engine(unit: &str, engines: &[EngineRef]) -> bool {
    engines.iter().any(|engine| engine.unit.as_deref() == Some(unit))
}

/// What the lines mean for what is read; none when there is no line.
fn cause(entries: &[JournalEntry], engines: &[EngineRef]) -> Option<Cause> {
    let about = |entry: &&JournalEntry| entry.unit.as_ref().is_some_and(|unit| is_engine(unit, engines));
    let by_systemd = entries.iter().filter(about).any(|entry| entry.from_systemd);
    (!entries.is_empty()).then_some(if by_systemd { Cause::Unit } else { Cause::Chatter })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(unit: &str) -> EngineRef {
        EngineRef { unit: Some(unit.to_owned()), ..EngineRef::default() }
    }

    #[test]
    fn groups_join_to_what_the_collector_declared() {
        let engines = [engine("es.service")];
        let joined = matches(&groups(&engines));
        assert!(joined.contains(&"_SYSTEMD_UNIT=es.service".to_owned()), "{joined:?}");
        assert!(!joined.starts_with(&["+".to_owned()]) && !joined.ends_with(&["+".to_owned()]), "{joined:?}");
        assert!(!joined.windows(2).any(|pair| pair[0] == "+" && pair[1] == "+"), "{joined:?}");
        assert!(groups(&[]).is_subset(&groups(&engines)));
    }

    #[test]
    fn lines_by_systemd_about_an_engine_are_told_at_once() {
        let line = |unit: &str, from_systemd| JournalEntry {
            line: Ok(Vec::new()),
            cursor: None,
            unit: Some(unit.to_owned()),
            command: String::new(),
            from_systemd,
        };
        let engines = [engine("es.service")];
        assert_eq!(cause(&[], &engines), None);
        assert_eq!(cause(&[line("es.service", false), line("ssh.service", true)], &engines), Some(Cause::Chatter));
        assert_eq!(cause(&[line("es.service", true)], &engines), Some(Cause::Unit));
    }
}
