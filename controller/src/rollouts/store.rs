//! Rollouts over the store. Blocking.
//!
//! Partition `rollouts`: `rollout/ID` holds what it consists of and how it stands; `open/ID` is there for as long as it has not
//! ended. Every step is written to the audit log first, and stored before anything is done because of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common_model::Timestamp;
use common_model::text::printable_line;
use common_plan::rollout::{Moment, Order as Consists, Rollout, RolloutId};
use controller_remedy::rollout::{Outcome, Proposed, Todo, after, ask_to_stop};
use controller_store::{Batch, Order, Store, StoreError, scan_prefix};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::audit::{Audit, AuditError, Note};
use crate::plans::shown;

const PARTITION: &str = "rollouts";
/// Ended rollouts shown, the newest first.
const MAX_SHOWN: usize = 100;

/// A rollout as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptRollout {
    /// What it consists of.
    pub(crate) order: Consists,
    /// How it stands.
    pub(crate) rollout: Rollout,
}

/// Why something was not done to a rollout.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RolloutError {
    /// There is none.
    #[error("there is no rollout {0}: `dialtone rollouts` lists them")]
    Unknown(RolloutId),
    /// It is past that.
    #[error("rollout {0} has ended, or is stopping")]
    Over(RolloutId),
    /// Not written down, so not done.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is kept is not what was put there.
    #[error("an entry of the rollouts cannot be written or read")]
    Entry(#[from] serde_json::Error),
}

/// All rollouts.
pub(crate) struct Rollouts {
    store: Arc<dyn Store>,
    audit: Arc<Audit>,
    // A step is read, judged, audited and written by one at a time.
    writing: Mutex<()>,
    changed: watch::Sender<u64>,
}

impl Rollouts {
    /// Over this store and audit log.
    pub(crate) fn new(store: Arc<dyn Store>, audit: Arc<Audit>) -> Self {
        Self { store, audit, writing: Mutex::default(), changed: watch::Sender::new(0) }
    }

    /// Changes with every step of any rollout.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// One of them.
    pub(crate) fn get(&self, id: &RolloutId) -> Result<KeptRollout, RolloutError> {
        Ok(self.versioned(id)?.0)
    }

    /// Those that have not ended, newest first.
    pub(crate) fn open(&self) -> Result<Vec<KeptRollout>, RolloutError> {
        let rows = scan_prefix(&*self.store, PARTITION, "open/", Order::Ascending, usize::MAX)?;
        let ids = rows.iter().filter_map(|(key, _)| key.strip_prefix("open/")?.parse().ok());
        let mut open = ids.map(|id| self.get(&id)).collect::<Result<Vec<_>, _>>()?;
        newest_first(&mut open);
        Ok(open)
    }

    /// The newest, ended ones too.
    pub(crate) fn all(&self) -> Result<Vec<KeptRollout>, RolloutError> {
        let rows = scan_prefix(&*self.store, PARTITION, "rollout/", Order::Ascending, usize::MAX)?;
        let mut all = rows
            .iter()
            .map(|(_, stored)| serde_json::from_slice(&stored.value))
            .collect::<Result<Vec<KeptRollout>, _>>()?;
        newest_first(&mut all);
        all.truncate(MAX_SHOWN);
        Ok(all)
    }

    /// Takes in one that was just made. Its plans are there already.
    pub(crate) fn take_in(&self, proposed: &Proposed, for_whom: &str, now: Timestamp) -> Result<(), RolloutError> {
        let _writing = self.lock();
        let kept = KeptRollout { order: proposed.order.clone(), rollout: proposed.rollout.clone() };
        let nodes: Vec<&str> = kept.rollout.turns.iter().map(|turn| turn.node.as_str()).collect();
        let detail =
            format!("{}, for {for_whom}: {} of cluster {}", kept.rollout.id, nodes.join(", "), kept.rollout.cluster);
        self.audit.append(&note("controller", "rollout-proposed", detail), now)?;
        self.put(&kept, None)
    }

    /// Takes in how something went that was to be done; the rollout as it then is, if that changed it.
    pub(crate) fn tried(
        &self,
        kept: &KeptRollout,
        todo: Todo,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Option<KeptRollout>, RolloutError> {
        let _writing = self.lock();
        let (present, version) = self.versioned(&kept.rollout.id)?;
        // A person has had a say meanwhile: what is to be done is to be judged anew.
        if present.rollout != kept.rollout {
            return Ok(Some(present));
        }
        let Some(rollout) = after(&present.rollout, present.order.calls, todo, printable(outcome), now) else {
            return Ok(None);
        };
        self.moved(&present, rollout, version, now).map(Some)
    }

    /// A person says no: before anything was done, or to what is left of it.
    pub(crate) fn reject(
        &self,
        id: &RolloutId,
        who: &str,
        because: &str,
        now: Timestamp,
    ) -> Result<KeptRollout, RolloutError> {
        let _writing = self.lock();
        let (present, version) = self.versioned(id)?;
        let stopped = ask_to_stop(&present.rollout, who, &shown(because), now);
        let rollout = stopped.ok_or_else(|| RolloutError::Over(id.clone()))?;
        self.moved(&present, rollout, version, now)
    }

    fn moved(
        &self,
        from: &KeptRollout,
        rollout: Rollout,
        version: u64,
        now: Timestamp,
    ) -> Result<KeptRollout, RolloutError> {
        for Moment { who, node, what, .. } in rollout.history.iter().skip(from.rollout.history.len()) {
            let at = node.as_ref().map(|node| format!(" {node}:")).unwrap_or_default();
            self.audit.append(&note(who, "rollout-moved", format!("{}:{at} {what}", rollout.id)), now)?;
        }
        let kept = KeptRollout { order: from.order.clone(), rollout };
        self.put(&kept, Some(version))?;
        Ok(kept)
    }

    fn put(&self, kept: &KeptRollout, version: Option<u64>) -> Result<(), RolloutError> {
        let id = &kept.rollout.id;
        let (key, open) = (format!("rollout/{id}"), format!("open/{id}"));
        let batch = Batch::default().expect(&key, version).put(key, serde_json::to_vec(kept)?);
        let batch = if kept.rollout.stage.is_final() { batch.delete(open) } else { batch.put(open, Vec::new()) };
        self.store.commit(PARTITION, &batch)?;
        self.changed.send_modify(|changes| *changes += 1);
        Ok(())
    }

    fn versioned(&self, id: &RolloutId) -> Result<(KeptRollout, u64), RolloutError> {
        let stored = self.store.get(PARTITION, &format!("rollout/{id}"))?;
        let stored = stored.ok_or_else(|| RolloutError::Unknown(id.clone()))?;
        Ok((serde_json::from_slice(&stored.value)?, stored.version))
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Words of engines and nodes, fit to be kept and shown.
fn printable(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Done(said) => Outcome::Done(shown(&said)),
        Outcome::Checked { said, health, run } => Outcome::Checked { said: shown(&said), health, run },
        Outcome::NotYet(said) => Outcome::NotYet(shown(&said)),
        Outcome::Wrong(said) => Outcome::Wrong(shown(&said)),
        Outcome::Rejected(who) => Outcome::Rejected(shown(&who)),
        Outcome::Expired => Outcome::Expired,
    }
}

fn newest_first(kept: &mut [KeptRollout]) {
    kept.sort_by(|a, b| (b.rollout.made_at, &b.rollout.id).cmp(&(a.rollout.made_at, &a.rollout.id)));
}

fn note(actor: &str, event: &'static str, detail: String) -> Note {
    Note { actor: actor.to_owned(), event, plan: None, detail: printable_line(&detail) }
}
