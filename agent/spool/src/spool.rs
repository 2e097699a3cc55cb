//! The queue itself.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use common_model::{Class, Incarnation};

use crate::head::{Head, HeadFile};
use crate::record::{Records, disk_len, encode};
use crate::segment::{self, HEADER_LEN, Segment};

/// The longest payload of one record: an envelope's largest body and its other fields.
pub const MAX_RECORD_BYTES: usize = common_model::envelope::MAX_BODY_BYTES + 64 * 1024;
/// The smallest quota: room for a few segments of the longest records.
pub const MIN_QUOTA_BYTES: u64 = 8 * 1024 * 1024;

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    /// States make room for events.
    pub class: Class,
    /// At most [`MAX_RECORD_BYTES`].
    pub payload: Vec<u8>,
}

/// What reading gives, in order of number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A record.
    Record {
        /// Its number.
        seq: u64,
        /// Its bytes, as appended.
        payload: Vec<u8>,
    },
    /// These numbers are lost: dropped for lack of room, or damaged on disk.
    Gap {
        /// The first lost number.
        first: u64,
        /// The last lost number.
        last: u64,
    },
}

/// What appending did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Number of the last record appended; the ones before it have the numbers before it.
    pub last: u64,
    /// What had to go to make room.
    pub dropped: Option<Dropped>,
}

/// Unacknowledged records that were deleted because the quota was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Lowest number among them.
    pub first: u64,
    /// Highest number among them; not every number between the two is lost.
    pub last: u64,
    /// States: to be read and appended again once there is room.
    pub states: u64,
    /// Events: lost.
    pub events: u64,
}

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

/// Why the spool could not do what was asked. The spool stays usable.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it open.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// No space on the disk. Nothing was appended.
    #[error("no space left on the disk that holds {0}")]
    DiskFull(PathBuf),
    /// A payload is longer than [`MAX_RECORD_BYTES`]. Nothing was appended.
    #[error("a record of {0} bytes is longer than the spool takes")]
    TooLong(usize),
    /// The controller knows numbers that were never given out here: the directory was restored from an older copy.
    #[error("number {acked} is acknowledged, but only {last} were given out")]
    Ahead {
        /// What was acknowledged.
        acked: u64,
        /// The last number given out.
        last: u64,
    },
    /// Anything else the system said.
    #[error("{action} in {dir}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The spool's directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// How large things may get.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Bytes of all segments together.
    quota: u64,
    /// A segment is closed once it is this long.
    segment: u64,
}

/// The queue. One process at a time; all methods block on the disk.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    limits: Limits,
    head_file: HeadFile,
    head: Head,
    /// In order of number; never appended to.
    closed: Vec<Segment>,
    active: Option<(File, Segment)>,
    next_id: u64,
    cursor: Option<Cursor>,
    /// Holds the lock for as long as the spool is open.
    _lock: File,
}

/// Where the read after number `after` begins, so that following the end does not re-read the segment.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    after: u64,
    segment: u64,
    offset: u64,
}

impl Spool {
    /// Opens the spool in `dir`, or creates it, readable by the owner only. `quota` is raised to [`MIN_QUOTA_BYTES`].
    ///
    /// # Errors
    /// Only when the directory cannot be used at all; damage is skipped and reported in the [`Recovery`].
    pub fn open(dir: &Path, quota: u64) -> Result<(Self, Recovery), SpoolError> {
        Self::open_within(dir, Limits { quota: quota.max(MIN_QUOTA_BYTES), segment: 1024 * 1024 })
    }

    fn open_within(dir: &Path, limits: Limits) -> Result<(Self, Recovery), SpoolError> {
        let io = |action| move |source| SpoolError::Io { action, dir: dir.to_owned(), source };
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

        let mut recovery = Recovery::default();
        let mut closed = Vec::new();
        for id in &ids {
            let (segment, scan) = segment::scan(dir, *id, incarnation).map_err(io("cannot read a segment"))?;
            // Only the segment written last can end in a torn write; the head tells whether its numbers were confirmed.
            recovery.damaged_bytes += scan.damaged;
            match segment.range {
                Some(_) => closed.push(segment),
                None => fs::remove_file(segment::path(dir, *id)).map_err(io("cannot delete an empty segment"))?,
            }
        }
        closed.sort_by_key(|segment| segment.range);
        let last = closed.iter().filter_map(|segment| segment.range).map(|(_, last)| last).max();
        let first = closed.iter().filter_map(|segment| segment.range).map(|(first, _)| first).min();
        let head = known.unwrap_or(Head {
            incarnation,
            next: last.map_or(1, |last| last + 1),
            acked: first.map_or(0, |first| first - 1),
            dropped_events: 0,
        });
        let head = Head { next: last.map_or(head.next, |last| head.next.max(last + 1)), ..head };

        let mut spool = Self {
            dir: dir.to_owned(),
            limits,
            head_file,
            head,
            closed,
            active: None,
            next_id: ids.last().map_or(1, |id| id + 1),
            cursor: None,
            _lock: lock,
        };
        recovery.missing = spool.count_missing();
        if recovery.missing == 0 {
            // Every confirmed number is there, so what is unreadable was never confirmed.
            recovery.torn_bytes = std::mem::take(&mut recovery.damaged_bytes);
        }
        // On a full disk the head cannot grow; it is written again with the first append.
        if let Err(error) = spool.head_file.write(&spool.head)
            && !is_full(&error)
        {
            return Err(io("cannot write the head")(error));
        }
        Ok((spool, recovery))
    }

    /// Names this life of the queue: numbers count within it.
    pub fn incarnation(&self) -> Incarnation {
        Incarnation(self.head.incarnation)
    }

    /// The last number given out; 0 when none was.
    pub fn last(&self) -> u64 {
        self.head.next - 1
    }

    /// Everything up to and including this number is acknowledged.
    pub fn acked(&self) -> u64 {
        self.head.acked
    }

    /// Unacknowledged events dropped for lack of room since the incarnation began.
    pub fn dropped_events(&self) -> u64 {
        self.head.dropped_events
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.closed.iter().chain(self.active.as_ref().map(|(_, segment)| segment)).map(|segment| segment.len).sum()
    }

    /// Appends all of the records, durably, or none.
    ///
    /// # Errors
    /// [`SpoolError::DiskFull`] and [`SpoolError::TooLong`] leave everything as it was; after another error some numbers may be
    /// skipped, which `read` reports as a gap.
    pub fn append(&mut self, records: &[New]) -> Result<Appended, SpoolError> {
        if let Some(record) = records.iter().find(|record| record.payload.len() > MAX_RECORD_BYTES) {
            return Err(SpoolError::TooLong(record.payload.len()));
        }
        let bytes: u64 = records.iter().map(|record| disk_len(record.payload.len())).sum();
        let dropped = if self.bytes() + bytes > self.limits.quota { self.make_room(bytes)? } else { None };
        if records.is_empty() {
            return Ok(Appended { last: self.last(), dropped });
        }
        self.write(records)?;
        // The head only repeats what the segment says; it is written again with the next append.
        self.head_file.write(&self.head).ok();
        if self.active.as_ref().is_some_and(|(_, segment)| segment.len >= self.limits.segment) {
            self.close_active();
        }
        Ok(Appended { last: self.last(), dropped })
    }

    /// The records after number `after`, and the gaps between them, until the payloads exceed `max_bytes`; at least one
    /// when there is any. Numbers up to the acknowledged one are not there any more.
    pub fn read(&mut self, after: u64, max_bytes: usize) -> Vec<Item> {
        let mut after = after.max(self.head.acked);
        let mut items = Vec::new();
        let mut taken = 0;
        let segments: Vec<Segment> =
            self.closed.iter().chain(self.active.as_ref().map(|(_, segment)| segment)).cloned().collect();
        for segment in &segments {
            if segment.range.is_none_or(|(_, last)| last <= after) {
                continue;
            }
            let offset = match self.cursor {
                Some(cursor) if cursor.after == after && cursor.segment == segment.id => cursor.offset,
                _ => HEADER_LEN,
            };
            let bytes = segment.read_from(&self.dir, offset);
            for found in Records::new(&bytes, segment.incarnation) {
                if found.seq <= after {
                    continue;
                }
                if taken > 0 && taken + found.payload.len() > max_bytes {
                    return items;
                }
                if found.seq > after + 1 {
                    items.push(Item::Gap { first: after + 1, last: found.seq - 1 });
                }
                items.push(Item::Record { seq: found.seq, payload: found.payload.to_vec() });
                taken += found.payload.len().max(1);
                after = found.seq;
                self.cursor = Some(Cursor { after, segment: segment.id, offset: offset + found.end as u64 });
            }
        }
        if after < self.last() {
            items.push(Item::Gap { first: after + 1, last: self.last() });
        }
        items
    }

    /// Takes note that everything up to `seq` is durable elsewhere, and deletes the segments that are no longer needed.
    /// A number below the one known is ignored.
    ///
    /// # Errors
    /// [`SpoolError::Ahead`] for a number that was never given out: see [`Spool::restart`].
    pub fn ack(&mut self, seq: u64) -> Result<(), SpoolError> {
        if seq > self.last() {
            return Err(SpoolError::Ahead { acked: seq, last: self.last() });
        }
        if seq <= self.head.acked {
            return Ok(());
        }
        self.head.acked = seq;
        let done = |segment: &Segment| segment.range.is_none_or(|(_, last)| last <= seq);
        if self.closed.iter().any(done) {
            // First the head: a segment that is gone must not look like a gap.
            self.head_file.write(&self.head).map_err(self.io("cannot write the head"))?;
            for segment in self.closed.extract_if(.., |segment| done(segment)) {
                fs::remove_file(segment::path(&self.dir, segment.id)).map_err(|source| SpoolError::Io {
                    action: "cannot delete an acknowledged segment",
                    dir: self.dir.clone(),
                    source,
                })?;
            }
        }
        Ok(())
    }

    /// Begins a new incarnation, in which everything unacknowledged keeps its number. For a directory that was restored from
    /// an older copy: the numbers after it may already have been used for something else.
    ///
    /// # Errors
    /// When the disk cannot be written; then nothing has changed.
    pub fn restart(&mut self) -> Result<(), SpoolError> {
        let incarnation = draw().map_err(self.io("cannot draw a random number"))?;
        self.close_active();
        let acked = self.head.acked;
        let head = Head { incarnation, dropped_events: 0, ..self.head };
        self.head_file.write(&head).map_err(self.io("cannot write the head"))?;
        self.head = head;
        for segment in &mut self.closed {
            let rewritten = segment.rewrite(&self.dir, incarnation, |seq, _| seq > acked);
            match rewritten.map_err(|source| SpoolError::Io {
                action: "cannot rewrite a segment",
                dir: self.dir.clone(),
                source,
            })? {
                Some(new) => *segment = new,
                None => segment.range = None,
            }
        }
        self.closed.retain(|segment| segment.range.is_some());
        Ok(())
    }

    fn write(&mut self, records: &[New]) -> Result<(), SpoolError> {
        let (file, mut segment) = match self.active.take() {
            Some(active) => active,
            None => {
                let id = self.next_id;
                self.next_id += 1;
                segment::create(&self.dir, id, self.head.incarnation).map_err(self.io("cannot create a segment"))?
            }
        };
        let before = segment.clone();
        let mut bytes = Vec::new();
        for (seq, record) in (self.head.next..).zip(records) {
            encode(&mut bytes, segment.incarnation, seq, record.class, &record.payload);
            segment.note(seq, record.class);
        }
        let result = match file.write_all_at(&bytes, before.len) {
            Ok(()) => file.sync_data(),
            // Nothing of it was confirmed. Once it is cut off again, its numbers are free.
            Err(error) if file.set_len(before.len).is_ok() => {
                self.active = Some((file, before));
                return Err(self.io("cannot append")(error));
            }
            Err(error) => Err(error),
        };
        self.head.next += records.len() as u64;
        match result {
            Ok(()) => {
                segment.len = before.len + bytes.len() as u64;
                self.active = Some((file, segment));
                Ok(())
            }
            Err(error) => {
                // It may be on disk or not: never append behind it, never use its numbers again.
                self.active = Some((file, before));
                self.close_active();
                Err(self.io("cannot make what was appended durable")(error))
            }
        }
    }

    fn close_active(&mut self) {
        if let Some((_, segment)) = self.active.take() {
            if segment.range.is_some() {
                self.closed.push(segment);
            } else {
                // Nothing confirmed stands in it; should it stay, opening deletes it.
                fs::remove_file(segment::path(&self.dir, segment.id)).ok();
            }
        }
    }

    /// Deletes unacknowledged records until `wanted` bytes and an eighth of the quota are free: first the states of the
    /// oldest closed segments, then the oldest closed segments.
    fn make_room(&mut self, wanted: u64) -> Result<Option<Dropped>, SpoolError> {
        let target = self.limits.quota - self.limits.quota / 8;
        let mut tally = Tally { acked: self.head.acked, dropped: None };
        self.cursor = None;
        for only_states in [true, false] {
            let mut index = 0;
            while index < self.closed.len() && self.bytes() + wanted > target {
                let segment = &self.closed[index];
                if only_states && segment.states == 0 {
                    index += 1;
                    continue;
                }
                let rewritten = segment.rewrite(&self.dir, segment.incarnation, |seq, class| {
                    let keep = only_states && class == Class::Event && seq > tally.acked;
                    if !keep {
                        tally.note(seq, class);
                    }
                    keep
                });
                match rewritten.map_err(self.io("cannot make room"))? {
                    Some(smaller) => {
                        self.closed[index] = smaller;
                        index += 1;
                    }
                    None => {
                        self.closed.remove(index);
                    }
                }
            }
        }
        self.head.dropped_events += tally.dropped.map_or(0, |dropped| dropped.events);
        Ok(tally.dropped)
    }

    fn count_missing(&self) -> u64 {
        let mut after = self.head.acked;
        let mut missing = 0;
        for segment in &self.closed {
            for found in Records::new(&segment.read_from(&self.dir, HEADER_LEN), segment.incarnation) {
                if found.seq > after {
                    missing += found.seq - after - 1;
                    after = found.seq;
                }
            }
        }
        missing + self.last().saturating_sub(after)
    }

    fn io(&self, action: &'static str) -> impl Fn(io::Error) -> SpoolError + use<> {
        let dir = self.dir.clone();
        move |source| match is_full(&source) {
            true => SpoolError::DiskFull(dir.clone()),
            false => SpoolError::Io { action, dir: dir.clone(), source },
        }
    }
}

/// Counts what `make_room` deletes.
struct Tally {
    acked: u64,
    dropped: Option<Dropped>,
}

impl Tally {
    fn note(&mut self, seq: u64, class: Class) {
        if seq <= self.acked {
            return;
        }
        let dropped = self.dropped.get_or_insert(Dropped { first: seq, last: seq, states: 0, events: 0 });
        dropped.first = dropped.first.min(seq);
        dropped.last = dropped.last.max(seq);
        match class {
            Class::State => dropped.states += 1,
            Class::Event => dropped.events += 1,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn lock(dir: &Path) -> Result<File, SpoolError> {
    let io = |source| SpoolError::Io { action: "cannot lock the directory", dir: dir.to_owned(), source };
    let file = File::open(dir).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(SpoolError::InUse(dir.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(io(error)),
    }
}

fn draw() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
