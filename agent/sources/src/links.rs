//! Opening a path without being led astray by the links on it.
//!
//! The agent may read every file; whoever owns an engine's directory may not, but could put a link there. So a link is
//! followed when it belongs to root or to the agent's own user, or when it leads to what its owner could have read without
//! the agent: a file of theirs, or one that everybody can read. Every step is taken from the directory opened before, so
//! nothing that is exchanged meanwhile leads elsewhere.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::Errno;

/// As many as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Opens `path`, an absolute path of the host that `base` stands for, for reading.
///
/// # Errors
/// As of open(2); `PermissionDenied` with the reason where a link is not followed.
pub(crate) fn open(base: &Path, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let mut walk = Walk::begin(base)?;
    let mut names: VecDeque<OsString> = names(path.as_bytes()).collect();
    while let Some(name) = names.pop_front() {
        match walk.step(&name)? {
            Step::Within => {}
            Step::Link(target) => {
                for name in self::names(&target).rev() {
                    names.push_front(name);
                }
            }
            Step::File if names.is_empty() => return walk.open(&name, flags),
            Step::File => return Err(Errno::NOTDIR.into()),
        }
    }
    walk.open(OsStr::new("."), flags)
}

/// The names on a path, without those that stay where they are.
fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = OsString> {
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    names.map(|name| OsString::from_vec(name.to_vec()))
}

/// What a name turned out to be.
enum Step {
    /// A directory, which the walk is in now.
    Within,
    /// A link that leads there.
    Link(Vec<u8>),
    /// Anything else.
    File,
}

struct Walk {
    /// From the base to where the walk is.
    directories: Vec<(OwnedFd, Stat)>,
    links: usize,
    /// Owners of the links followed that could have put them there to mislead.
    strangers: Vec<u32>,
}

impl Walk {
    fn begin(base: &Path) -> io::Result<Self> {
        let base = rustix::fs::open(base, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let stat = fstat(&base)?;
        Ok(Self { directories: vec![(base, stat)], links: 0, strangers: Vec::new() })
    }

    fn here(&self) -> io::Result<impl AsFd + '_> {
        self.directories.last().map(|(directory, _)| directory).ok_or_else(|| Errno::NOENT.into())
    }

    fn step(&mut self, name: &OsStr) -> io::Result<Step> {
        if name == ".." {
            self.directories.truncate(self.directories.len().saturating_sub(1).max(1));
            return Ok(Step::Within);
        }
        let found = openat(self.here()?, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let stat = fstat(&found)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                self.directories.push((found, stat));
                Step::Within
            }
            FileType::Symlink => Step::Link(self.follow(&found, &stat)?),
            _ => Step::File,
        })
    }

    fn follow(&mut self, link: &OwnedFd, stat: &Stat) -> io::Result<Vec<u8>> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        let trusted = stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw();
        if !trusted {
            self.strangers.push(stat.st_uid);
        }
        let target = readlinkat(link, "", Vec::new())?.into_bytes();
        if target.starts_with(b"/") {
            self.directories.truncate(1);
        }
        Ok(target)
    }

    /// Opens what the walk has come to, if it may be.
    fn open(&self, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
        let opened = openat(self.here()?, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let stat = fstat(&opened)?;
        let open_to_all =
            self.directories.iter().all(|(_, directory)| allows(directory, Mode::XOTH)) && allows(&stat, Mode::ROTH);
        match self.strangers.iter().find(|stranger| !open_to_all && **stranger != stat.st_uid) {
            None => Ok(opened),
            Some(stranger) => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("a link of user id {stranger} leads to what that user may not read; it was not followed"),
            )),
        }
    }
}

fn allows(stat: &Stat, mode: Mode) -> bool {
    Mode::from_raw_mode(stat.st_mode).contains(mode)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use super::*;

    /// A host with a secret of root, a file for all, and a directory of the engine's user.
    fn host() -> tempfile::TempDir {
        let host = tempfile::tempdir().unwrap();
        let at = |path: &str| host.path().join(path);
        for (directory, mode) in [("", 0o755), ("root", 0o700), ("srv", 0o755), ("engine", 0o755)] {
            fs::create_dir_all(at(directory)).unwrap();
            fs::set_permissions(at(directory), Permissions::from_mode(mode)).unwrap();
        }
        for (file, mode) in [("root/open", 0o644), ("srv/secret", 0o640), ("srv/open", 0o644), ("engine/own", 0o600)] {
            fs::write(at(file), file).unwrap();
            fs::set_permissions(at(file), Permissions::from_mode(mode)).unwrap();
        }
        host
    }

    fn read(host: &tempfile::TempDir, path: &str) -> io::Result<String> {
        let mut text = String::new();
        fs::File::from(open(host.path(), path, OFlags::RDONLY)?).read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn links_lead_where_the_kernel_would_go_within_the_host() {
        let host = host();
        let at = |path: &str| host.path().join(path);
        symlink("/srv", at("absolute")).unwrap();
        symlink("../srv/open", at("engine/relative")).unwrap();
        symlink("relative", at("engine/twice")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for path in
            ["/srv/open", "//srv/./open", "/absolute/open", "/engine/relative", "/engine/twice", "/../srv/../srv/open"]
        {
            assert_eq!(read(&host, path).unwrap(), "srv/open", "{path}");
        }
        assert_eq!(read(&host, "/loop").unwrap_err().raw_os_error(), Some(Errno::LOOP.raw_os_error()));
        assert_eq!(read(&host, "/srv/open/x").unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(read(&host, "/none").unwrap_err().kind(), io::ErrorKind::NotFound);
        let directory = open(host.path(), "/absolute", OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
        assert_eq!(FileType::from_raw_mode(fstat(directory).unwrap().st_mode), FileType::Directory);
    }

    /// Only root can make what belongs to others; elsewhere there is nothing to be protected from either.
    #[test]
    fn a_link_leads_its_owner_nowhere_they_could_not_go_themselves() {
        const ENGINE: Option<u32> = Some(4711);
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let host = host();
        let at = |path: &str| host.path().join(path);
        lchown(at("engine/own"), ENGINE, ENGINE).unwrap();
        let link = |name: &str, target: &str, owner: Option<u32>| {
            symlink(target, at(name)).unwrap();
            lchown(at(name), owner, owner).unwrap();
        };
        link("engine/to-secret", "/srv/secret", ENGINE);
        link("engine/to-hidden", "/root/open", ENGINE);
        link("engine/to-directory", "/srv", ENGINE);
        link("engine/to-open", "/srv/open", ENGINE);
        link("engine/to-own", "own", ENGINE);
        link("by-root", "/srv/secret", Some(0));
        link("engine/to-root-link", "/by-root", ENGINE);
        for path in ["/engine/to-secret", "/engine/to-hidden", "/engine/to-directory/secret", "/engine/to-root-link"] {
            let refused = read(&host, path).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{path}: {refused}");
            assert!(refused.to_string().contains("a link of user id 4711"), "{path}: {refused}");
        }
        for (path, text) in [
            ("/engine/to-open", "srv/open"),
            ("/engine/to-own", "engine/own"),
            ("/engine/to-directory/open", "srv/open"),
            ("/by-root", "srv/secret"),
            ("/srv/secret", "srv/secret"),
        ] {
            assert_eq!(read(&host, path).unwrap(), text, "{path}");
        }
    }
}
