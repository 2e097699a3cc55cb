//! The queue itself.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use common_model::{Class, Incarnation};

use crate::error::{SpoolError, is_full};
use crate::head::{Head, HeadFile};
use crate::open::draw;
use crate::record::{Records, disk_len, encode};
use crate::reserve::Reserve;
use crate::room::Dropped;
use crate::segment::{self, HEADER_LEN, Segment};

/// The longest payload of one record: an envelope's largest body and its other fields.
pub const MAX_RECORD_BYTES: usize = common_model::envelope::MAX_BODY_BYTES + 64 * 1024;

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
    /// What had to go to make room, since the last time this was told.
    pub dropped: Option<Dropped>,
}

/// How large things may get.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of all segments together.
    pub(crate) quota: u64,
    /// A segment is closed once it is this long.
    pub(crate) segment: u64,
    /// Bytes kept for a full disk.
    pub(crate) reserve: u64,
}

/// The queue. One process at a time; all methods block on the disk.
#[derive(Debug)]
pub struct Spool {
    pub(crate) dir: PathBuf,
    pub(crate) limits: Limits,
    head_file: HeadFile,
    pub(crate) head: Head,
    reserve: Reserve,
    /// In order of number; never appended to.
    pub(crate) closed: Vec<Segment>,
    active: Option<(File, Segment)>,
    next_id: u64,
    pub(crate) cursor: Option<Cursor>,
    /// Dropped to make room, and not yet told.
    pub(crate) dropped: Option<Dropped>,
    /// Holds the lock for as long as the spool is open.
    _lock: File,
}

/// Where the read after number `after` begins, so that following the end does not re-read the segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    after: u64,
    segment: u64,
    offset: u64,
}

impl Spool {
    pub(crate) fn new(
        dir: PathBuf,
        limits: Limits,
        head_file: HeadFile,
        head: Head,
        closed: Vec<Segment>,
        next_id: u64,
        lock: File,
    ) -> Self {
        let reserve = Reserve::new(&dir, limits.reserve);
        Self {
            dir,
            limits,
            head_file,
            head,
            reserve,
            closed,
            active: None,
            next_id,
            cursor: None,
            dropped: None,
            _lock: lock,
        }
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
        self.segments().map(|segment| segment.len).sum()
    }

    /// In order of number.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.closed.iter().chain(self.active.as_ref().map(|(_, segment)| segment))
    }

    pub(crate) fn write_head(&mut self) -> io::Result<()> {
        self.head_file.write(&self.head)
    }

    /// Appends all of the records, durably, or none.
    ///
    /// # Errors
    /// Nothing was appended. Some numbers may be skipped, where it is not known what of the records got to the disk; `read`
    /// reports them as a gap.
    pub fn append(&mut self, records: &[New]) -> Result<Appended, SpoolError> {
        if let Some(record) = records.iter().find(|record| record.payload.len() > MAX_RECORD_BYTES) {
            return Err(SpoolError::TooLong(record.payload.len()));
        }
        let bytes: u64 = records.iter().map(|record| disk_len(record.payload.len())).sum();
        if self.bytes() + bytes > self.limits.quota {
            self.make_room(bytes)?;
        }
        if !records.is_empty() {
            self.write(records, bytes)?;
            // The head only repeats what the segment says; it is written again with the next append.
            self.write_head().ok();
            if self.active.as_ref().is_some_and(|(_, segment)| segment.len >= self.limits.segment) {
                self.close_active();
            }
        }
        Ok(Appended { last: self.last(), dropped: self.dropped.take() })
    }

    /// The records after number `after`, and the gaps between them, until the payloads exceed `max_bytes`; at least one
    /// when there is any. Numbers up to the acknowledged one are not there any more.
    pub fn read(&mut self, after: u64, max_bytes: usize) -> Vec<Item> {
        let mut after = after.max(self.head.acked);
        let mut items = Vec::new();
        let mut taken = 0;
        let segments: Vec<Segment> = self.segments().cloned().collect();
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
        self.head.acked = self.head.acked.max(seq);
        self.release()
    }

    /// Does away with the segments of which everything is acknowledged.
    pub(crate) fn release(&mut self) -> Result<(), SpoolError> {
        let acked = self.head.acked;
        let done = |segment: &Segment| segment.range.is_none_or(|(_, last)| last <= acked);
        if !self.closed.iter().any(done) {
            return Ok(());
        }
        // First the head: a segment that is gone must not look like a gap.
        match self.write_head() {
            Ok(()) => {}
            // Some file systems need space even to write again what is there. The next acknowledgement tries again.
            Err(error) if is_full(&error) => return Ok(()),
            Err(error) => return Err(self.failed("cannot write the head")(error)),
        }
        let failed = self.failed("cannot delete an acknowledged segment");
        for segment in self.closed.extract_if(.., |segment| done(segment)) {
            self.reserve.give_back(&segment).map_err(&failed)?;
        }
        Ok(())
    }

    /// Begins a new incarnation, in which everything unacknowledged keeps its number. For a directory that was restored from
    /// an older copy: the numbers after it may already have been used for something else.
    ///
    /// # Errors
    /// When the disk cannot be written; then nothing has changed.
    pub fn restart(&mut self) -> Result<(), SpoolError> {
        let incarnation = draw().map_err(self.failed("cannot draw a random number"))?;
        self.close_active();
        let acked = self.head.acked;
        let head = Head { incarnation, dropped_events: 0, ..self.head };
        self.head_file.write(&head).map_err(self.failed("cannot write the head"))?;
        self.head = head;
        let failed = self.failed("cannot rewrite a segment");
        for segment in &mut self.closed {
            match segment.rewrite(&self.dir, incarnation, |seq, _| seq > acked).map_err(&failed)? {
                Some(new) => *segment = new,
                None => segment.range = None,
            }
        }
        self.closed.retain(|segment| segment.range.is_some());
        Ok(())
    }

    fn write(&mut self, records: &[New], bytes: u64) -> Result<(), SpoolError> {
        let fits = |segment: &Segment| segment.capacity.is_none_or(|capacity| segment.len + bytes <= capacity);
        if self.active.as_ref().is_some_and(|(_, segment)| !fits(segment)) {
            self.close_active();
        }
        match self.write_to_active(records) {
            Err(SpoolError::DiskFull(_)) if self.use_reserve(bytes) => self.write_to_active(records),
            result => result,
        }
    }

    /// Goes on in the reserve; false when there is none, or not enough.
    fn use_reserve(&mut self, bytes: u64) -> bool {
        if HEADER_LEN + bytes > self.reserve.len {
            return false;
        }
        let id = self.next_id();
        let Ok(Some(active)) = self.reserve.take(id, self.head.incarnation) else { return false };
        self.close_active();
        self.active = Some(active);
        true
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn write_to_active(&mut self, records: &[New]) -> Result<(), SpoolError> {
        let (file, mut segment) = match self.active.take() {
            Some(active) => active,
            None => {
                let id = self.next_id();
                segment::create(&self.dir, id, self.head.incarnation).map_err(self.failed("cannot create a segment"))?
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
                return Err(self.failed("cannot append")(error));
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
                Err(self.failed("cannot make what was appended durable")(error))
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

    fn failed(&self, action: &'static str) -> impl Fn(io::Error) -> SpoolError + use<> {
        SpoolError::of(&self.dir, action)
    }
}
