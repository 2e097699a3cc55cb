//! The guard of one plan: a process of its own that waits before anything is changed, and undoes it unless it was confirmed in
//! time. It needs nobody: no controller, no agent, no actuator, no network.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use common_plan::PlanId;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, flock, inotify};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::faults::{chosen, point};
use crate::ledger::{lock_file, peek};
use crate::places::Places;
use crate::{carry, tools};

/// What a guard says once it waits.
const ARMED: &str = "armed";

/// Starts a guard and waits until it waits. On a host it is a unit of its own, which systemd starts again if it is killed and
/// which outlives the actuator; below another root it is a child.
pub fn arm(places: &Places, id: &PlanId) -> Result<(), String> {
    if places.is_host() {
        tools::run(places, tools::SYSTEMCTL, &["start", &unit(id)])?;
    } else {
        spawn(places, id).map_err(|error| format!("the guard did not start: {error}"))?;
    }
    if is_alive(places, id).map_err(|error| format!("the guard's lock: {error}"))? {
        Ok(())
    } else {
        Err("the guard ended as soon as it had started".to_owned())
    }
}

/// A guard that is not needed any more goes by itself; this only spares systemd the wait.
pub fn disarm(places: &Places, id: &PlanId) {
    if places.is_host() {
        tools::run(places, tools::SYSTEMCTL, &["stop", "--no-block", &unit(id)]).ok();
    }
}

fn unit(id: &PlanId) -> String {
    format!("dialtone-guard@{id}.service")
}

fn spawn(places: &Places, id: &PlanId) -> io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["guard", id.as_str(), "--root"]).arg(places.root());
    command.args(chosen().into_iter().flat_map(|point| ["--stop-at", point]));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    // So that it leaves no entry in the table of processes.
    std::thread::spawn(move || child.wait());
    if line.trim() == ARMED { Ok(()) } else { Err(io::Error::other("it ended")) }
}

/// Whether somebody holds the guard's lock: it lives, and so it will act.
pub fn is_alive(places: &Places, id: &PlanId) -> io::Result<bool> {
    match flock(&File::open(places.guard(id))?, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Waits for a guard to end, however it ends; if its plan has not ended, nobody would undo it, so that is done now.
pub fn watch(places: &Places, id: &PlanId) -> io::Result<()> {
    flock(&File::open(places.guard(id))?, FlockOperation::LockShared)?;
    carry::revert(places, id, "its guard was stopped").map(|_| ())
}

/// The guard's life.
pub fn run(places: &Places, id: &PlanId) -> io::Result<()> {
    point("guard-starts");
    let was_armed = places.guard(id).exists();
    let lock = lock_file(&places.guard(id))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    let (timer, changes) = (deadline(peek(places, id)?.deadline_boot_ms)?, changes(places, id)?);
    ready()?;
    point("guard-armed");
    if was_armed {
        carry::revert(places, id, "its guard was stopped and came back")?;
    }
    while !peek(places, id)?.entry.state.is_final() {
        let mut events = [PollFd::new(&timer, PollFlags::IN), PollFd::new(&changes, PollFlags::IN)];
        poll(&mut events, None)?;
        let [timer, changed] = events.map(|event| !event.revents().is_empty());
        if timer {
            carry::revert(places, id, "it was not confirmed in time")?;
        }
        if changed {
            rustix::io::read(&changes, &mut [0_u8; 4096])?;
        }
    }
    let Some(end) = peek(places, id)?.end() else { return Ok(()) };
    poll(&mut [PollFd::new(&deadline(end)?, PollFlags::IN)], None)?;
    carry::end(places, id, "its time was over")
}

/// A timer of the boot clock, which goes on while the machine sleeps.
fn deadline(boot_ms: u64) -> io::Result<rustix::fd::OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?;
    let at = Duration::from_millis(boot_ms.max(1));
    let at = Timespec::try_from(at).map_err(|_| io::Error::other("a deadline beyond all time"))?;
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
    timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &once)?;
    Ok(timer)
}

/// Readable when the plan's journal was replaced.
fn changes(places: &Places, id: &PlanId) -> io::Result<rustix::fd::OwnedFd> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, places.plan(id), inotify::WatchFlags::MOVED_TO)?;
    Ok(watch)
}

/// Tells whoever started it that it waits.
fn ready() -> io::Result<()> {
    sd_notify::notify(&[sd_notify::NotifyState::Ready])?;
    let mut out = io::stdout();
    writeln!(out, "{ARMED}")?;
    out.flush()
}
