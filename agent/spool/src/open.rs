//! Opening the queue: what is there, and what of it is missing.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::error::{SpoolError, is_full};
use crate::head::{Head, HeadFile};
use crate::record::Records;
use crate::segment::{self, HEADER_LEN, Segment};
use crate::spool::{Limits, Spool};

/// The smallest quota: room for a few segments of the longest records.
pub const MIN_QUOTA_BYTES: u64 = 8 * 1024 * 1024;

/// Kept for a full disk, beside the quota: room for a segment and the largest append that is usual.
const RESERVE_BYTES: u64 = 4 * 1024 * 1024;

/// What opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Bytes of a write that a crash cut short; it had not been confirmed.
    pub torn_bytes: u64,
    /// Bytes that had been confirmed and are damaged.
    pub damaged_bytes: u64,
    /// Unacknowledged numbers that no record stands for; `read` reports them as gaps.
    pub missing: u64,
}

impl Spool {
    /// Opens the spool in `dir`, or creates it, readable by the owner only. `quota` is raised to [`MIN_QUOTA_BYTES`]; 4 MiB more
    /// are kept for a full disk.
    ///
    /// # Errors
    /// Only when the directory cannot be used at all; damage is skipped and reported in the [`Recovery`]. A full disk is no
    /// reason once there is a spool.
    pub fn open(dir: &Path, quota: u64) -> Result<(Self, Recovery), SpoolError> {
        let quota = quota.max(MIN_QUOTA_BYTES);
        Self::open_within(dir, Limits { quota, segment: 1024 * 1024, reserve: RESERVE_BYTES })
    }

    pub(crate) fn open_within(dir: &Path, limits: Limits) -> Result<(Self, Recovery), SpoolError> {
        let io = |action| SpoolError::of(dir, action);
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io("cannot create the directory"))?;
        let lock = lock(dir)?;
        let (head_file, known) = HeadFile::open(&dir.join("head")).map_err(io("cannot open the head"))?;
        let ids = segment::list(dir).map_err(io("cannot list the segments"))?;
        let incarnation = match known
            .map(|head| head.incarnation)
            .or_else(|| ids.iter().find_map(|id| segment::incarnation(dir, *id)))
        {
            Some(incarnation) => incarnation,
            None => draw().map_err(io("cannot draw a random number"))?,
        };
        let (closed, damaged_bytes) = scan(dir, &ids, incarnation, limits.reserve)?;
        let last = closed.iter().filter_map(|segment| segment.range).map(|(_, last)| last).max();
        let first = closed.iter().filter_map(|segment| segment.range).map(|(first, _)| first).min();
        let head = known.unwrap_or(Head {
            incarnation,
            next: last.map_or(1, |last| last + 1),
            acked: first.map_or(0, |first| first - 1),
            dropped_events: 0,
        });
        let head = Head { next: last.map_or(head.next, |last| head.next.max(last + 1)), ..head };
        let next_id = ids.last().map_or(1, |id| id + 1);
        let mut spool = Self::new(dir.to_owned(), limits, head_file, head, closed, next_id, lock);

        let missing = spool.count_missing();
        // Only the segment written last can end in a torn write: where every confirmed number is there, what is unreadable was
        // never confirmed.
        let recovery = match missing {
            0 => Recovery { torn_bytes: damaged_bytes, ..Recovery::default() },
            missing => Recovery { torn_bytes: 0, damaged_bytes, missing },
        };
        // On a full disk the head cannot grow; it is written again with the first append.
        match spool.write_head() {
            Err(error) if !is_full(&error) => return Err(io("cannot write the head")(error)),
            _ => {}
        }
        spool.release()?;
        Ok((spool, recovery))
    }

    fn count_missing(&self) -> u64 {
        let mut after = self.acked();
        let mut missing = 0;
        for segment in self.segments() {
            for found in Records::new(&segment.read_from(&self.dir, HEADER_LEN), segment.incarnation) {
                if found.seq > after {
                    missing += found.seq - after - 1;
                    after = found.seq;
                }
            }
        }
        missing + self.last().saturating_sub(after)
    }
}

/// The segments with these ids in order of number, and how many of their bytes belong to no good record. One without any is
/// deleted.
fn scan(dir: &Path, ids: &[u64], incarnation: u64, reserve: u64) -> Result<(Vec<Segment>, u64), SpoolError> {
    let io = |action| SpoolError::of(dir, action);
    let (mut segments, mut damaged) = (Vec::new(), 0);
    for id in ids {
        let (segment, bytes) = segment::scan(dir, *id, incarnation, reserve).map_err(io("cannot read a segment"))?;
        damaged += bytes;
        match segment.range {
            Some(_) => segments.push(segment),
            None => fs::remove_file(segment::path(dir, *id)).map_err(io("cannot delete an empty segment"))?,
        }
    }
    segments.sort_by_key(|segment| segment.range);
    Ok((segments, damaged))
}

fn lock(dir: &Path) -> Result<File, SpoolError> {
    let io = SpoolError::of(dir, "cannot lock the directory");
    let file = File::open(dir).map_err(&io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(SpoolError::InUse(dir.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(io(error)),
    }
}

/// A random number.
pub(crate) fn draw() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
