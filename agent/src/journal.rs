//! Reading the journal: every line that concerns the engines becomes an event, once.
//!
//! It is read up to its end and then followed. What is followed comes a moment late, so whoever has to have every line that
//! was written before asks for it to be read up to its end again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use agent_sources::{JournalEntry, JournalLines, Start};
use common_evidence::Source;
use common_evidence::collectors::journal::COLLECTOR;
use common_evidence::engine::EngineRef;
use common_model::text::printable_line;
use common_model::{Class, Failure, FailureReason, NodeName};
use common_tls::files::write_atomic;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use proto::v1;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use crate::jobs::Cause;
use crate::queue::Queue;
use crate::{clock, draft};

/// Lines appended at once, at most.
const BATCH_LINES: usize = 256;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// What ended sooner did not work.
const WORKED: Duration = Duration::from_secs(5);
/// How long somebody waits for the journal to be read up to its end; less than a controller waits for an agent that is new to
/// it, so that the verdict can say why. A long journal goes on being read.
pub(crate) const LIMIT: Duration = Duration::from_secs(2);

/// Somebody who waits for the journal to be read up to its end.
pub(crate) type Asked = oneshot::Sender<Result<(), Failure>>;

/// What the task needs from outside.
pub(crate) struct Wiring {
    pub(crate) node: NodeName,
    pub(crate) queue: Queue,
    /// None until they were looked for.
    pub(crate) engines: watch::Receiver<Option<Vec<EngineRef>>>,
    pub(crate) units: mpsc::Sender<Cause>,
    pub(crate) asked: mpsc::Receiver<Asked>,
    /// Where the place in the journal is kept.
    pub(crate) place_file: PathBuf,
    pub(crate) journal: Box<dyn Journal>,
}

/// Asks the task.
#[derive(Clone)]
pub(crate) struct Handle {
    asking: mpsc::Sender<Asked>,
    limit: Duration,
}

/// A handle that waits for so long, and where its questions come out.
pub(crate) fn handle(limit: Duration) -> (Handle, mpsc::Receiver<Asked>) {
    let (asking, asked) = mpsc::channel(16);
    (Handle { asking, limit }, asked)
}

impl Handle {
    /// Waits until every line that was written before is in the queue, or tells why it is not.
    pub(crate) async fn up_to_now(&self) -> Result<(), Failure> {
        let (done, read) = oneshot::channel();
        let answer = async {
            self.asking.send(done).await.ok()?;
            read.await.ok()
        };
        let failed = |reason, message| Err(Failure { reason, message });
        let limit = self.limit;
        match tokio::time::timeout(limit, answer).await {
            Ok(Some(read)) => read,
            Ok(None) => failed(FailureReason::Other, "nothing reads the journal any more".to_owned()),
            Err(_) => failed(FailureReason::Timeout, format!("the journal was not read up to its end in {limit:?}")),
        }
    }
}

/// Lines in order of their place in the journal.
pub(crate) type Lines = BoxStream<'static, Result<JournalEntry, Failure>>;

/// Where lines come from.
pub(crate) trait Journal: Send + Sync {
    /// Those that are there.
    fn up_to_now(&self, matches: &[String], from: &Start) -> Lines;
    /// Those that are there, and those to come.
    fn following(&self, matches: &[String], from: &Start) -> Lines;
}

/// The host's journal.
pub(crate) struct Journalctl;

impl Journal for Journalctl {
    fn up_to_now(&self, matches: &[String], from: &Start) -> Lines {
        lines(JournalLines::up_to_now(matches, from))
    }

    fn following(&self, matches: &[String], from: &Start) -> Lines {
        lines(JournalLines::following(matches, from))
    }
}

fn lines(started: Result<JournalLines, Failure>) -> Lines {
    let lines = |lines| {
        stream::try_unfold(lines, async |mut lines: JournalLines| Ok(lines.next().await?.map(|entry| (entry, lines))))
    };
    match started {
        Ok(started) => lines(started).boxed(),
        Err(failure) => stream::iter([Err(failure)]).boxed(),
    }
}

/// How far the journal has been read, as kept on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Place {
    /// Behind the last line that was appended.
    cursor: Option<String>,
    /// What was read: groups of match arguments.
    groups: BTreeSet<String>,
}

/// Reads until it is dropped.
pub(crate) async fn run(mut wiring: Wiring) {
    // The newest lines of others would be in the way of theirs. Who finds them lives as long as this does.
    wiring.engines.wait_for(Option::is_some).await.ok();
    let mut follow = Follow { place: load(&wiring.place_file).await, wiring, waiting: Vec::new() };
    let mut retry = FIRST_RETRY;
    loop {
        let begun = tokio::time::Instant::now();
        let Err(failure) = follow.round().await else { continue };
        tracing::debug!("the journal cannot be read: {}", printable_line(&failure.message));
        if failure.message.contains("seek to cursor") {
            follow.place.cursor = None;
        }
        retry = if begun.elapsed() < WORKED { (retry * 2).min(LAST_RETRY) } else { FIRST_RETRY };
        tokio::select! {
            () = tokio::time::sleep(retry) => {}
            Some(asked) = follow.wiring.asked.recv() => follow.waiting.push(asked),
        }
    }
}

struct Follow {
    wiring: Wiring,
    place: Place,
    waiting: Vec<Asked>,
}

impl Follow {
    /// Reads up to the end, answers who waited for that, and follows until there is a reason to do so again.
    async fn round(&mut self) -> Result<(), Failure> {
        while let Ok(asked) = self.wiring.asked.try_recv() {
            self.waiting.push(asked);
        }
        // After the questions: who asks because of engines just found means their lines, too.
        let engines = self.wiring.engines.borrow_and_update().clone().unwrap_or_default();
        let read = self.catch_up(&engines).await;
        for asked in self.waiting.drain(..) {
            // Who has given up waiting needs no answer.
            asked.send(read.clone()).ok();
        }
        read?;
        self.follow(&engines).await
    }

    /// Reads the lines of these engines up to the end of the journal.
    async fn catch_up(&mut self, engines: &[EngineRef]) -> Result<(), Failure> {
        let groups = groups(engines);
        let new: BTreeSet<String> = groups.difference(&self.place.groups).cloned().collect();
        let mut told = BTreeSet::new();
        if self.place.cursor.is_some() && !new.is_empty() {
            // What was not read before is told from its past, some of which may also stand behind the place.
            let past: Vec<_> = self.wiring.journal.up_to_now(&matches(&new), &Start::Recent).try_collect().await?;
            told.extend(past.iter().filter_map(|entry| entry.cursor.clone()));
            self.tell(past, engines).await;
        }
        self.place.groups = groups;
        if !told.is_empty() {
            self.save().await;
        }
        let lines = self.wiring.journal.up_to_now(&matches(&self.place.groups), &self.from());
        let mut batches = lines.ready_chunks(BATCH_LINES);
        while let Some(batch) = batches.next().await {
            self.take(batch, engines, &told).await?;
        }
        Ok(())
    }

    /// Follows the lines of these engines until others are found or somebody asks.
    async fn follow(&mut self, engines: &[EngineRef]) -> Result<(), Failure> {
        tracing::debug!(groups = ?self.place.groups, "following the journal");
        let lines = self.wiring.journal.following(&matches(&self.place.groups), &self.from());
        let mut batches = lines.ready_chunks(BATCH_LINES);
        loop {
            tokio::select! {
                Some(batch) = batches.next() => self.take(batch, engines, &BTreeSet::new()).await?,
                Ok(()) = changed(&mut self.wiring.engines, &self.place.groups) => return Ok(()),
                Some(asked) = self.wiring.asked.recv() => {
                    self.waiting.push(asked);
                    return Ok(());
                }
            }
        }
    }

    fn from(&self) -> Start {
        self.place.cursor.clone().map_or(Start::Recent, Start::After)
    }

    /// Tells lines, except those told already, and remembers the place behind them.
    async fn take(
        &mut self,
        batch: Vec<Result<JournalEntry, Failure>>,
        engines: &[EngineRef],
        told: &BTreeSet<String>,
    ) -> Result<(), Failure> {
        let mut entries = Vec::new();
        let failure = batch.into_iter().find_map(|line| line.map(|entry| entries.push(entry)).err());
        let cursor = entries.iter().rev().find_map(|entry| entry.cursor.clone());
        entries.retain(|entry| entry.cursor.as_ref().is_none_or(|cursor| !told.contains(cursor)));
        self.tell(entries, engines).await;
        if cursor.is_some() {
            self.place.cursor = cursor;
            self.save().await;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Appends lines and tells what they are about.
    async fn tell(&self, entries: Vec<JournalEntry>, engines: &[EngineRef]) {
        let Some(cause) = cause(&entries, engines) else { return };
        tracing::debug!(lines = entries.len(), "the journal has news");
        let (node, engines) = (self.wiring.node.clone(), engines.to_vec());
        let redact = move || entries.into_iter().filter_map(|entry| envelope(&node, entry, &engines)).collect();
        match tokio::task::spawn_blocking(redact).await {
            Ok(envelopes) => self.queue(envelopes).await,
            Err(error) => tracing::error!(%error, "lines of the journal were lost"),
        }
        // The loop may be busy: it then reads again anyway.
        self.wiring.units.try_send(cause).ok();
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
    draft::envelope(node, &COLLECTOR, Class::Event, subject, clock::now(), body).ok()
}

async fn load(path: &std::path::Path) -> Place {
    let read = tokio::fs::read(path).await.unwrap_or_default();
    serde_json::from_slice(&read).unwrap_or_default()
}

/// Waits until the engines need other lines.
async fn changed(
    engines: &mut watch::Receiver<Option<Vec<EngineRef>>>,
    followed: &BTreeSet<String>,
) -> Result<(), watch::error::RecvError> {
    engines.wait_for(|engines| groups(engines.as_deref().unwrap_or_default()) != *followed).await.map(|_| ())
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
#[path = "journal_tests.rs"]
mod tests;
