//! Carrying out a declared source.

use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use common_evidence::Source;
use common_model::Failure;
use rustix::time::{ClockId, clock_gettime};

use crate::clock::BootClock;
use crate::engines::Searcher;
use crate::failure::{of_io, other};
use crate::owners::Owners;
use crate::packages::PackageReader;
use crate::root::Root;
use crate::{command, file, host, interfaces, processes, sockets, sysctls};

/// Reads sources. Cheap to clone; what it remembers between reads only spares work.
#[derive(Debug, Clone)]
pub struct Reader {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: Root,
    boot: BootClock,
    owners: Mutex<Owners>,
    packages: tokio::sync::Mutex<PackageReader>,
    engines: Mutex<Searcher>,
}

/// Tells cheaply whether files are as they were: device, inode, size, and times of content and attributes of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

/// What reading a source gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The files' fingerprint is the one known.
    Unchanged,
    /// Read; not redacted yet.
    Read {
        /// The body, or why there is none.
        body: Result<Vec<u8>, Failure>,
        /// For the next read; none where the source has none.
        fingerprint: Option<Fingerprint>,
    },
}

impl Default for Reader {
    fn default() -> Self {
        Self::with_root(PathBuf::from("/"), BootClock::live())
    }
}

impl Reader {
    pub(crate) fn with_root(root: PathBuf, boot: BootClock) -> Self {
        let root = Root::new(root);
        let inner =
            Inner { root, boot, owners: Mutex::default(), packages: Default::default(), engines: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The kernel's boot id.
    ///
    /// # Errors
    /// When `/proc` is not there.
    pub fn boot_id(&self) -> Result<String, Failure> {
        const PATH: &str = "/proc/sys/kernel/random/boot_id";
        self.inner.root.text(PATH).map_err(|error| of_io(PATH, &error))
    }

    /// The kernel's host name.
    ///
    /// # Errors
    /// When `/proc` is not there.
    pub fn host_name(&self) -> Result<String, Failure> {
        const PATH: &str = "/proc/sys/kernel/hostname";
        self.inner.root.text(PATH).map_err(|error| of_io(PATH, &error))
    }

    /// Reads a source unless its files' fingerprint is still `known`.
    pub async fn read(&self, source: &Source, known: Option<Fingerprint>) -> Reading {
        let body = match source {
            Source::Command { program, args, timeout, cap } => command::output(*program, args, *timeout, *cap).await,
            Source::Engines => self.engines().await,
            _ => {
                let (reader, source) = (self.clone(), source.clone());
                return blocking(move || reader.read_blocking(&source, known))
                    .await
                    .unwrap_or_else(|failure| Reading::Read { body: Err(failure), fingerprint: None });
            }
        };
        Reading::Read { body, fingerprint: None }
    }

    async fn engines(&self) -> Result<Vec<u8>, Failure> {
        let (packages, problems) = self.inner.packages.lock().await.read(&self.inner.root).await;
        let inner = self.inner.clone();
        blocking(move || {
            let mut searcher = inner.engines.lock().unwrap_or_else(PoisonError::into_inner);
            searcher.body(&inner.root, &inner.boot, packages, problems)
        })
        .await?
    }

    fn read_blocking(&self, source: &Source, known: Option<Fingerprint>) -> Reading {
        // Before the content: a write in between then shows at the next look.
        let fingerprint = self.fingerprint(source);
        if known.is_some() && fingerprint == known {
            return Reading::Unchanged;
        }
        let Inner { root, boot, owners, .. } = &*self.inner;
        let body = match source {
            Source::File { path, cap } => file::whole(root, path, *cap),
            Source::FileTail { path, cap } => file::tail(root, path, *cap),
            Source::Files { places, suffix, cap } => file::all(root, places, suffix, *cap),
            Source::Sockets => sockets::body(root, &mut owners.lock().unwrap_or_else(PoisonError::into_inner)),
            Source::Interfaces => interfaces::body(),
            Source::Sysctls(names) => sysctls::body(root, names),
            Source::Processes(engine) => processes::body(root, boot, engine),
            Source::Host => host::body(root, boot),
            Source::Command { .. } | Source::Engines | Source::Journal { .. } => {
                Err(other("not read in this way".to_owned()))
            }
        };
        Reading::Read { body, fingerprint }
    }

    fn fingerprint(&self, source: &Source) -> Option<Fingerprint> {
        let root = &self.inner.root;
        let paths = match source {
            Source::File { path, .. } | Source::FileTail { path, .. } => vec![path.clone()],
            Source::Files { places, suffix, .. } => file::paths(root, places, suffix).ok()?,
            _ => return None,
        };
        let mut hasher = DefaultHasher::new();
        for path in paths {
            path.hash(&mut hasher);
            let metadata = root.at(&path).metadata().ok();
            if metadata.as_ref().is_some_and(is_recent) {
                return None;
            }
            metadata
                .map(|m| (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()))
                .hash(&mut hasher);
        }
        Some(Fingerprint(hasher.finish()))
    }
}

/// A file changed twice within one tick of the kernel's clock shows the same times.
fn is_recent(metadata: &Metadata) -> bool {
    metadata.ctime() >= clock_gettime(ClockId::Realtime).tv_sec - 1
}

/// A panic in a reader is a failure of that read alone.
async fn blocking<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(read).await.map_err(|error| other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use common_evidence::source::FileRead;

    async fn text(reader: &Reader, source: &Source, known: Option<Fingerprint>) -> (String, Option<Fingerprint>) {
        match reader.read(source, known).await {
            Reading::Unchanged => ("unchanged".to_owned(), known),
            Reading::Read { body: Ok(body), fingerprint } => {
                (serde_json::from_slice::<FileRead>(&body).unwrap().text, fingerprint)
            }
            Reading::Read { body: Err(failure), fingerprint } => (format!("{:?}", failure.reason), fingerprint),
        }
    }

    #[tokio::test]
    async fn a_file_is_read_again_only_when_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let reader = Reader::with_root(dir.path().to_owned(), BootClock::Fixed(0));
        let source = Source::File { path: "/a.yml".to_owned(), cap: 100 };
        let (missing, known) = text(&reader, &source, None).await;
        assert_eq!(missing, "Missing");
        assert_eq!(text(&reader, &source, known).await.0, "unchanged");
        std::fs::write(dir.path().join("a.yml"), "one").unwrap();
        let (one, known) = text(&reader, &source, known).await;
        assert_eq!((one.as_str(), known), ("one", None), "it may change again within the same tick");
        assert_eq!(text(&reader, &source, known).await.0, "one");
    }

    #[tokio::test]
    async fn a_file_that_lies_untouched_has_a_fingerprint() {
        let reader = Reader::default();
        let source = Source::File { path: "/etc/passwd".to_owned(), cap: 100_000 };
        let known = text(&reader, &source, None).await.1;
        assert!(known.is_some());
        assert_eq!(text(&reader, &source, known).await.0, "unchanged");
    }
}
