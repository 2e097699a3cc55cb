//! Durable storage of the controller: an ordered map of versioned records in partitions.
//!
//! A partition is a node's name or the registry. One commit is atomic and durable within one partition; there is no
//! transaction across partitions, so a distributed engine can stand behind [`Store`] as well as [`SledStore`] does.
//! Only this crate names sled.

mod ballast;
mod durable;
mod export;
mod guards;
mod record;
mod sled_store;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::path::PathBuf;

pub use export::{ExportError, export, import};
pub use sled_store::SledStore;

/// The longest key in bytes, partition not counted.
pub const MAX_KEY_BYTES: usize = 1024;
/// The largest value in bytes.
pub const MAX_VALUE_BYTES: usize = 4 * 1024 * 1024;

/// A value with the version that a later compare-and-swap names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Grows with every write of any key; never reused.
    pub version: u64,
    /// What was put.
    pub value: Vec<u8>,
}

/// One atomic commit. All expectations hold, or nothing is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Keys that must have this version, or must be absent.
    pub expect: Vec<(String, Option<u64>)>,
    /// Keys to write.
    pub put: Vec<(String, Vec<u8>)>,
    /// Keys to remove; absent ones are fine.
    pub delete: Vec<String>,
}

impl Batch {
    /// Writes `key`.
    pub fn put(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.put.push((key.into(), value.into()));
        self
    }

    /// Removes `key`.
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.delete.push(key.into());
        self
    }

    /// Commits only if `key` has this version; none: only if it is absent.
    pub fn expect(mut self, key: impl Into<String>, version: Option<u64>) -> Self {
        self.expect.push((key.into(), version));
        self
    }
}

/// Why the store did not do as asked. Nothing was written, or what was written is not claimed to be durable.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An expectation of the batch did not hold; read again and decide anew.
    #[error("{key:?} was changed by somebody else")]
    Conflict {
        /// The key that was not as expected.
        key: String,
    },
    /// The disk is full.
    #[error("no space left for the store in {}: free some, the controller goes on by itself", .path.display())]
    DiskFull {
        /// The store's directory.
        path: PathBuf,
    },
    /// Another process has the store open.
    #[error("the store in {} is in use by another process", .path.display())]
    InUse {
        /// The store's directory.
        path: PathBuf,
    },
    /// A key or value outside the limits.
    #[error("{0}")]
    Limit(String),
    /// Anything else the engine or the system says.
    #[error("the store in {} failed", .path.display())]
    Engine {
        /// The store's directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
}

/// Which end of a range a scan begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// Storage. All calls block; async callers use `spawn_blocking`.
pub trait Store: Send + Sync {
    /// Carries out a batch; durable, even through a loss of power, once this returns.
    fn commit(&self, partition: &str, batch: &Batch) -> Result<(), StoreError>;

    /// The record under a key. A record whose checksum is wrong is not returned; it is counted in [`Store::damaged`].
    fn get(&self, partition: &str, key: &str) -> Result<Option<Stored>, StoreError>;

    /// At most `limit` records with keys in the range, in order.
    fn scan(
        &self,
        partition: &str,
        keys: RangeInclusive<&str>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(String, Stored)>, StoreError>;

    /// The partitions that have records, in order.
    fn partitions(&self) -> Result<Vec<String>, StoreError>;

    /// How many damaged records reads have met since the store was opened.
    fn damaged(&self) -> u64;
}

/// All records whose key begins with `prefix`, in order.
pub fn scan_prefix(
    store: &dyn Store,
    partition: &str,
    prefix: &str,
    order: Order,
    limit: usize,
) -> Result<Vec<(String, Stored)>, StoreError> {
    let last = format!("{prefix}{}", char::MAX);
    store.scan(partition, prefix..=last.as_str(), order, limit)
}

/// What had to be done to open a store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenReport {
    /// Half-written snapshots removed; harmless.
    pub removed_snapshots: Vec<PathBuf>,
    /// Where a store that could not be opened was moved; the store is now empty and its history is there.
    pub quarantined: Option<PathBuf>,
    /// The disk is full, or nearly: what is stored can be read, and commits fail until there is space.
    pub full: bool,
}
