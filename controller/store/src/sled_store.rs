//! [`Store`] on sled.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use crate::durable::Durability;
use crate::guards::{self, sled_error};
use crate::record::{self, Header};
use crate::{Batch, MAX_KEY_BYTES, MAX_VALUE_BYTES, OpenReport, Order, Store, StoreError, Stored};

/// A store in one directory, opened by one process at a time.
///
/// After a failed write sled refuses every further one, even when the disk has room again; the next commit therefore opens
/// it anew. What was applied but not durable is gone then, as after a crash; none of it was confirmed.
pub struct SledStore {
    directory: PathBuf,
    // None only while it cannot be opened again.
    engine: RwLock<Option<Engine>>,
    failed: AtomicBool,
    // Checking expectations and applying the batch is one step; sled's own transactions may run twice.
    committing: Mutex<()>,
    damaged: AtomicU64,
}

struct Engine {
    db: sled::Db,
    durability: Durability,
}

impl SledStore {
    /// Opens or creates the store in `directory`.
    pub fn open(directory: &Path) -> Result<(Self, OpenReport), StoreError> {
        let (db, report) = guards::open(directory)?;
        let engine = Engine { db, durability: Durability::new(directory)? };
        let store = Self {
            directory: directory.to_owned(),
            engine: RwLock::new(Some(engine)),
            failed: AtomicBool::new(false),
            committing: Mutex::new(()),
            damaged: AtomicU64::new(0),
        };
        Ok((store, report))
    }

    fn with_engine<T>(&self, work: impl FnOnce(&Engine) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &*self.engine.read().unwrap_or_else(PoisonError::into_inner) {
            Some(engine) => work(engine),
            None => Err(guards::io_error(&self.directory, std::io::Error::other("it could not be opened again"))),
        }
    }

    fn open_again(&self) -> Result<(), StoreError> {
        let mut engine = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        guards::check_space(&self.directory)?;
        *engine = None;
        let db = guards::open_again(&self.directory)?;
        *engine = Some(Engine { db, durability: Durability::new(&self.directory)? });
        self.failed.store(false, Ordering::Release);
        Ok(())
    }

    fn error(&self, error: sled::Error) -> StoreError {
        sled_error(&self.directory, error)
    }

    /// Version of the record in force and its chunk count, if its header can be read.
    fn header_of(&self, db: &sled::Db, engine_key: &[u8]) -> Result<Option<(u64, u32)>, StoreError> {
        let value = db.get(engine_key).map_err(|error| self.error(error))?;
        Ok(value.as_deref().and_then(record::header).map(|header| (header.version, header.chunks)))
    }

    fn apply(&self, db: &sled::Db, partition: &str, batch: &Batch) -> Result<(), StoreError> {
        let _one_at_a_time = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, expected) in &batch.expect {
            // As `get` sees it: a damaged record counts as absent, or nothing could ever take its place.
            let engine_key = record::record_key(partition, key);
            let value = db.get(&engine_key).map_err(|error| self.error(error))?;
            let stored = value.map(|value| self.decode(db, &engine_key, &value)).transpose()?.flatten();
            let found = stored.map(|stored| stored.version);
            if found != *expected {
                return Err(StoreError::Conflict { key: key.clone() });
            }
        }
        let mut writes = sled::Batch::default();
        for key in &batch.delete {
            let engine_key = record::record_key(partition, key);
            self.remove_chunks(db, &engine_key, &mut writes)?;
            writes.remove(engine_key);
        }
        for (key, value) in &batch.put {
            let engine_key = record::record_key(partition, key);
            self.remove_chunks(db, &engine_key, &mut writes)?;
            let version = db.generate_id().map_err(|error| self.error(error))?;
            let (head, chunks) = record::encode(&engine_key, version, value);
            for (number, chunk) in (0u32..).zip(chunks) {
                writes.insert(record::chunk_key(&engine_key, version, number), chunk);
            }
            writes.insert(engine_key, head);
        }
        db.apply_batch(writes).map_err(|error| self.error(error))
    }

    fn remove_chunks(&self, db: &sled::Db, engine_key: &[u8], writes: &mut sled::Batch) -> Result<(), StoreError> {
        if let Some((version, chunks)) = self.header_of(db, engine_key)? {
            for number in 0..chunks.min(max_chunks()) {
                writes.remove(record::chunk_key(engine_key, version, number));
            }
        }
        Ok(())
    }

    /// The record of an engine value, or none, counted, when it is damaged.
    fn decode(&self, db: &sled::Db, engine_key: &[u8], engine_value: &[u8]) -> Result<Option<Stored>, StoreError> {
        let Some(Header { version, chunks, inline }) = record::header(engine_value) else {
            return Ok(self.count_damaged());
        };
        let mut chunked = Vec::new();
        for number in 0..chunks.min(max_chunks()) {
            let chunk = db.get(record::chunk_key(engine_key, version, number)).map_err(|error| self.error(error))?;
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

impl SledStore {
    fn scan_engine(
        &self,
        db: &sled::Db,
        keys: RangeInclusive<Vec<u8>>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(String, Stored)>, StoreError> {
        let mut range = db.range(keys);
        let mut found = Vec::new();
        while found.len() < limit {
            let next = match order {
                Order::Ascending => range.next(),
                Order::Descending => range.next_back(),
            };
            let Some(next) = next else { break };
            let (engine_key, value) = next.map_err(|error| self.error(error))?;
            let Some((_, key)) = record::split_key(&engine_key) else { continue };
            if let Some(stored) = self.decode(db, &engine_key, &value)? {
                found.push((key.to_owned(), stored));
            }
        }
        Ok(found)
    }

    fn partition_names(&self, db: &sled::Db) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        let mut after: Vec<u8> = b"r".to_vec();
        // Jumps from the end of one partition to the beginning of the next, so the cost is that of the names alone.
        while let Some(next) = db.range(after.clone()..b"s".to_vec()).next() {
            let (engine_key, _) = next.map_err(|error| self.error(error))?;
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
}

impl Store for SledStore {
    fn commit(&self, partition: &str, batch: &Batch) -> Result<(), StoreError> {
        check_limits(partition, batch)?;
        if self.failed.load(Ordering::Acquire) {
            self.open_again()?;
        }
        let result = self.with_engine(|engine| {
            self.apply(&engine.db, partition, batch)?;
            let ticket = engine.durability.applied();
            engine.durability.wait(&engine.db, ticket)
        });
        if let Err(StoreError::DiskFull { .. } | StoreError::Engine { .. }) = result {
            self.failed.store(true, Ordering::Release);
        }
        result
    }

    fn get(&self, partition: &str, key: &str) -> Result<Option<Stored>, StoreError> {
        let engine_key = record::record_key(partition, key);
        self.with_engine(|engine| match engine.db.get(&engine_key).map_err(|error| self.error(error))? {
            Some(value) => self.decode(&engine.db, &engine_key, &value),
            None => Ok(None),
        })
    }

    fn scan(
        &self,
        partition: &str,
        keys: RangeInclusive<&str>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(String, Stored)>, StoreError> {
        let keys = record::record_key(partition, keys.start())..=record::record_key(partition, keys.end());
        self.with_engine(|engine| self.scan_engine(&engine.db, keys, order, limit))
    }

    fn partitions(&self) -> Result<Vec<String>, StoreError> {
        self.with_engine(|engine| self.partition_names(&engine.db))
    }

    fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }
}
