//! A segment file: a header with the incarnation, then records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use common_model::Class;

use crate::record::{Records, crc, encode};

const MAGIC: u64 = u64::from_le_bytes(*b"DTsegm01");
/// Bytes before the first record.
pub(crate) const HEADER_LEN: u64 = 20;
const SUFFIX: &str = "seg";

/// What is known of a segment without reading it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Names the file; only has to be unique.
    pub(crate) id: u64,
    /// Salt of its records.
    pub(crate) incarnation: u64,
    /// Lowest and highest number in it; none when it holds no good record.
    pub(crate) range: Option<(u64, u64)>,
    /// How many states it holds.
    pub(crate) states: usize,
    /// Size of the file up to which it was read or written.
    pub(crate) len: u64,
    /// Bytes that it may have at most, which are on the disk already; none where it may grow.
    pub(crate) capacity: Option<u64>,
}

pub(crate) fn path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:016x}.{SUFFIX}"))
}

/// The ids of all segment files; removes temporary files that an interrupted rewrite left.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(SUFFIX) => ids.extend(u64::from_str_radix(stem, 16).ok()),
            Some("tmp") => fs::remove_file(&path)?,
            _ => {}
        }
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Creates an empty segment.
pub(crate) fn create(dir: &Path, id: u64, incarnation: u64) -> io::Result<(File, Segment)> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path(dir, id))?;
    let begun = Segment::begin(&file, id, incarnation).and_then(|segment| sync_dir(dir).map(|()| segment));
    match begun {
        Ok(segment) => Ok((file, segment)),
        Err(error) => {
            // Otherwise a full disk would leave one empty file for each attempt.
            fs::remove_file(path(dir, id))?;
            Err(error)
        }
    }
}

/// Reads a segment written by an earlier process; with it, how many bytes belong to no good record. `fallback` is its salt should
/// its header be damaged, `reserve` the length of one that was made of the reserve.
pub(crate) fn scan(dir: &Path, id: u64, fallback: u64, reserve: u64) -> io::Result<(Segment, u64)> {
    let bytes = fs::read(path(dir, id))?;
    let incarnation = incarnation_of(&bytes).unwrap_or(fallback);
    let body = bytes.get(HEADER_LEN as usize..).unwrap_or_default();
    let len = bytes.len() as u64;
    let mut segment =
        Segment { id, incarnation, range: None, states: 0, len, capacity: (len == reserve).then_some(reserve) };
    let mut records = Records::new(body, incarnation);
    for found in records.by_ref() {
        segment.note(found.seq, found.class);
    }
    Ok((segment, records.damaged()))
}

/// The incarnation in a segment's header, when the header is whole.
pub(crate) fn incarnation(dir: &Path, id: u64) -> Option<u64> {
    let file = File::open(path(dir, id)).ok()?;
    let mut bytes = [0; HEADER_LEN as usize];
    file.read_exact_at(&mut bytes, 0).ok()?;
    incarnation_of(&bytes)
}

fn header(incarnation: u64) -> Vec<u8> {
    let mut bytes = [MAGIC.to_le_bytes(), incarnation.to_le_bytes()].concat();
    bytes.extend_from_slice(&crc(MAGIC, &bytes).to_le_bytes());
    bytes
}

fn incarnation_of(bytes: &[u8]) -> Option<u64> {
    let bytes = bytes.get(..HEADER_LEN as usize)?;
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[8..16]);
    let incarnation = u64::from_le_bytes(word);
    (bytes == header(incarnation)).then_some(incarnation)
}

impl Segment {
    /// Begins a segment in a file.
    pub(crate) fn begin(file: &File, id: u64, incarnation: u64) -> io::Result<Self> {
        file.write_all_at(&header(incarnation), 0)?;
        Ok(Self { id, incarnation, range: None, states: 0, len: HEADER_LEN, capacity: None })
    }

    /// Takes note of a record that stands in it.
    pub(crate) fn note(&mut self, seq: u64, class: Class) {
        self.range = Some(self.range.map_or((seq, seq), |(first, last)| (first.min(seq), last.max(seq))));
        self.states += usize::from(class == Class::State);
    }

    /// The bytes from `offset` to the end. What cannot be read counts as damaged: its numbers become a gap.
    pub(crate) fn read_from(&self, dir: &Path, offset: u64) -> Vec<u8> {
        let mut bytes = vec![0; self.len.saturating_sub(offset) as usize];
        let read = File::open(path(dir, self.id)).and_then(|file| read_up_to(&file, &mut bytes, offset));
        bytes.truncate(read.unwrap_or(0));
        bytes
    }

    /// Writes the segment anew with only the records that `keep` wants, under `incarnation`, in one step. None when none is left; the file is
    /// then deleted.
    pub(crate) fn rewrite(
        &self,
        dir: &Path,
        incarnation: u64,
        mut keep: impl FnMut(u64, Class) -> bool,
    ) -> io::Result<Option<Segment>> {
        let old = self.read_from(dir, HEADER_LEN);
        let mut new = header(incarnation);
        let mut segment = Segment { id: self.id, incarnation, range: None, states: 0, len: 0, capacity: None };
        for found in Records::new(&old, self.incarnation) {
            if keep(found.seq, found.class) {
                encode(&mut new, incarnation, found.seq, found.class, found.payload);
                segment.note(found.seq, found.class);
            }
        }
        if segment.range.is_none() {
            fs::remove_file(path(dir, self.id))?;
            return Ok(None);
        }
        segment.len = new.len() as u64;
        replace(dir, self.id, &new)?;
        Ok(Some(segment))
    }
}

fn replace(dir: &Path, id: u64, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!("{id:016x}.tmp"));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_data()))
        .and_then(|()| fs::rename(&temporary, path(dir, id)));
    if let Err(error) = written {
        // A full disk must get its space back; that the file may not be there is fine.
        fs::remove_file(&temporary).ok();
        return Err(error);
    }
    sync_dir(dir)
}

/// Makes created, renamed and deleted names durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], offset + done as u64)? {
            0 => break,
            n => done += n,
        }
    }
    Ok(done)
}
