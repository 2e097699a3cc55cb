//! Making writes durable, many at a time.
//!
//! sled 0.34.7's `flush` ends in `sync_file_range`, which does not survive a loss of power; an fsync of its `db` file after
//! the flush does. One flush serves every commit applied before it began.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::StoreError;
use crate::guards::{io_error, sled_error};

/// Hands out tickets for applied writes and waits until they are on disk.
pub(crate) struct Durability {
    directory: PathBuf,
    file: File,
    state: Mutex<State>,
    turned: Condvar,
}

#[derive(Default)]
struct State {
    applied: u64,
    durable: u64,
    flushing: bool,
}

impl Durability {
    pub(crate) fn new(directory: &Path) -> Result<Self, StoreError> {
        let file = File::open(directory.join("db")).map_err(|source| io_error(directory, source))?;
        Ok(Self { directory: directory.to_owned(), file, state: Mutex::default(), turned: Condvar::new() })
    }

    /// To be called after a write was applied; the ticket is for [`Durability::wait`].
    pub(crate) fn applied(&self) -> u64 {
        let mut state = self.lock();
        state.applied += 1;
        state.applied
    }

    /// Returns once the write with this ticket is durable. Whoever comes first flushes for all.
    pub(crate) fn wait(&self, db: &sled::Db, ticket: u64) -> Result<(), StoreError> {
        let mut state = self.lock();
        loop {
            if state.durable >= ticket {
                return Ok(());
            }
            if state.flushing {
                state = self.turned.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.flushing = true;
            let covered = state.applied;
            drop(state);
            let result = self.flush(db);
            state = self.lock();
            state.flushing = false;
            self.turned.notify_all();
            result?;
            state.durable = state.durable.max(covered);
        }
    }

    fn flush(&self, db: &sled::Db) -> Result<(), StoreError> {
        db.flush().map_err(|error| sled_error(&self.directory, error))?;
        self.file.sync_all().map_err(|source| io_error(&self.directory, source))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
