//! Waiting for the kernel to say that something changed: directories by inotify(7), the packet filter and the network by
//! netlink's multicast groups.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use rustix::net::netlink::NETFILTER;
use rustix::net::{RecvFlags, SocketFlags, recv};
use tokio::io::unix::AsyncFd;

use crate::netlink;

/// Watched directories. Every change of a name, and every file closed after writing, counts; single writes to a file that
/// stays open (a log) do not.
#[derive(Debug)]
pub struct Directories {
    fd: AsyncFd<OwnedFd>,
    /// Several names may be of one directory.
    watched: BTreeMap<i32, BTreeSet<String>>,
}

impl Directories {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// When the system has no more inotify instances. Needs a runtime.
    pub fn new() -> io::Result<Self> {
        let fd = register(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?)?;
        Ok(Self { fd, watched: BTreeMap::new() })
    }

    /// Watches exactly these directories and gives those that were not watched before. Those that cannot be watched, for
    /// example because they do not exist yet, are left out until the next call.
    pub fn watch(&mut self, wanted: &BTreeSet<String>) -> Vec<String> {
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        for names in self.watched.values_mut() {
            names.retain(|name| wanted.contains(name));
        }
        let unwanted: Vec<i32> = self.watched.iter().filter(|(_, names)| names.is_empty()).map(|(wd, _)| *wd).collect();
        for wd in unwanted {
            self.forget(wd);
        }
        let mut appeared = Vec::new();
        for dir in wanted {
            if !self.watched.values().any(|names| names.contains(dir))
                && let Ok(wd) = inotify::add_watch(&self.fd, dir.as_str(), flags)
            {
                self.watched.entry(wd).or_default().insert(dir.clone());
                appeared.push(dir.clone());
            }
        }
        appeared
    }

    /// Waits until something changed in some of the directories.
    ///
    /// # Errors
    /// When inotify itself fails.
    pub async fn changed(&mut self) -> io::Result<BTreeSet<String>> {
        loop {
            let mut guard = self.fd.readable().await?;
            let (events, result) = drain(self.fd.get_ref());
            guard.clear_ready();
            let mut changed = BTreeSet::new();
            for (wd, flags) in events {
                if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                    changed.extend(self.watched.values().flatten().cloned());
                }
                changed.extend(self.watched.get(&wd).into_iter().flatten().cloned());
                // Renamed away, deleted or unmounted: what has the name next is another directory.
                if flags.intersects(ReadFlags::IGNORED | ReadFlags::MOVE_SELF) {
                    self.forget(wd);
                }
            }
            result?;
            if !changed.is_empty() {
                return Ok(changed);
            }
        }
    }

    fn forget(&mut self, wd: i32) {
        if self.watched.remove(&wd).is_some() {
            // The kernel may have removed it already.
            inotify::remove_watch(&self.fd, wd).ok();
        }
    }
}

fn drain(fd: &OwnedFd) -> (Vec<(i32, ReadFlags)>, io::Result<()>) {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut reader = inotify::Reader::new(fd, &mut buffer);
    let mut events = Vec::new();
    loop {
        match reader.next() {
            Ok(event) => events.push((event.wd(), event.events())),
            Err(Errno::AGAIN | Errno::INTR) => return (events, Ok(())),
            Err(error) => return (events, Err(error.into())),
        }
    }
}

/// A subscription to the kernel's own notices.
#[derive(Debug)]
pub struct Kernel {
    fd: AsyncFd<OwnedFd>,
}

impl Kernel {
    /// Hears of every change of the nftables ruleset. Needs CAP_NET_ADMIN.
    ///
    /// # Errors
    /// When the kernel refuses. Needs a runtime.
    pub fn nftables() -> io::Result<Self> {
        /// NFNLGRP_NFTABLES of linux/netfilter/nfnetlink.h.
        const GROUP: u32 = 7;
        Self::subscribe(Some(NETFILTER), &[GROUP])
    }

    /// Hears of every change of an interface, address or route.
    ///
    /// # Errors
    /// When the kernel refuses. Needs a runtime.
    pub fn network() -> io::Result<Self> {
        /// RTNLGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR and _IPV6_ROUTE of linux/rtnetlink.h.
        const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];
        Self::subscribe(None, &GROUPS)
    }

    fn subscribe(protocol: Option<rustix::net::Protocol>, groups: &[u32]) -> io::Result<Self> {
        let mask = groups.iter().fold(0, |mask, group| mask | 1 << (group - 1));
        Ok(Self { fd: register(netlink::open(protocol, mask, SocketFlags::NONBLOCK)?)? })
    }

    /// Waits until something changed; changes in quick succession may be told as one.
    ///
    /// # Errors
    /// When the socket itself fails.
    pub async fn changed(&mut self) -> io::Result<()> {
        let mut guard = self.fd.readable().await?;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match recv(self.fd.get_ref(), &mut buffer[..], RecvFlags::empty()) {
                // Too much to be queued is a change, too.
                Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        guard.clear_ready();
        Ok(())
    }
}

#[allow(unsafe_code)]
fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is open and owned by `fd` alone, and an `OwnedFd` names the same descriptor until it is dropped.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn within<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
    }

    #[tokio::test]
    async fn writes_renames_and_replaced_directories_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("conf");
        std::fs::create_dir(&sub).unwrap();
        let name = sub.to_str().unwrap().to_owned();
        let wanted = BTreeSet::from([name.clone(), "/no/such/directory".to_owned()]);
        let mut directories = Directories::new().unwrap();
        assert_eq!(directories.watch(&wanted), vec![name.clone()]);
        assert!(directories.watch(&wanted).is_empty());
        std::fs::write(sub.join("a.yml"), "x").unwrap();
        assert_eq!(within(directories.changed()).await.unwrap(), BTreeSet::from([name.clone()]));
        std::fs::rename(&sub, dir.path().join("old")).unwrap();
        within(directories.changed()).await.unwrap();
        std::fs::create_dir(&sub).unwrap();
        directories.watch(&wanted);
        std::fs::write(sub.join("b.yml"), "x").unwrap();
        assert_eq!(within(directories.changed()).await.unwrap(), BTreeSet::from([name]));
    }
}
