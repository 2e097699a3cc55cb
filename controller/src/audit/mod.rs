//! The audit log, over the store: a chain that only grows. Blocking. [`export`] carries it elsewhere, [`refusals`] brings in who was
//! turned away.
//!
//! Partition `audit`: `entry/N` holds the exact line of entry N.

pub(crate) mod export;
pub(crate) mod refusals;
pub(crate) mod settings;

use std::sync::{Arc, Mutex, PoisonError};

use common_model::Timestamp;
use common_model::text::printable_line;
use common_plan::PlanId;
use common_plan::audit::{AuditEntry, link};
use controller_store::{Batch, Order, Store, StoreError, scan_prefix};
use tokio::sync::watch;
use tracing::error;

const PARTITION: &str = "audit";
/// The longest detail kept, in characters.
const MAX_DETAIL: usize = 4000;
/// Entries read at once.
const PAGE: usize = 500;

/// Why something was not written down. Whatever was to follow it must not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    /// The store failed.
    #[error("the audit log cannot be written, so nothing was done")]
    Store(#[from] StoreError),
    /// An entry could not be written as JSON.
    #[error("the audit log cannot be written, so nothing was done")]
    Encode(#[from] serde_json::Error),
}

/// What is to be written down.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    /// Who: `operator alice`, `node es-1`, `controller`.
    pub(crate) actor: String,
    /// What, for example `plan-approved`.
    pub(crate) event: &'static str,
    /// About which plan, if about one.
    pub(crate) plan: Option<PlanId>,
    /// In words.
    pub(crate) detail: String,
}

/// The log.
pub(crate) struct Audit {
    store: Arc<dyn Store>,
    // One writer at a time; the last entry is read again each time, so nothing here can be wrong about it.
    writing: Mutex<()>,
    written: watch::Sender<u64>,
}

impl Audit {
    /// Over this store.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, writing: Mutex::default(), written: watch::Sender::new(0) }
    }

    /// Changes with every entry.
    pub(crate) fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// Appends an entry; durable once this returns.
    pub(crate) fn append(&self, note: &Note, at: Timestamp) -> Result<(), AuditError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let last = scan_prefix(&*self.store, PARTITION, "entry/", Order::Descending, 1)?.pop();
        let seq = last.as_ref().and_then(|(key, _)| number(key)).unwrap_or(0) + 1;
        let line = last.map(|(_, stored)| String::from_utf8_lossy(&stored.value).into_owned());
        let entry = AuditEntry {
            seq,
            at,
            actor: printable_line(&note.actor),
            event: note.event.to_owned(),
            plan: note.plan.clone(),
            detail: printable_line(&note.detail).chars().take(MAX_DETAIL).collect(),
            previous: link(line.as_deref()),
        };
        let batch = Batch::default().expect(key(seq), None).put(key(seq), serde_json::to_vec(&entry)?);
        self.store.commit(PARTITION, &batch)?;
        self.written.send_replace(seq);
        Ok(())
    }

    /// Appends an entry about something that has happened already or that must not depend on it; a failure is logged.
    pub(crate) fn note(&self, note: &Note, at: Timestamp) {
        if let Err(failed) = self.append(note, at) {
            error!(error = %crate::core::chain(&failed), event = note.event, "not in the audit log");
        }
    }

    /// The lines from entry `from` on, some of them; empty at the end.
    pub(crate) fn read(&self, from: u64) -> Result<Vec<(u64, String)>, StoreError> {
        let rows = self.store.scan(PARTITION, &key(from)..=&key(u64::MAX), Order::Ascending, PAGE)?;
        let line = |(key, stored): (String, controller_store::Stored)| {
            Some((number(&key)?, String::from_utf8_lossy(&stored.value).into_owned()))
        };
        Ok(rows.into_iter().filter_map(line).collect())
    }
}

fn key(seq: u64) -> String {
    format!("entry/{seq:016x}")
}

fn number(key: &str) -> Option<u64> {
    u64::from_str_radix(key.strip_prefix("entry/")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use controller_store::SledStore;

    use super::*;

    #[test]
    fn what_is_written_is_one_chain_over_restarts() {
        let directory = tempfile::tempdir().unwrap();
        let note = |detail: &str| Note {
            actor: "operator alice".to_owned(),
            event: "login",
            plan: None,
            detail: detail.to_owned(),
        };
        for life in 0..3 {
            let audit = Audit::new(Arc::new(SledStore::open(directory.path()).unwrap().0));
            for n in 0..5 {
                audit.append(&note(&format!("{life} {n}\n\u{1b}[2J")), Timestamp(n)).unwrap();
            }
        }
        let audit = Audit::new(Arc::new(SledStore::open(directory.path()).unwrap().0));
        let lines: Vec<String> = audit.read(1).unwrap().into_iter().map(|(_, line)| line).collect();
        assert_eq!(common_plan::audit::verify(lines.iter().map(String::as_str)).unwrap().0, 15);
        assert!(lines.iter().all(|line| !line.contains('\u{1b}') && !line.contains("\\u001b")));
        assert_eq!(audit.read(15).unwrap().len(), 1);
        assert!(audit.read(16).unwrap().is_empty());
    }
}
