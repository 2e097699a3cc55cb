//! The loop that reads, notices, redacts and queues.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use agent_sources::{Directories, Fingerprint, Kernel, Reader, Reading};
use common_evidence::collectors::engines::{self, Engines};
use common_evidence::collectors::sockets;
use common_evidence::engine::EngineRef;
use common_evidence::{ALL, Collector, Evidence, Source, Trigger};
use common_model::text::printable_line;
use common_model::{Body, Class, Failure, FailureReason, NodeName, Timestamp};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use prost::Message;
use proto::v1;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock;
use crate::draft;
use crate::jobs::{Cause, Digest, Jobs, Key, Task};
use crate::journal;
use crate::queue::Queue;
use crate::uplink::RefreshRequest;

/// How often everything is confirmed to be as last sent, when it is.
const CONFIRM: Duration = Duration::from_secs(5);

/// What the loop needs from outside.
pub(crate) struct Wiring {
    pub(crate) node: NodeName,
    pub(crate) reader: Reader,
    pub(crate) journal: journal::Handle,
    pub(crate) queue: Queue,
    /// Wishes of the controller.
    pub(crate) wishes: mpsc::Receiver<RefreshRequest>,
    /// What the journal tells about units.
    pub(crate) units: mpsc::Receiver<Cause>,
    /// Told the engines found, once they were looked for.
    pub(crate) engines: watch::Sender<Option<Vec<EngineRef>>>,
    /// Counts the times that everything was found to be as last sent.
    pub(crate) confirmed: watch::Sender<u64>,
    /// Changes for as long as the loop is alive, at least every few seconds.
    pub(crate) pulse: watch::Sender<u64>,
}

/// The loop.
pub(crate) struct Survey {
    wiring: Wiring,
    jobs: Jobs,
    reads: FuturesUnordered<BoxFuture<'static, Outcome>>,
    notices: Notices,
    hasher: RandomState,
    refreshes: BTreeMap<u64, oneshot::Sender<()>>,
    next_refresh: u64,
}

/// A read that has ended.
struct Outcome {
    task: Task,
    taken_at: Timestamp,
    /// Redacted; none when it was not read because it is unchanged.
    body: Option<Body>,
    fingerprint: Option<Fingerprint>,
}

/// Something that was read and is to be appended.
struct News {
    key: Key,
    digest: Digest,
    envelope: (Class, v1::Envelope),
}

impl Survey {
    /// Sets up the kernel's notices. Those that cannot be had are made up for by reading again every so often.
    pub(crate) fn new(wiring: Wiring) -> Self {
        Self {
            wiring,
            jobs: Jobs::default(),
            reads: FuturesUnordered::new(),
            notices: Notices::new(),
            hasher: RandomState::new(),
            refreshes: BTreeMap::new(),
            next_refresh: 1,
        }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        self.jobs.sync(&[], Instant::now());
        self.watch();
        let mut confirm = tokio::time::interval(CONFIRM);
        confirm.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            for task in self.jobs.start_due(Instant::now()) {
                self.reads.push(read(self.wiring.reader.clone(), self.wiring.journal.clone(), task).boxed());
            }
            let due = self.jobs.next_due().map(tokio::time::Instant::from_std);
            tokio::select! {
                Some(outcome) = self.reads.next() => self.take(outcome).await,
                () = until(due) => {}
                trigger = self.notices.next() => self.noticed(trigger),
                Some(wish) = self.wiring.wishes.recv() => self.wish(wish),
                Some(cause) = self.wiring.units.recv() => {
                    self.jobs.trigger(&Trigger::UnitJournal, cause, Instant::now());
                }
                _ = confirm.tick() => self.confirm(),
            }
            self.answer();
        }
    }

    fn noticed(&mut self, triggers: Vec<Trigger>) {
        for trigger in triggers {
            self.jobs.trigger(&trigger, Cause::Notice, Instant::now());
        }
    }

    fn wish(&mut self, wish: RefreshRequest) {
        match wish {
            RefreshRequest::Changes(done) => {
                self.jobs.refresh(self.next_refresh, Instant::now());
                self.refreshes.insert(self.next_refresh, done);
                self.next_refresh += 1;
            }
            RefreshRequest::Everything(noted) => {
                self.jobs.forget(Instant::now());
                // The stream that asked may have ended.
                noted.send(()).ok();
            }
        }
    }

    fn answer(&mut self) {
        if self.refreshes.is_empty() {
            return;
        }
        let asked: BTreeSet<u64> = self.refreshes.keys().copied().collect();
        for refresh in self.jobs.refreshed(&asked) {
            if let Some(done) = self.refreshes.remove(&refresh) {
                done.send(()).ok();
            }
        }
    }

    fn confirm(&mut self) {
        // Directories that did not exist may do so by now.
        self.watch();
        self.wiring.pulse.send_modify(|pulse| *pulse += 1);
        if self.jobs.is_settled() {
            self.wiring.confirmed.send_modify(|confirmed| *confirmed += 1);
        }
    }

    fn watch(&mut self) {
        let appeared = self.notices.watch(&self.jobs.directories());
        self.noticed(appeared);
    }

    /// Takes in a read, and with it those that have ended meanwhile: one write to the disk serves all.
    async fn take(&mut self, first: Outcome) {
        let mut outcomes = vec![first];
        while let Some(Some(more)) = self.reads.next().now_or_never() {
            outcomes.push(more);
        }
        let mut news: Vec<News> = Vec::new();
        for outcome in outcomes {
            news.extend(self.judge(outcome));
        }
        self.append(news).await;
    }

    /// What of a read is to be appended.
    fn judge(&mut self, outcome: Outcome) -> Vec<News> {
        let Outcome { task, taken_at, body, fingerprint } = outcome;
        let now = Instant::now();
        let counts = self.jobs.finish(&task.key, fingerprint, now);
        let Some(body) = body.filter(|_| counts) else { return Vec::new() };
        if !self.jobs.is_news(&task.key, self.digest(&body)) {
            return Vec::new();
        }
        complain(&task.key, &body);
        let mut news: Vec<News> = Vec::new();
        if task.key.0 == Engines::KIND {
            news.extend(self.take_engines(&body, taken_at));
        }
        if task.key.0 == sockets::Sockets::KIND {
            // Whoever opened or closed a socket may be an engine that no unit tells about.
            self.jobs.trigger(&Trigger::UnitJournal, Cause::Unit, now);
        }
        news.extend(self.news(task.key, taken_at, body));
        news
    }

    /// Takes in the engines found; what is no longer read is told to be gone. Where they cannot be looked for, those known stay.
    fn take_engines(&mut self, body: &Body, taken_at: Timestamp) -> Vec<News> {
        let found = match body {
            Body::Raw(raw) => Engines::parse(raw, "", engines::COLLECTOR.schema).value.engines,
            Body::Failed(_) | Body::Gone => self.jobs.engines().to_vec(),
        };
        let gone = match found == self.jobs.engines() {
            true => Vec::new(),
            false => self.jobs.sync(&found, Instant::now()),
        };
        self.watch();
        self.wiring.engines.send_if_modified(|known| known.replace(found.clone()) != Some(found));
        gone.into_iter().filter_map(|key| self.news(key, taken_at, Body::Gone)).collect()
    }

    fn news(&self, key: Key, taken_at: Timestamp, body: Body) -> Option<News> {
        let digest = self.digest(&body);
        // Whether the journal can be read is a state, too; its lines are the events.
        let envelope =
            draft::envelope(&self.wiring.node, collector_of(key.0)?, Class::State, key.1.clone(), taken_at, body);
        let envelope =
            envelope.inspect_err(|error| tracing::error!(%error, "a collector is not named as kinds are")).ok()?;
        Some(News { key, digest, envelope })
    }

    async fn append(&mut self, news: Vec<News>) {
        if news.is_empty() {
            return;
        }
        let (named, envelopes): (Vec<(Key, Digest, usize)>, Vec<_>) = news
            .into_iter()
            .map(|news| ((news.key, news.digest, news.envelope.1.encoded_len()), news.envelope))
            .unzip();
        let result = self.wiring.queue.append(envelopes).await;
        for (key, digest, bytes) in named {
            match &result {
                Ok(_) => self.jobs.appended(&key, digest, bytes, Instant::now()),
                Err(_) => self.jobs.refused(&key, Instant::now()),
            }
        }
    }

    fn digest(&self, body: &Body) -> Digest {
        match body {
            Body::Raw(raw) => self.hasher.hash_one((0u8, raw)),
            Body::Failed(Failure { message, .. }) => self.hasher.hash_one((1u8, message)),
            Body::Gone => 0,
        }
    }
}

fn collector_of(kind: &str) -> Option<&'static Collector> {
    ALL.iter().copied().find(|collector| collector.kind == kind)
}

/// Reads and redacts, away from the loop: what is read may be large.
async fn read(reader: Reader, journal: journal::Handle, task: Task) -> Outcome {
    let taken_at = clock::now();
    let begun = Instant::now();
    if let Source::Journal { .. } = task.source {
        // Its lines are queued by the task that reads it. What is told here is what keeps them back, or that nothing does.
        let body = journal.up_to_now().await.map_or_else(Body::Failed, |()| Body::Gone);
        return Outcome { task, taken_at, body: Some(body), fingerprint: None };
    }
    let (read, fingerprint) = match reader.read(&task.source, task.known).await {
        Reading::Unchanged => (None, task.known),
        Reading::Read { body, fingerprint } => (Some(body), fingerprint),
    };
    let body = match (read, collector_of(task.key.0)) {
        (Some(read), Some(collector)) => {
            let redacted = tokio::task::spawn_blocking(move || draft::redacted(collector, read));
            redacted.await.inspect_err(|error| tracing::error!(%error, "a redaction ended")).ok()
        }
        _ => None,
    };
    tracing::debug!(kind = task.key.0, subject = %printable_line(&task.key.1), elapsed = ?begun.elapsed(), "read");
    Outcome { task, taken_at, body, fingerprint }
}

async fn until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// That a program is not installed, or a file not there, is usual.
fn complain((kind, subject): &Key, body: &Body) {
    if let Body::Failed(Failure { reason, message }) = body {
        let message = printable_line(message);
        match reason {
            FailureReason::Missing => {
                tracing::debug!(kind, subject = %printable_line(subject), "cannot be read: {message}")
            }
            _ => tracing::warn!(kind, subject = %printable_line(subject), "cannot be read: {message}"),
        }
    }
}

/// What the kernel tells.
struct Notices {
    directories: Option<Directories>,
    nftables: Option<Kernel>,
    network: Option<Kernel>,
}

impl Notices {
    fn new() -> Self {
        Self {
            directories: had("changes of directories", Directories::new()),
            nftables: had("changes of the packet filter", Kernel::nftables()),
            network: had("changes of the network", Kernel::network()),
        }
    }

    /// Watches these directories; what appeared since the last time has changed.
    fn watch(&mut self, wanted: &BTreeSet<String>) -> Vec<Trigger> {
        let appeared = self.directories.as_mut().map(|directories| directories.watch(wanted)).unwrap_or_default();
        appeared.into_iter().map(Trigger::Directory).collect()
    }

    /// Waits for the next change.
    async fn next(&mut self) -> Vec<Trigger> {
        tokio::select! {
            changed = next_of(&mut self.directories, "changes of directories", async |directories| directories.changed().await) => {
                changed.into_iter().map(Trigger::Directory).collect()
            }
            () = next_of(&mut self.nftables, "changes of the packet filter", async |kernel| kernel.changed().await) => vec![Trigger::Nftables],
            () = next_of(&mut self.network, "changes of the network", async |kernel| kernel.changed().await) => vec![Trigger::Network],
        }
    }
}

/// Waits for ever when the notice cannot be had, or fails.
async fn next_of<T, R>(source: &mut Option<T>, what: &str, wait: impl AsyncFn(&mut T) -> std::io::Result<R>) -> R {
    if let Some(live) = source {
        match wait(live).await {
            Ok(changed) => return changed,
            Err(error) => {
                tracing::warn!("the kernel no longer tells {what}: {error}; they are looked for every minute");
                *source = None;
            }
        }
    }
    std::future::pending().await
}

fn had<T>(what: &str, made: std::io::Result<T>) -> Option<T> {
    made.inspect_err(|error| {
        tracing::warn!("the kernel does not tell {what}: {error}; they are looked for every minute")
    })
    .ok()
}
