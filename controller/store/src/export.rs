//! A store as text: one JSON line for each record, to move between engines and to restore.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::{Batch, MAX_VALUE_BYTES, Order, Store, StoreError};

/// Records read or written at a time, at most.
const PAGE: usize = 1000;

/// Why an export or import stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file failed.
    #[error("reading or writing the export failed")]
    Io(#[from] io::Error),
    /// A line is not a record.
    #[error("line {line} of the export is not a record")]
    Line {
        /// From 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    partition: String,
    key: String,
    value: Vec<u8>,
}

/// Writes every record; gives their number.
pub fn export(store: &dyn Store, out: &mut dyn Write) -> Result<u64, ExportError> {
    let mut written = 0;
    for partition in store.partitions()? {
        let mut from = String::new();
        loop {
            let last = char::MAX.to_string();
            let page = store.scan(&partition, from.as_str()..=last.as_str(), Order::Ascending, PAGE)?;
            let Some((newest, _)) = page.last() else { break };
            from = format!("{newest}\0");
            for (key, stored) in page {
                let row = Row { partition: partition.clone(), key, value: stored.value };
                serde_json::to_writer(&mut *out, &row).map_err(io::Error::from)?;
                out.write_all(b"\n")?;
                written += 1;
            }
        }
    }
    out.flush()?;
    Ok(written)
}

/// Reads records back into an empty store; gives their number. Records that are there already stay as they are.
pub fn import(store: &dyn Store, input: &mut dyn BufRead) -> Result<u64, ExportError> {
    let mut read = 0;
    let mut page = Page::default();
    for (number, line) in (1..).zip(input.lines()) {
        let row: Row = serde_json::from_str(&line?).map_err(|source| ExportError::Line { line: number, source })?;
        if page.is_full() || page.partition != row.partition {
            read += page.commit(store)?;
            page = Page { partition: row.partition, ..Page::default() };
        }
        page.add(row.key, row.value);
    }
    Ok(read + page.commit(store)?)
}

/// Records of one partition that become durable together: one by one, each would wait for the disk.
#[derive(Default)]
struct Page {
    partition: String,
    rows: BTreeMap<String, Vec<u8>>,
    bytes: usize,
}

impl Page {
    fn is_full(&self) -> bool {
        self.rows.len() >= PAGE || self.bytes >= MAX_VALUE_BYTES
    }

    fn add(&mut self, key: String, value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.rows.entry(key).or_insert(value);
    }

    /// Writes what is not there yet; gives how many records that were.
    fn commit(self, store: &dyn Store) -> Result<u64, StoreError> {
        let mut batch = Batch::default();
        let mut written = 0;
        for (key, value) in self.rows {
            if store.get(&self.partition, &key)?.is_none() {
                batch = batch.put(key, value);
                written += 1;
            }
        }
        if written > 0 {
            store.commit(&self.partition, &batch)?;
        }
        Ok(written)
    }
}
