//! The audit log outside the store: every entry, as its exact line, in order and without a gap, into a file or to syslog as it is
//! written. What could not be delivered is delivered later; after a crash the last entries may come a second time, never none.
//!
//! Partition `audit-export`: `file` and `syslog` hold the number of the last entry that was delivered there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common_plan::audit::AuditEntry;
use controller_store::{Batch, Store, StoreError};
use tracing::{error, info};

use super::Audit;
use crate::core::{Core, blocking, chain};

const PARTITION: &str = "audit-export";
/// Where the local syslog or journal listens.
const SYSLOG: &str = "/dev/log";
/// Facility authpriv (10), severity notice (5): RFC 3164, section 4.1.1.
const PRIORITY: u8 = 10 * 8 + 5;
/// Until what failed is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a full socket is waited for.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest line of an entry, in bytes, with room to spare.
const MAX_LINE: u64 = 256 * 1024;

/// Why nothing more was delivered for now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// The place cannot be written.
    #[error("cannot write {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// What is there is not what was written there.
    #[error("{} does not end in an entry of this audit log: move it away, a new one is begun", .0.display())]
    Foreign(PathBuf),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store says is no number.
    #[error("how far the audit log was exported cannot be read")]
    Cursor(#[from] serde_json::Error),
}

/// Where entries go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sink {
    /// A file of lines.
    File(PathBuf),
    /// A datagram socket that syslog or the journal reads.
    Syslog(PathBuf),
}

impl Sink {
    /// Those that are configured.
    pub(crate) fn of(settings: &super::settings::AuditExport) -> Vec<Self> {
        let file = settings.file.clone().map(Sink::File);
        let syslog = settings.syslog.then(|| Sink::Syslog(PathBuf::from(SYSLOG)));
        file.into_iter().chain(syslog).collect()
    }

    fn key(&self) -> &'static str {
        match self {
            Sink::File(_) => "file",
            Sink::Syslog(_) => "syslog",
        }
    }
}

/// Delivers entries as they come, until the controller stops.
pub(crate) async fn keep(core: Arc<Core>, store: Arc<dyn Store>, sink: Sink) {
    let mut written = core.audit.written();
    let mut failing = false;
    loop {
        let delivered = blocking({
            let (core, store, sink) = (Arc::clone(&core), Arc::clone(&store), sink.clone());
            move || Ok::<_, tonic::Status>(deliver(&*store, &core.audit, &sink).map_err(|error| chain(&error)))
        });
        let delivered = delivered.await.unwrap_or_else(|status| Err(status.message().to_owned()));
        match (&delivered, failing) {
            (Err(why), false) => error!(to = ?sink, why, "the audit log is not exported; tried again"),
            (Ok(_), true) => info!(to = ?sink, "the audit log is exported again"),
            _ => {}
        }
        failing = delivered.is_err();
        let wait = async {
            match delivered {
                // There may be more.
                Ok(true) => {}
                Ok(false) => drop(written.changed().await),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        };
        tokio::select! {
            () = wait => {}
            () = core.stopping.cancelled() => return,
        }
    }
}

/// Delivers some of the entries that were not yet; true when there were any.
fn deliver(store: &dyn Store, audit: &Audit, sink: &Sink) -> Result<bool, ExportError> {
    let known = match store.get(PARTITION, sink.key())? {
        Some(stored) => serde_json::from_slice(&stored.value)?,
        None => 0,
    };
    let (last, result) = match sink {
        Sink::File(path) => {
            let (mut file, last) = open(path, audit, known)?;
            let lines = audit.read(last + 1)?;
            let reached = lines.last().map_or(last, |(seq, _)| *seq);
            let text: String = lines.iter().flat_map(|(_, line)| [line.as_str(), "\n"]).collect();
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
            written.map_err(|source| ExportError::Io(path.clone(), source))?;
            (reached, Ok(()))
        }
        Sink::Syslog(path) => send(path, known, &audit.read(known + 1)?),
    };
    if last > known {
        store.commit(PARTITION, &Batch::default().put(sink.key(), serde_json::to_vec(&last)?))?;
    }
    result?;
    Ok(last > known)
}

/// The file, and the number of its last entry; of one that is empty, because it is new or the old one was moved away, the number
/// that was reached before. A line that was not written whole is taken away.
fn open(path: &Path, audit: &Audit, known: u64) -> Result<(File, u64), ExportError> {
    let failed = |source| ExportError::Io(path.to_owned(), source);
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let begin = length.saturating_sub(2 * MAX_LINE);
    file.seek(SeekFrom::Start(begin)).map_err(failed)?;
    let mut tail = Vec::new();
    Read::by_ref(&mut file).take(2 * MAX_LINE).read_to_end(&mut tail).map_err(failed)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < tail.len() {
        file.set_len(begin + whole as u64).map_err(failed)?;
    }
    let Some(line) = tail.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n').rfind(|line| !line.is_empty())
    else {
        return if begin == 0 { Ok((file, known)) } else { Err(ExportError::Foreign(path.to_owned())) };
    };
    let entry: Option<AuditEntry> = serde_json::from_slice(line).ok();
    let ours = |entry: &AuditEntry| {
        let stored = audit.read(entry.seq).ok()?;
        stored.first().is_some_and(|(_, stored)| stored.as_bytes() == line).then_some(entry.seq)
    };
    let last = entry.as_ref().and_then(ours).ok_or_else(|| ExportError::Foreign(path.to_owned()))?;
    Ok((file, last))
}

/// Sends what it can; the number of the last that was sent.
fn send(path: &Path, known: u64, lines: &[(u64, String)]) -> (u64, Result<(), ExportError>) {
    let mut last = known;
    let mut all = || {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        socket.connect(path)?;
        for (seq, line) in lines {
            socket.send(frame(line).as_bytes())?;
            last = *seq;
        }
        Ok(())
    };
    let sent = all().map_err(|source| ExportError::Io(path.to_owned(), source));
    (last, sent)
}

/// As a program on the same machine says it to syslog. The entry has its own time; its text can end no line and no frame.
fn frame(line: &str) -> String {
    format!("<{PRIORITY}>dialtone-controller[{}]: {line}", std::process::id())
}

#[cfg(test)]
mod tests {
    use common_model::Timestamp;
    use controller_store::SledStore;

    use super::super::Note;
    use super::*;

    struct Scene {
        directory: tempfile::TempDir,
        store: Arc<dyn Store>,
        audit: Audit,
    }

    impl Scene {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store: Arc<dyn Store> = Arc::new(SledStore::open(&directory.path().join("store")).unwrap().0);
            Self { directory, audit: Audit::new(Arc::clone(&store)), store }
        }

        fn write(&self, count: usize) {
            for n in 0..count {
                let detail = format!("entry\n{n} \u{1b}[2J <0>forged: \"quoted\"");
                let note = Note { actor: "operator alice".to_owned(), event: "login", plan: None, detail };
                self.audit.append(&note, Timestamp(0)).unwrap();
            }
        }

        fn sink(&self) -> (Sink, PathBuf) {
            let path = self.directory.path().join("audit.jsonl");
            (Sink::File(path.clone()), path)
        }

        fn deliver(&self, sink: &Sink) -> Result<(), ExportError> {
            while deliver(&*self.store, &self.audit, sink)? {}
            Ok(())
        }

        /// The numbers of the lines, which have to be one chain.
        fn chained(&self, text: &str) -> u64 {
            common_plan::audit::verify(text.lines()).unwrap().0
        }
    }

    #[test]
    fn a_file_gets_every_entry_once_and_goes_on_where_it_stopped() {
        let scene = Scene::new();
        let (sink, path) = scene.sink();
        for count in [0, 3, 1100, 0, 2] {
            scene.write(count);
            scene.deliver(&sink).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(scene.chained(&text), 1105);
        // Killed in the middle of a line, and before it was noted how far it went.
        std::fs::write(&path, &text[..text.len() - 30]).unwrap();
        scene.store.commit(PARTITION, &Batch::default().put("file", "7")).unwrap();
        scene.deliver(&sink).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        // Moved away by logrotate: the two together are the log.
        std::fs::rename(&path, path.with_extension("1")).unwrap();
        scene.write(4);
        scene.deliver(&sink).unwrap();
        assert_eq!(scene.chained(&(text + &std::fs::read_to_string(&path).unwrap())), 1109);
    }

    #[test]
    fn what_is_not_ours_is_not_written_to() {
        let scene = Scene::new();
        let (sink, path) = scene.sink();
        scene.write(2);
        for foreign in ["root:x:0:0\n".to_owned(), "x".repeat(600_000)] {
            std::fs::write(&path, &foreign).unwrap();
            assert!(matches!(scene.deliver(&sink), Err(ExportError::Foreign(_))));
            assert!(std::fs::read_to_string(&path).unwrap().len() <= foreign.len());
        }
        let other = Scene::new();
        other.write(1);
        let (theirs, at) = other.sink();
        other.deliver(&theirs).unwrap();
        std::fs::write(&path, std::fs::read_to_string(at).unwrap().replace("alice", "mallory")).unwrap();
        assert!(matches!(scene.deliver(&sink), Err(ExportError::Foreign(_))));
    }

    #[test]
    fn syslog_gets_every_entry_also_those_of_while_it_was_away() {
        let scene = Scene::new();
        let path = scene.directory.path().join("log");
        let sink = Sink::Syslog(path.clone());
        scene.write(3);
        assert!(matches!(scene.deliver(&sink), Err(ExportError::Io(..))));
        let syslog = UnixDatagram::bind(&path).unwrap();
        scene.deliver(&sink).unwrap();
        scene.write(2);
        scene.deliver(&sink).unwrap();
        let mut lines = Vec::new();
        for _ in 0..5 {
            let mut datagram = vec![0; 65_536];
            let length = syslog.recv(&mut datagram).unwrap();
            let text = String::from_utf8(datagram[..length].to_vec()).unwrap();
            assert!(text.starts_with("<85>dialtone-controller["), "{text}");
            assert!(!text.contains(['\n', '\u{1b}']), "{text:?}");
            lines.push(text.split_once("]: ").unwrap().1.to_owned());
        }
        assert_eq!(scene.chained(&lines.join("\n")), 5);
    }
}
