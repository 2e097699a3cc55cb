//! A store as text: one JSON line for each record, to move between engines and to restore.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::{Batch, Order, Store, StoreError, scan_prefix};

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

/// Reads records back into an empty store; gives their number.
pub fn import(store: &dyn Store, input: &mut dyn BufRead) -> Result<u64, ExportError> {
    let mut read = 0;
    for (number, line) in (1..).zip(input.lines()) {
        let row: Row = serde_json::from_str(&line?).map_err(|source| ExportError::Line { line: number, source })?;
        if scan_prefix(store, &row.partition, &row.key, Order::Ascending, 1)?.is_empty() {
            store.commit(&row.partition, &Batch::default().put(row.key, row.value))?;
            read += 1;
        }
    }
    Ok(read)
}
