//! Which programs are executed, by the kernel's own word: it asks before every execve(2) (fanotify(7), `FAN_OPEN_EXEC_PERM`), while
//! whoever calls it is still the program that it was.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::sys::fanotify::{EventFFlags, Fanotify, FanotifyResponse, InitFlags, MarkFlags, MaskFlags, Response};
use rustix::event::{PollFd, PollFlags, poll};

/// The programs that are watched.
pub(crate) const OURS: [&str; 4] = ["dialtone-agent", "dialtone-actuator", "dialtone-controller", "dialtone"];
/// More generations than anybody starts.
const GENERATIONS: usize = 32;

/// Who executed what, by the names of the programs' files.
pub(crate) type Pairs = BTreeSet<(String, String)>;

/// Watches until it is dropped.
pub(crate) struct Executed {
    seen: Arc<Mutex<Pairs>>,
    end: Option<UnixStream>,
    watching: Option<JoinHandle<()>>,
}

impl Executed {
    /// On the file system that is mounted there. Nobody executes anything on it while the calling process is stopped.
    pub(crate) fn on(mounted: &Path) -> Self {
        let flags = InitFlags::FAN_CLASS_CONTENT | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK;
        let group = Fanotify::init(flags, EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC).unwrap();
        let here = fs::File::open("/").unwrap();
        let mark = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_FILESYSTEM;
        group.mark(mark, MaskFlags::FAN_OPEN_EXEC_PERM, &here, Some(mounted)).unwrap();
        let (end, ended) = UnixStream::pair().unwrap();
        let seen = Arc::new(Mutex::default());
        let noting = Arc::clone(&seen);
        let watching = std::thread::spawn(move || watch(&group, &ended, &noting));
        Self { seen, end: Some(end), watching: Some(watching) }
    }

    /// Until now.
    pub(crate) fn pairs(&self) -> Pairs {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Executed {
    fn drop(&mut self) {
        self.end = None;
        self.watching.take().map(JoinHandle::join);
    }
}

fn watch(group: &Fanotify, ended: &UnixStream, seen: &Mutex<Pairs>) {
    loop {
        let mut ready = [PollFd::new(group, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
        if poll(&mut ready, None).is_err() || !ready[1].revents().is_empty() {
            return;
        }
        for event in group.read_events().unwrap_or_default() {
            let Some(file) = event.fd() else { continue };
            if let Some(pair) = pair(event.pid(), file) {
                seen.lock().unwrap().insert(pair);
            }
            // Whoever asked waits for it, whatever became of the look.
            group.write_response(FanotifyResponse::new(file, Response::FAN_ALLOW)).ok();
        }
    }
}

/// None where neither the process nor any that it comes from is a program of ours.
fn pair(process: i32, file: BorrowedFd<'_>) -> Option<(String, String)> {
    let what = name(&format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))?;
    // The kernel opens the loader of every program, too.
    if what.starts_with("ld-linux") || what.starts_with("ld-musl") {
        return None;
    }
    let is_ours =
        |process: &i32| name(&format!("/proc/{process}/exe")).is_some_and(|name| OURS.contains(&name.as_str()));
    let line = std::iter::successors(Some(process), |process| parent(*process));
    line.take(GENERATIONS).find(is_ours)?;
    Some((name(&format!("/proc/{process}/exe"))?, what))
}

fn name(link: &str) -> Option<String> {
    Some(fs::read_link(link).ok()?.file_name()?.to_string_lossy().into_owned())
}

fn parent(process: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
    (parent > 0).then_some(parent)
}
