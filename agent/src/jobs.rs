//! What there is to read, when each is due, and what was last appended of it. Pure: time comes in, work goes out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use agent_sources::Fingerprint;
use common_evidence::engine::EngineRef;
use common_evidence::{ALL, Source, Trigger};

/// Everything is read again after this long, even if nothing tells that it changed.
const SLOW_POLL: Duration = Duration::from_secs(60);
/// What changed may still be changing: editors write in several steps, rule sets come in several notices.
const SETTLE: Duration = Duration::from_millis(50);
/// Between two reads because of the lines that an engine itself writes: it may write thousands in a second.
const CHATTER: Duration = Duration::from_secs(2);
/// Between two reads because of the lines that systemd writes.
const UNIT_PAUSE: Duration = Duration::from_millis(100);
/// What one read may append at once, and then on: a log that is written all the time must not fill the disk or the line.
const ALLOWANCE_BYTES: i64 = 512 * 1024;
const ALLOWANCE_BYTES_PER_SECOND: i64 = 2 * 1024;
/// However much was appended, it is looked at again after this long.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Between two tries to append what did not fit on the disk.
const RETRY: Duration = Duration::from_secs(1);

/// Names one read: the kind and the subject.
pub(crate) type Key = (&'static str, String);

/// Identifies what a body said, so that the same is not appended twice.
pub(crate) type Digest = u64;

/// One read that is to be started now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) key: Key,
    pub(crate) source: Source,
    pub(crate) known: Option<Fingerprint>,
}

/// Why something is read again, for how soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The kernel said so.
    Notice,
    /// systemd wrote something about a unit, or a socket opened or closed.
    Unit,
    /// An engine wrote something.
    Chatter,
}

/// All reads of a node.
#[derive(Default)]
pub(crate) struct Jobs {
    jobs: BTreeMap<Key, Job>,
    engines: Vec<EngineRef>,
}

struct Job {
    source: Source,
    triggers: Vec<Trigger>,
    due: Instant,
    started: Option<Instant>,
    running: bool,
    /// It may have changed since it was last read.
    stale: bool,
    /// What is being read may be of before the change: read it once more.
    again: bool,
    /// The source was replaced while it was being read: the result does not count.
    replaced: bool,
    fingerprint: Option<Fingerprint>,
    appended: Option<Digest>,
    allowance: Allowance,
    /// Refreshes that wait for a read that begins after them.
    waiting: BTreeSet<u64>,
    /// Refreshes that the read under way answers, or the one that has just ended.
    answering: BTreeSet<u64>,
}

impl Jobs {
    /// Takes in the engines found: adds, replaces and removes reads accordingly. Gives the reads that are no more.
    pub(crate) fn sync(&mut self, engines: &[EngineRef], now: Instant) -> Vec<Key> {
        self.engines = engines.to_vec();
        let mut wanted = BTreeMap::new();
        for collector in ALL {
            let triggers = (collector.triggers)(engines);
            for (subject, source) in (collector.sources)(engines) {
                wanted.insert((collector.kind, subject), (source, triggers.clone()));
            }
        }
        let gone = self.jobs.extract_if(.., |key, _| !wanted.contains_key(key));
        let gone = gone.filter(|(_, job)| job.appended.is_some()).map(|(key, _)| key).collect();
        // A new read is waited for by everyone who waits for the one that showed it.
        let refreshes = self.open_refreshes();
        for (key, (source, triggers)) in wanted {
            let job = self.jobs.entry(key).or_insert_with(|| Job::new(source.clone(), refreshes.clone(), now));
            job.triggers = triggers;
            if job.source != source {
                job.source = source;
                job.replaced = job.running;
                job.fingerprint = None;
                job.waiting.extend(&refreshes);
                job.make_due(now);
            }
        }
        gone
    }

    /// The engines taken in last.
    pub(crate) fn engines(&self) -> &[EngineRef] {
        &self.engines
    }

    /// The directories whose changes matter.
    pub(crate) fn directories(&self) -> BTreeSet<String> {
        let triggers = self.jobs.values().flat_map(|job| &job.triggers);
        triggers
            .filter_map(|trigger| if let Trigger::Directory(dir) = trigger { Some(dir.clone()) } else { None })
            .collect()
    }

    /// Something told that what this trigger is for may have changed.
    pub(crate) fn trigger(&mut self, trigger: &Trigger, cause: Cause, now: Instant) {
        for job in self.jobs.values_mut().filter(|job| job.triggers.contains(trigger)) {
            let after = |pause: Duration| job.started.map_or(now, |started| (started + pause).max(now));
            job.make_due(match cause {
                Cause::Notice => (now + SETTLE).max(job.allowance.free_at),
                Cause::Unit => after(UNIT_PAUSE),
                Cause::Chatter => after(CHATTER).max(job.allowance.free_at),
            });
        }
    }

    /// Everything is to be read again now, and whoever asked waits for it. What is being read is read once more after.
    pub(crate) fn refresh(&mut self, refresh: u64, now: Instant) {
        for job in self.jobs.values_mut() {
            job.waiting.insert(refresh);
            job.make_due(now);
        }
    }

    /// Nothing that was appended before counts: everything is to be read and appended again.
    pub(crate) fn forget(&mut self, now: Instant) {
        for job in self.jobs.values_mut() {
            job.appended = None;
            job.fingerprint = None;
            job.replaced |= job.running;
            job.make_due(now);
        }
    }

    /// Starts what is due, the reads that decide most first.
    pub(crate) fn start_due(&mut self, now: Instant) -> Vec<Task> {
        let due = self.jobs.iter_mut().filter(|(_, job)| !job.running && job.due <= now);
        let mut tasks: Vec<Task> = due
            .map(|(key, job)| {
                job.running = true;
                job.started = Some(now);
                job.answering.append(&mut job.waiting);
                Task { key: key.clone(), source: job.source.clone(), known: job.fingerprint }
            })
            .collect();
        tasks.sort_by_key(|task| rank(task.key.0));
        tasks
    }

    /// When something is due next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.jobs.values().filter(|job| !job.running).map(|job| job.due).min()
    }

    /// A read has ended. True when its result still counts; false when the source was replaced meanwhile.
    pub(crate) fn finish(&mut self, key: &Key, fingerprint: Option<Fingerprint>, now: Instant) -> bool {
        let Some(job) = self.jobs.get_mut(key) else { return false };
        job.running = false;
        let counts = !std::mem::take(&mut job.replaced);
        if counts {
            job.fingerprint = fingerprint;
        } else {
            job.waiting.append(&mut job.answering);
        }
        job.stale = std::mem::take(&mut job.again);
        if !job.stale {
            job.due = (now + job.poll()).max(job.allowance.free_at);
        }
        counts
    }

    /// Whether this says something else than what was appended last.
    pub(crate) fn is_news(&self, key: &Key, digest: Digest) -> bool {
        self.jobs.get(key).is_some_and(|job| job.appended != Some(digest))
    }

    /// What was read has been appended, this long.
    pub(crate) fn appended(&mut self, key: &Key, digest: Digest, bytes: usize, now: Instant) {
        if let Some(job) = self.jobs.get_mut(key) {
            job.appended = Some(digest);
            job.allowance.spend(bytes, now);
            if !job.stale {
                job.due = job.due.max(job.allowance.free_at);
            }
        }
    }

    /// What was read could not be appended: it is read again, so that the newest is appended when there is room.
    pub(crate) fn refused(&mut self, key: &Key, now: Instant) {
        if let Some(job) = self.jobs.get_mut(key) {
            job.fingerprint = None;
            job.waiting.append(&mut job.answering);
            job.stale = true;
            job.due = now + RETRY;
        }
    }

    /// Takes out the refreshes for which everything has been read and appended. What something told since then to be read
    /// once more is not waited for: an engine that writes all the time would keep everybody waiting.
    pub(crate) fn refreshed(&mut self, asked: &BTreeSet<u64>) -> Vec<u64> {
        for job in self.jobs.values_mut().filter(|job| !job.running) {
            job.answering.clear();
        }
        asked.difference(&self.open_refreshes()).copied().collect()
    }

    fn open_refreshes(&self) -> BTreeSet<u64> {
        self.jobs.values().flat_map(|job| job.waiting.union(&job.answering).copied()).collect()
    }

    /// True when everything has been read and appended since the last thing that told of a change.
    pub(crate) fn is_settled(&self) -> bool {
        self.jobs.values().all(|job| !job.stale && job.appended.is_some())
    }
}

impl Job {
    fn new(source: Source, refreshes: BTreeSet<u64>, now: Instant) -> Self {
        Self {
            source,
            triggers: Vec::new(),
            due: now,
            started: None,
            running: false,
            stale: true,
            again: false,
            replaced: false,
            fingerprint: None,
            appended: None,
            allowance: Allowance { left: ALLOWANCE_BYTES, at: now, free_at: now },
            waiting: refreshes,
            answering: BTreeSet::new(),
        }
    }

    /// It may have changed: read it at this time at the latest, and not count a read that has already begun.
    fn make_due(&mut self, at: Instant) {
        let due_anyway = !self.running || self.again;
        self.due = if due_anyway { self.due.min(at) } else { at };
        self.again |= self.running;
        self.stale = true;
    }

    fn poll(&self) -> Duration {
        let every = self
            .triggers
            .iter()
            .filter_map(|trigger| if let Trigger::Every(every) = trigger { Some(*every) } else { None });
        every.min().map_or(SLOW_POLL, |every| every.min(SLOW_POLL))
    }
}

/// Bytes that may still be appended.
struct Allowance {
    left: i64,
    at: Instant,
    /// When some are left again.
    free_at: Instant,
}

impl Allowance {
    fn spend(&mut self, bytes: usize, now: Instant) {
        let millis = i64::try_from(now.duration_since(self.at).as_millis()).unwrap_or(i64::MAX);
        let gained = millis.saturating_mul(ALLOWANCE_BYTES_PER_SECOND) / 1000;
        let spent = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.left = self.left.saturating_add(gained).min(ALLOWANCE_BYTES).saturating_sub(spent);
        self.at = now;
        let owed = u64::try_from(-self.left / ALLOWANCE_BYTES_PER_SECOND).unwrap_or(0);
        self.free_at = now + Duration::from_secs(owed).min(LONGEST_PAUSE);
    }
}

fn rank(kind: &str) -> usize {
    const FIRST: [&str; 4] = ["sockets", "sysctl", "unit", "nftables"];
    FIRST.iter().position(|first| *first == kind).unwrap_or(FIRST.len())
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;
