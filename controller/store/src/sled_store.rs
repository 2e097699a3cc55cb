//! [`Store`] on sled.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::durable::Durability;
use crate::guards::{self, sled_error};
use crate::record::{self, Header};
use crate::{Batch, MAX_KEY_BYTES, MAX_VALUE_BYTES, OpenReport, Order, Store, StoreError, Stored};

/// A store in one directory, opened by one process at a time.
pub struct SledStore {
    directory: PathBuf,
    db: sled::Db,
    durability: Durability,
    // Checking expectations and applying the batch is one step; sled's own transactions may run twice.
    committing: Mutex<()>,
    damaged: AtomicU64,
}

impl SledStore {
    /// Opens or creates the store in `directory`.
    pub fn open(directory: &Path) -> Result<(Self, OpenReport), StoreError> {
        let (db, report) = guards::open(directory)?;
        let durability = Durability::new(directory)?;
        let damaged = AtomicU64::new(0);
        Ok((Self { directory: directory.to_owned(), db, durability, committing: Mutex::new(()), damaged }, report))
    }

    fn engine(&self, error: sled::Error) -> StoreError {
        sled_error(&self.directory, error)
    }

    /// Version of the record in force, its chunk count, and whether its header can be read.
    fn header_of(&self, engine_key: &[u8]) -> Result<Option<(u64, u32)>, StoreError> {
        let value = self.db.get(engine_key).map_err(|error| self.engine(error))?;
        Ok(value.as_deref().and_then(record::header).map(|header| (header.version, header.chunks)))
    }

    fn apply(&self, partition: &str, batch: &Batch) -> Result<(), StoreError> {
        let _one_at_a_time = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, expected) in &batch.expect {
            let found = self.header_of(&record::record_key(partition, key))?.map(|(version, _)| version);
            if found != *expected {
                return Err(StoreError::Conflict { key: key.clone() });
            }
        }
        let mut writes = sled::Batch::default();
        for key in &batch.delete {
            let engine_key = record::record_key(partition, key);
            self.remove_chunks(&engine_key, &mut writes)?;
            writes.remove(engine_key);
        }
        for (key, value) in &batch.put {
            let engine_key = record::record_key(partition, key);
            self.remove_chunks(&engine_key, &mut writes)?;
            let version = self.db.generate_id().map_err(|error| self.engine(error))?;
            let (head, chunks) = record::encode(&engine_key, version, value);
            for (number, chunk) in (0u32..).zip(chunks) {
                writes.insert(record::chunk_key(&engine_key, version, number), chunk);
            }
            writes.insert(engine_key, head);
        }
        self.db.apply_batch(writes).map_err(|error| self.engine(error))
    }

    fn remove_chunks(&self, engine_key: &[u8], writes: &mut sled::Batch) -> Result<(), StoreError> {
        if let Some((version, chunks)) = self.header_of(engine_key)? {
            for number in 0..chunks.min(max_chunks()) {
                writes.remove(record::chunk_key(engine_key, version, number));
            }
        }
        Ok(())
    }

    /// The record of an engine value, or none, counted, when it is damaged.
    fn decode(&self, engine_key: &[u8], engine_value: &[u8]) -> Result<Option<Stored>, StoreError> {
        let Some(Header { version, chunks, inline }) = record::header(engine_value) else {
            return Ok(self.count_damaged());
        };
        let mut chunked = Vec::new();
        for number in 0..chunks.min(max_chunks()) {
            let chunk =
                self.db.get(record::chunk_key(engine_key, version, number)).map_err(|error| self.engine(error))?;
            let Some(chunk) = chunk else { return Ok(self.count_damaged()) };
            chunked.extend_from_slice(&chunk);
        }
        if !record::verify(engine_key, engine_value, &chunked) {
            return Ok(self.count_damaged());
        }
        let value = if chunks == 0 { inline.to_vec() } else { chunked };
        Ok(Some(Stored { version, value }))
    }

    fn count_damaged(&self) -> Option<Stored> {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        None
    }
}

fn max_chunks() -> u32 {
    u32::try_from(MAX_VALUE_BYTES.div_ceil(record::CHUNK_BYTES)).unwrap_or(u32::MAX)
}

fn check_limits(partition: &str, batch: &Batch) -> Result<(), StoreError> {
    if partition.is_empty() || partition.len() > MAX_KEY_BYTES {
        return Err(StoreError::Limit(format!(
            "a partition's name has 1 to {MAX_KEY_BYTES} bytes, not {}",
            partition.len()
        )));
    }
    for (key, value) in &batch.put {
        if key.len() > MAX_KEY_BYTES {
            return Err(StoreError::Limit(format!("a key has at most {MAX_KEY_BYTES} bytes, not {}", key.len())));
        }
        if value.len() > MAX_VALUE_BYTES {
            let length = value.len();
            return Err(StoreError::Limit(format!("{key:?} has {length} bytes, more than {MAX_VALUE_BYTES}")));
        }
    }
    Ok(())
}

impl Store for SledStore {
    fn commit(&self, partition: &str, batch: &Batch) -> Result<(), StoreError> {
        check_limits(partition, batch)?;
        self.apply(partition, batch)?;
        let ticket = self.durability.applied();
        self.durability.wait(&self.db, ticket)
    }

    fn get(&self, partition: &str, key: &str) -> Result<Option<Stored>, StoreError> {
        let engine_key = record::record_key(partition, key);
        match self.db.get(&engine_key).map_err(|error| self.engine(error))? {
            Some(value) => self.decode(&engine_key, &value),
            None => Ok(None),
        }
    }

    fn scan(
        &self,
        partition: &str,
        keys: RangeInclusive<&str>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(String, Stored)>, StoreError> {
        let (first, last) = (record::record_key(partition, keys.start()), record::record_key(partition, keys.end()));
        let mut range = self.db.range(first..=last);
        let mut found = Vec::new();
        while found.len() < limit {
            let next = match order {
                Order::Ascending => range.next(),
                Order::Descending => range.next_back(),
            };
            let Some(next) = next else { break };
            let (engine_key, value) = next.map_err(|error| self.engine(error))?;
            let Some((_, key)) = record::split_key(&engine_key) else { continue };
            if let Some(stored) = self.decode(&engine_key, &value)? {
                found.push((key.to_owned(), stored));
            }
        }
        Ok(found)
    }

    fn partitions(&self) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        let mut after: Vec<u8> = b"r".to_vec();
        // Jumps from the end of one partition to the beginning of the next, so the cost is that of the names alone.
        while let Some(next) = self.db.range(after.clone()..b"s".to_vec()).next() {
            let (engine_key, _) = next.map_err(|error| self.engine(error))?;
            match record::split_key(&engine_key) {
                Some((partition, _)) => {
                    after = record::partition_prefix(partition);
                    after.push(0xff);
                    names.push(partition.to_owned());
                }
                None => {
                    after = engine_key.to_vec();
                    after.push(0);
                }
            }
        }
        names.sort();
        Ok(names)
    }

    fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }
}
