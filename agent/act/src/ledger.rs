//! What was begun, and how far it came: a directory for each plan, made to last before anything is changed.
//!
//! `plans/ID/plan.json` holds the plan's exact bytes, `state.json` a [`Journal`], `before.json` what is needed to undo it.
//! `epoch` is the highest epoch the policy ever had, `refused.json` the newest plans that were refused before they were begun,
//! and `report.json` tells the agent of all of it. Only who holds the lock can write.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use common_model::Timestamp;
use common_plan::{Authorized, Entry, Plan, PlanBytes, PlanId, Report, State};
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::places::Places;
use crate::steps::Before;
use crate::{clock, files, own, tell};

/// The most entries of a report.
const REPORTED: usize = 64;
/// The most refusals that are remembered.
const REFUSALS: usize = 32;
/// How long a plan of an earlier boot stays in the ledger, in milliseconds: 30 days.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// How far a plan came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// What is told of it.
    pub entry: Entry,
    /// When it was begun, by the wall clock.
    pub begun_at: Timestamp,
    /// By the boot clock it is undone then, unless it was confirmed.
    pub deadline_boot_ms: u64,
    /// Made after the act; whoever confirms has to know it.
    pub nonce: Option<String>,
    /// By the boot clock what was confirmed is taken back then; none: it stays.
    #[serde(default)]
    pub ends_boot_ms: Option<u64>,
}

impl Journal {
    /// When what was confirmed has to be taken back, where it is for a limited time and still there.
    pub fn end(&self) -> Option<u64> {
        self.ends_boot_ms.filter(|_| self.entry.state == State::Persisted)
    }
}

/// The right to write, and to act.
#[derive(Debug)]
pub struct Ledger<'a> {
    places: &'a Places,
    _lock: File,
}

impl<'a> Ledger<'a> {
    /// Waits until nobody else holds it. The kernel takes it from whoever dies.
    pub fn lock(places: &'a Places) -> io::Result<Self> {
        files::make_dir(&places.state(), 0o755)?;
        files::make_dir(&places.plans(), 0o700)?;
        let lock = lock_file(&places.state().join("lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        Ok(Self { places, _lock: lock })
    }

    /// The host.
    pub fn places(&self) -> &'a Places {
        self.places
    }

    /// Whether a plan was ever begun here.
    pub fn knows(&self, id: &PlanId) -> bool {
        self.places.plan(id).exists()
    }

    /// A plan's journal.
    pub fn journal(&self, id: &PlanId) -> io::Result<Journal> {
        read_json(self.places, id, "state.json")
    }

    /// Every journal that can be read. One that cannot keeps its plan spent and nothing else from being undone.
    pub fn journals(&self) -> io::Result<Vec<Journal>> {
        let names = fs::read_dir(self.places.plans())?.collect::<Result<Vec<_>, _>>()?;
        let ids = names.iter().filter_map(|name| name.file_name().to_str()?.parse().ok());
        let journal = |id: PlanId| {
            self.journal(&id).inspect_err(|error| tell(&format!("cannot read what became of plan {id}: {error}"))).ok()
        };
        Ok(ids.filter_map(journal).collect())
    }

    /// A plan that has not ended.
    pub fn unfinished(&self) -> io::Result<Option<Journal>> {
        Ok(self.journals()?.into_iter().find(|journal| !journal.entry.state.is_final()))
    }

    /// Plans begun within the last hour. One begun "later than now" counts: the clock was set back.
    pub fn last_hour(&self, now: Timestamp) -> io::Result<u32> {
        let recent = self.journals()?.iter().filter(|journal| now.millis_since(journal.begun_at) < 3_600_000).count();
        Ok(u32::try_from(recent).unwrap_or(u32::MAX))
    }

    /// Remembers the highest epoch there ever was, and gives it.
    pub fn raise_epoch(&self, epoch: u64) -> io::Result<u64> {
        let path = self.places.state().join("epoch");
        let stored =
            files::read_text(&path)?.map(|text| text.trim().parse::<u64>().map_err(io::Error::other)).transpose()?;
        let highest = stored.unwrap_or_default().max(epoch);
        if stored != Some(highest) {
            files::write(&path, highest.to_string().as_bytes(), 0o644)?;
        }
        Ok(highest)
    }

    /// Writes the intent down, to last: from here on the plan is spent.
    pub fn begin(&self, bytes: &PlanBytes, authorized: &Authorized) -> io::Result<Journal> {
        let (id, now, boot_ms) = (bytes.id(), clock::now(), clock::boot_ms());
        let limit_ms = authorized.plan.step.for_s().map(|seconds| u64::from(seconds) * 1000);
        let journal = Journal {
            entry: Entry {
                plan: id.clone(),
                action: Some(authorized.plan.step.action()),
                state: State::Prepared,
                at: now,
                because: None,
                approvers: authorized.approvers.clone(),
                until: limit_ms.and_then(|limit| Some(now.plus_millis(i64::try_from(limit).ok()?))),
            },
            begun_at: now,
            deadline_boot_ms: boot_ms + u64::from(authorized.on_node.confirm_within_s) * 1000,
            nonce: None,
            ends_boot_ms: limit_ms.map(|limit| boot_ms + limit),
        };
        let draft = self.places.plans().join(format!(".{id}.new"));
        files::make_dir(&draft, 0o700)?;
        files::write(&draft.join("plan.json"), bytes.as_slice(), 0o600)?;
        files::write(&draft.join("state.json"), &serde_json::to_vec(&journal)?, 0o600)?;
        fs::rename(&draft, self.places.plan(&id))?;
        files::sync(&self.places.plans())?;
        self.report()?;
        Ok(journal)
    }

    /// Writes down what was there before.
    pub fn keep_before(&self, id: &PlanId, before: &Before) -> io::Result<()> {
        files::write(&self.places.plan(id).join("before.json"), &serde_json::to_vec(before)?, 0o600)
    }

    /// What was there before, and the plan.
    pub fn before(&self, id: &PlanId) -> io::Result<(Plan, Before)> {
        Ok((plan(self.places, id)?, read_json(self.places, id, "before.json")?))
    }

    /// Moves a plan on, to last, and tells the agent.
    pub fn transition(&self, journal: &mut Journal, state: State, because: Option<String>) -> io::Result<()> {
        let entry = Entry { state, because, at: clock::now(), ..journal.entry.clone() };
        *journal = Journal { entry, ..journal.clone() };
        let path = self.places.plan(&journal.entry.plan).join("state.json");
        files::write(&path, &serde_json::to_vec(journal)?, 0o600)?;
        self.report()
    }

    /// Remembers a plan that was refused before it was begun. It is not spent by that: it may come again, better signed.
    pub fn refuse(&self, entry: Entry) -> io::Result<()> {
        let mut refused = self.refused()?;
        refused.retain(|old| old.plan != entry.plan);
        refused.push(entry);
        let newest = refused.split_off(refused.len().saturating_sub(REFUSALS));
        files::write(&self.places.state().join("refused.json"), &serde_json::to_vec(&newest)?, 0o600)?;
        self.report()
    }

    fn refused(&self) -> io::Result<Vec<Entry>> {
        let text = files::read(&self.places.state().join("refused.json"))?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default())
    }

    /// Drops what a power cut left of a plan that was not begun, and plans that ended long ago. A plan names the boot it is for,
    /// so one of an earlier boot is refused without the ledger too.
    pub fn tidy(&self, now: Timestamp) -> io::Result<()> {
        for name in fs::read_dir(self.places.plans())?.collect::<Result<Vec<_>, _>>()? {
            let old = match name.file_name().to_str().and_then(|name| name.parse::<PlanId>().ok()) {
                Some(id) => match (self.journal(&id), plan(self.places, &id)) {
                    (Ok(Journal { entry, .. }), Ok(plan)) => {
                        let session = own::session(self.places)?;
                        let other_boot = plan.on_node().is_none_or(|on_node| on_node.session != session);
                        entry.state.is_final() && other_boot && now.millis_since(entry.at) > KEPT_MS
                    }
                    _ => false,
                },
                None => true,
            };
            if old {
                fs::remove_dir_all(name.path())?;
            }
        }
        Ok(())
    }

    /// Writes `report.json`, which the agent reads.
    pub fn report(&self) -> io::Result<()> {
        let mut entries: Vec<Entry> = self.journals()?.into_iter().map(|journal| journal.entry).collect();
        let refused = self.refused()?.into_iter().filter(|entry| !self.knows(&entry.plan));
        entries.extend(refused);
        entries.sort_by_key(|entry| entry.at);
        let report = Report {
            session: own::session(self.places)?,
            booted_at: clock::now().plus_millis(-i64::try_from(clock::boot_ms()).unwrap_or(i64::MAX)),
            highest_epoch: self.raise_epoch(0)?,
            entries: entries.split_off(entries.len().saturating_sub(REPORTED)),
        };
        files::write(&self.places.state().join("report.json"), &serde_json::to_vec(&report)?, 0o644)
    }
}

/// Opens a file to lock, for root alone.
pub fn lock_file(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// A plan that was begun.
pub fn plan(places: &Places, id: &PlanId) -> io::Result<Plan> {
    let bytes = files::read(&places.plan(id).join("plan.json"))?.ok_or(io::ErrorKind::NotFound)?;
    PlanBytes::new(bytes).and_then(|bytes| bytes.decode()).map_err(io::Error::other)
}

/// A plan's journal, without the lock: for who only waits.
pub fn peek(places: &Places, id: &PlanId) -> io::Result<Journal> {
    read_json(places, id, "state.json")
}

fn read_json<T: DeserializeOwned>(places: &Places, id: &PlanId, name: &str) -> io::Result<T> {
    let bytes = files::read(&places.plan(id).join(name))?.ok_or(io::ErrorKind::NotFound)?;
    Ok(serde_json::from_slice(&bytes)?)
}
