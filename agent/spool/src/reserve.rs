//! Space kept for a full disk: a file of zeros that becomes a segment when no other can be written, and a file of zeros again once
//! what it held is acknowledged. An agent that is connected thus goes on telling of a host whose disk is full.
//!
//! The space is never given back in between: whoever filled the disk would have it at once.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::segment::{self, Segment, sync_dir};

/// The file, there or not.
#[derive(Debug)]
pub(crate) struct Reserve {
    dir: PathBuf,
    /// Its length, and that of a segment it becomes.
    pub(crate) len: u64,
}

impl Reserve {
    /// Sets it up. Where there is no room for it, there is none.
    pub(crate) fn new(dir: &Path, len: u64) -> Self {
        let reserve = Self { dir: dir.to_owned(), len };
        // Made without waiting for the disk: after a loss of power its blocks may not be there. They come in units of 512.
        let is_there = fs::metadata(reserve.path()).is_ok_and(|is| is.len() == len && is.blocks() * 512 >= len);
        if len > 0 && !is_there {
            reserve.make().ok();
        }
        reserve
    }

    /// Makes it a segment; none when there is no reserve.
    pub(crate) fn take(&self, id: u64, incarnation: u64) -> io::Result<Option<(File, Segment)>> {
        let file = match OpenOptions::new().write(true).open(self.path()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let segment = Segment { capacity: Some(self.len), ..Segment::begin(&file, id, incarnation)? };
        file.sync_data()?;
        fs::rename(self.path(), segment::path(&self.dir, id))?;
        sync_dir(&self.dir)?;
        Ok(Some((file, segment)))
    }

    /// Does away with a segment that is needed no more: what was the reserve is so again, any other is deleted.
    pub(crate) fn give_back(&self, segment: &Segment) -> io::Result<()> {
        let path = segment::path(&self.dir, segment.id);
        if segment.capacity != Some(self.len) || self.path().exists() {
            return fs::remove_file(path);
        }
        let file = OpenOptions::new().write(true).open(&path)?;
        file.write_all_at(&vec![0; usize::try_from(segment.len).unwrap_or(usize::MAX)], 0)?;
        file.sync_data()?;
        fs::rename(path, self.path())?;
        sync_dir(&self.dir)
    }

    fn make(&self) -> io::Result<()> {
        let unfinished = self.dir.join("reserve.tmp");
        let made = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| io::copy(&mut io::Read::take(io::repeat(0), self.len), &mut file))
            .and_then(|_| fs::rename(&unfinished, self.path()));
        if made.is_err() {
            // A full disk must get its space back; that the file may not be there is fine.
            fs::remove_file(unfinished).ok();
        }
        made
    }

    fn path(&self) -> PathBuf {
        self.dir.join("reserve")
    }
}
