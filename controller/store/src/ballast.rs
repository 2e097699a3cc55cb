//! Space that is kept so that the store can be opened on a full disk: sled writes a snapshot and the rest of a segment when it
//! opens, up to half a megabyte and a little for each gigabyte stored.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const BYTES: u64 = 4 * 1024 * 1024;

/// Keeps the space, or as much of it as there is; false when that is not all.
pub(crate) fn keep(directory: &Path) -> bool {
    // What fits stays there: on a full disk it is what opening has left of it, and the next start needs it.
    let kept = OpenOptions::new().create(true).append(true).open(path(directory)).and_then(|mut file| {
        let missing = BYTES.saturating_sub(file.metadata()?.len());
        io::copy(&mut io::repeat(0).take(missing), &mut file)
    });
    kept.is_ok()
}

/// Gives it free; false when there was none.
pub(crate) fn release(directory: &Path) -> bool {
    fs::remove_file(path(directory)).is_ok()
}

fn path(directory: &Path) -> PathBuf {
    directory.join("ballast")
}
