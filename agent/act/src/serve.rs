//! The socket: one JSON object a line, each way. Only root and the agent's user are answered.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common_plan::PlanId;
use common_plan::wire::{MAX_LINE, Reply, Request};

use crate::carry::{self, Outcome, Pending};
use crate::places::Places;
use crate::{files, guard, tell};

/// Connections at a time; more are closed.
const CONNECTIONS: usize = 8;
/// How long a connection may be silent: longer than any plan waits for its confirmation.
const PATIENCE: Duration = Duration::from_secs(1000);
/// The user the agent runs as.
const AGENT: &str = "dialtone-agent";

/// The socket systemd listens on, which it hands over as standard input.
pub fn inherited() -> io::Result<UnixListener> {
    Ok(UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// A socket of its own, where there is no systemd.
pub fn bound(places: &Places) -> io::Result<UnixListener> {
    files::make_dir(&places.run(), 0o755)?;
    let path = places.socket();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(path),
    }
}

/// Answers until it is killed. Whatever an earlier life left is undone first.
pub fn serve(places: &Places, listener: &UnixListener) -> io::Result<()> {
    carry::recover(places)?;
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let stream = stream?;
        if !may_ask(places, &stream).unwrap_or(false) {
            tell("closed a connection: only root and the agent's user are answered");
            continue;
        }
        if open.load(Ordering::Relaxed) >= CONNECTIONS {
            tell("closed a connection: too many are open");
            continue;
        }
        let (places, open) = (places.clone(), Arc::clone(&open));
        open.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || {
            if let Err(error) = converse(&places, &stream) {
                tell(&format!("a connection ended: {error}"));
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
    Ok(())
}

/// By the kernel's word, not the caller's.
fn may_ask(places: &Places, stream: &UnixStream) -> io::Result<bool> {
    let user = rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw();
    Ok(user == rustix::process::geteuid().as_raw() || Some(user) == agent(places)?)
}

/// The agent's user by `/etc/passwd`: `NAME:PASSWORD:UID:…`.
fn agent(places: &Places) -> io::Result<Option<u32>> {
    let users = files::read_text(&places.at("/etc/passwd"))?.unwrap_or_default();
    let uid = |line: &str| line.strip_prefix(AGENT)?.strip_prefix(':')?.split(':').nth(1)?.parse().ok();
    Ok(users.lines().find_map(uid))
}

fn converse(places: &Places, stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut input = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        input.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        let Ok(request) = serde_json::from_slice(&line) else {
            return say(stream, &refused("request", "this is no request"));
        };
        say(stream, &answer(places, request))?;
    }
}

fn say(mut stream: &UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn answer(places: &Places, request: Request) -> Reply {
    match request {
        Request::Act { plan, approvals } => match carry::act(places, &plan, &approvals) {
            Ok(Outcome::Applied(pending)) => {
                watch(places, pending.plan.clone());
                applied(pending)
            }
            Ok(Outcome::Ended(entry)) => Reply::Done { entry },
            Err(refusal) => refused(refusal.code(), &refusal.to_string()),
        },
        Request::Pending {} => match carry::pending(places) {
            Ok(Some(pending)) => applied(pending),
            Ok(None) => Reply::Idle {},
            Err(error) => refused("impossible", &error.to_string()),
        },
        Request::Confirm { plan, nonce } => ended(carry::confirm(places, &plan, &nonce)),
        Request::Revert { plan, doubt } => ended(carry::revert(places, &plan, &doubt.to_string())),
    }
}

fn applied(Pending { plan, nonce, left_ms }: Pending) -> Reply {
    Reply::Applied { plan, nonce, left_ms }
}

/// From here on somebody sees the guard die.
fn watch(places: &Places, id: PlanId) {
    let places = places.clone();
    std::thread::spawn(move || {
        if let Err(error) = guard::watch(&places, &id) {
            tell(&format!("cannot watch the guard of {id}: {error}"));
        }
    });
}

fn ended(entry: io::Result<common_plan::Entry>) -> Reply {
    match entry {
        Ok(entry) => Reply::Done { entry },
        Err(error) if error.kind() == io::ErrorKind::NotFound => refused("unknown", "this plan was never begun here"),
        Err(error) => refused("impossible", &error.to_string()),
    }
}

fn refused(code: &str, because: &str) -> Reply {
    Reply::Refused { code: code.to_owned(), because: because.to_owned() }
}
