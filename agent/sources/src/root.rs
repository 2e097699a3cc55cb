//! The host's file system as seen by the readers: `/`, or a directory that stands in for it in tests.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::fs::{Dir, OFlags};

use crate::links;

/// Bytes read of a file in `/proc` or `/sys`.
const KERNEL_FILE_CAP: usize = 256 * 1024;

/// How files are opened.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

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
    /// refused, and so is one that somebody's link leads to who could not read it.
    pub(crate) fn open(&self, path: &str) -> io::Result<(File, Metadata)> {
        regular(links::open(&self.0, path, READ)?.into())
    }

    /// The first `cap` bytes of a regular file, and whether there were more.
    pub(crate) fn read(&self, path: &str, cap: usize) -> io::Result<(Vec<u8>, bool)> {
        let (file, _) = self.open(path)?;
        read_capped(file, cap)
    }

    /// The first `cap` bytes of a file of the kernel or the system, whose path nobody else chose and where the links are the
    /// kernel's own.
    pub(crate) fn system(&self, path: &str, cap: usize) -> io::Result<Vec<u8>> {
        let (file, _) = regular(OpenOptions::new().read(true).custom_flags(READ.bits() as i32).open(self.at(path))?)?;
        Ok(read_capped(file, cap)?.0)
    }

    /// A small one as text, without the final newline.
    pub(crate) fn text(&self, path: &str) -> io::Result<String> {
        let bytes = self.system(path, KERNEL_FILE_CAP)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Names of a directory's entries, in order; links are followed as by [`Root::open`].
    pub(crate) fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let directory = links::open(&self.0, path, READ | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::new(directory)? {
            let entry = entry?;
            names
                .extend(entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | "..")).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }
}

fn regular(file: File) -> io::Result<(File, Metadata)> {
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
