//! Why the spool could not do what was asked.

use std::io;
use std::path::{Path, PathBuf};

/// Why the spool could not do what was asked. The spool stays usable, and loses nothing that was confirmed.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it open.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// No space on the disk. Nothing was appended.
    #[error("no space left on the disk that holds {}: free some, the agent goes on by itself", .0.display())]
    DiskFull(PathBuf),
    /// A payload is longer than [`MAX_RECORD_BYTES`](crate::MAX_RECORD_BYTES). Nothing was appended.
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

impl SpoolError {
    /// What the system said while something was being done in the spool's directory.
    pub(crate) fn of(dir: &Path, action: &'static str) -> impl Fn(io::Error) -> Self + use<> {
        let dir = dir.to_owned();
        move |source| match is_full(&source) {
            true => Self::DiskFull(dir.clone()),
            false => Self::Io { action, dir: dir.clone(), source },
        }
    }
}

/// Whether there was no space for what was to be written.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
