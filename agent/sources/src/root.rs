//! The host's file system as seen by the readers: `/`, or a directory that stands in for it in tests.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Bytes read of a file in `/proc` or `/sys`.
const KERNEL_FILE_CAP: usize = 256 * 1024;

/// Where the host's absolute paths begin.
#[derive(Debug, Clone)]
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The real path of an absolute path of the host.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Opens a regular file. Never waits for a pipe's other end and never takes a terminal; anything but a regular file is
    /// refused.
    pub(crate) fn open(&self, path: &str) -> io::Result<(File, Metadata)> {
        open_regular(&self.at(path))
    }

    /// The first `cap` bytes of a regular file, and whether there were more.
    pub(crate) fn read(&self, path: &str, cap: usize) -> io::Result<(Vec<u8>, bool)> {
        let (file, _) = self.open(path)?;
        read_capped(file, cap)
    }

    /// A small file of the kernel as text, without the final newline.
    pub(crate) fn text(&self, path: &str) -> io::Result<String> {
        let (bytes, _) = self.read(path, KERNEL_FILE_CAP)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Names of a directory's entries, in order.
    pub(crate) fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.at(path))? {
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }
}

fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok((file, metadata))
}

/// At most `cap` bytes, and whether there were more.
pub(crate) fn read_capped(reader: impl Read, cap: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    reader.take(cap as u64 + 1).read_to_end(&mut bytes)?;
    let cut = bytes.len() > cap;
    bytes.truncate(cap);
    Ok((bytes, cut))
}
