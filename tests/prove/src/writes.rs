//! Counts what is really written to a file, by the kernel's own word (inotify(7)), whoever writes and whatever they say of it.

use std::mem::MaybeUninit;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

/// Counts from when it was made.
#[derive(Debug)]
pub(crate) struct Writes {
    queue: OwnedFd,
    seen: u64,
}

impl Writes {
    /// Of this file, which may be one of `/proc/sys`.
    pub(crate) fn of(file: &Path) -> Self {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        // Opening is watched, too, because two notices of the same sort in a row would be one.
        inotify::add_watch(&queue, file, WatchFlags::OPEN | WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE).unwrap();
        Self { queue, seen: 0 }
    }

    /// Calls of write(2) until now.
    pub(crate) fn count(&mut self) -> u64 {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.queue, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    assert!(!event.events().contains(ReadFlags::QUEUE_OVERFLOW), "too many writes to count");
                    if event.events().contains(ReadFlags::MODIFY) {
                        self.seen += 1;
                    }
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => panic!("{error}"),
            }
        }
        self.seen
    }
}
