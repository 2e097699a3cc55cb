//! The `head` file: two slots written in turn, so that a torn write leaves the other one whole.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::record::crc;

const MAGIC: u64 = u64::from_le_bytes(*b"DThead01");
const SLOT_LEN: usize = 52;
/// Slots are a sector apart: one torn sector cannot touch both.
const SLOT_STRIDE: u64 = 512;

/// What the spool must not forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) incarnation: u64,
    /// The number the next record gets.
    pub(crate) next: u64,
    /// Everything up to and including this is acknowledged.
    pub(crate) acked: u64,
    /// Unacknowledged events dropped for lack of room, ever.
    pub(crate) dropped_events: u64,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct HeadFile {
    file: File,
    generation: u64,
}

impl HeadFile {
    /// Opens or creates the file and reads the newest whole slot, if there is one.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Option<Head>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let newest = [0, SLOT_STRIDE]
            .into_iter()
            .filter_map(|at| read_slot(&file, at))
            .max_by_key(|(generation, _)| *generation);
        let generation = newest.map_or(0, |(generation, _)| generation);
        Ok((Self { file, generation }, newest.map(|(_, head)| head)))
    }

    /// Makes `head` durable.
    pub(crate) fn write(&mut self, head: &Head) -> io::Result<()> {
        let generation = self.generation + 1;
        let mut slot = Vec::with_capacity(SLOT_LEN);
        for word in [MAGIC, generation, head.incarnation, head.next, head.acked, head.dropped_events] {
            slot.extend_from_slice(&word.to_le_bytes());
        }
        slot.extend_from_slice(&crc(MAGIC, &slot).to_le_bytes());
        self.file.write_all_at(&slot, (generation % 2) * SLOT_STRIDE)?;
        self.file.sync_data()?;
        self.generation = generation;
        Ok(())
    }
}

fn read_slot(file: &File, at: u64) -> Option<(u64, Head)> {
    let mut slot = [0; SLOT_LEN];
    file.read_exact_at(&mut slot, at).ok()?;
    let word = |index: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&slot[index * 8..index * 8 + 8]);
        u64::from_le_bytes(bytes)
    };
    let sum_matches = slot[48..] == crc(MAGIC, &slot[..48]).to_le_bytes();
    (word(0) == MAGIC && sum_matches)
        .then(|| (word(1), Head { incarnation: word(2), next: word(3), acked: word(4), dropped_events: word(5) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_slot_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("head");
        let (mut file, none) = HeadFile::open(&path).unwrap();
        assert_eq!(none, None);
        let first = Head { incarnation: 5, next: 10, acked: 3, dropped_events: 1 };
        let second = Head { next: 11, ..first };
        file.write(&first).unwrap();
        file.write(&second).unwrap();
        assert_eq!(HeadFile::open(&path).unwrap().1, Some(second));
        file.file.write_all_at(b"x", 20).unwrap();
        assert_eq!(HeadFile::open(&path).unwrap().1, Some(first));
    }
}
