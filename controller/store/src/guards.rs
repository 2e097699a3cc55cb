//! Opening sled 0.34.7 safely.
//!
//! Two of its weaknesses are guarded here. It writes snapshots as `snap.N.generating` and, after a kill, may take a torn one
//! for whole and refuse to open for ever: they are removed first. And damage can make `open` fail or panic: the directory is
//! then moved aside, whole, and an empty store is opened, because a controller that does not start helps nobody at three in
//! the morning; agents send their state again by themselves.

use std::fs::{self, File};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::{OpenReport, StoreError, ballast};

const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Two segments of sled's file.
const SPACE_BYTES: usize = 1024 * 1024;
/// How long a closed engine may hold its lock.
const RELEASED: Duration = Duration::from_secs(2);
const LOCK_POLL: Duration = Duration::from_millis(5);

/// Opens the engine in `directory`, which is created if need be.
pub(crate) fn open(directory: &Path) -> Result<(sled::Db, OpenReport), StoreError> {
    let engine = |source| StoreError::Engine { path: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(engine)?;
    let mut report = OpenReport {
        removed_snapshots: remove_snapshots(directory, ".generating").map_err(engine)?,
        ..OpenReport::default()
    };
    let mut opened = open_with_ballast(directory);
    if let Err(Attempt::Damaged(_)) = opened {
        report.removed_snapshots.extend(remove_snapshots(directory, "").map_err(engine)?);
        opened = open_with_ballast(directory);
    }
    if let Err(Attempt::Damaged(_)) = opened {
        report.quarantined = Some(quarantine(directory).map_err(engine)?);
        opened = open_with_ballast(directory);
    }
    report.full = !ballast::keep(directory);
    opened.map(|db| (db, report)).map_err(|attempt| attempt.into_error(directory))
}

/// On a full disk, in the space that is kept for that.
fn open_with_ballast(directory: &Path) -> Result<sled::Db, Attempt> {
    match try_open(directory) {
        Err(Attempt::Io(error)) if is_full(&error) && ballast::release(directory) => try_open(directory),
        other => other,
    }
}

/// Opens the engine once more after a failed write. Never moves anything aside: the store was good when the process began.
pub(crate) fn open_again(directory: &Path) -> Result<sled::Db, StoreError> {
    remove_snapshots(directory, ".generating").map_err(|source| io_error(directory, source))?;
    let opened = open_with_ballast(directory).map_err(|attempt| attempt.into_error(directory));
    ballast::keep(directory);
    opened
}

/// An error unless there is room for the engine to begin a new file segment.
pub(crate) fn check_space(directory: &Path) -> Result<(), StoreError> {
    let path = directory.join("space.tmp");
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![1; SPACE_BYTES])?;
        file.sync_all()
    });
    let removed = fs::remove_file(&path);
    written.and(removed).map_err(|source| io_error(directory, source))
}

enum Attempt {
    InUse,
    Damaged(String),
    Io(io::Error),
}

impl Attempt {
    fn into_error(self, directory: &Path) -> StoreError {
        let path = directory.to_owned();
        match self {
            Attempt::InUse => StoreError::InUse { path },
            Attempt::Io(source) => io_error(&path, source),
            Attempt::Damaged(what) => {
                StoreError::Engine { path, source: io::Error::new(io::ErrorKind::InvalidData, what) }
            }
        }
    }
}

/// A store that was just closed, here or by a process that ends, is locked for a moment more: sled's threads let go of it after
/// the last handle is dropped.
fn try_open(directory: &Path) -> Result<sled::Db, Attempt> {
    let begun = Instant::now();
    loop {
        match attempt(directory) {
            Err(Attempt::InUse) if begun.elapsed() < RELEASED => thread::sleep(LOCK_POLL),
            other => return other,
        }
    }
}

fn attempt(directory: &Path) -> Result<sled::Db, Attempt> {
    let config = sled::Config::new().path(directory).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(db)) => Ok(db),
        // sled reports a held lock as an error of kind Other that quotes the system's.
        Ok(Err(sled::Error::Io(error))) if error.to_string().contains("could not acquire lock") => Err(Attempt::InUse),
        Ok(Err(sled::Error::Io(error))) => Err(Attempt::Io(error)),
        Ok(Err(error)) => Err(Attempt::Damaged(error.to_string())),
        Err(_) => Err(Attempt::Damaged("sled panicked while it opened the store".to_owned())),
    }
}

fn remove_snapshots(directory: &Path, suffix: &str) -> io::Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(suffix) {
            fs::remove_file(&path)?;
            removed.push(path);
        }
    }
    Ok(removed)
}

fn quarantine(directory: &Path) -> io::Result<PathBuf> {
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or("store");
    let free = (1..10_000).map(|n| directory.with_file_name(format!("{name}.damaged-{n}"))).find(|path| !path.exists());
    let target = free.ok_or_else(|| io::Error::other("too many damaged stores are kept beside this one"))?;
    fs::rename(directory, &target)?;
    fs::create_dir_all(directory)?;
    Ok(target)
}

/// Tells a full disk from other failures.
pub(crate) fn io_error(directory: &Path, source: io::Error) -> StoreError {
    let path = directory.to_owned();
    if is_full(&source) { StoreError::DiskFull { path } } else { StoreError::Engine { path, source } }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// As [`io_error`], for what sled says.
pub(crate) fn sled_error(directory: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(source) => io_error(directory, source),
        other => StoreError::Engine { path: directory.to_owned(), source: io::Error::other(other.to_string()) },
    }
}
