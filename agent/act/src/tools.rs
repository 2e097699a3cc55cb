//! Programs of the host, by their fixed paths, with arguments that have types. Never a shell, never for longer than a bound.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::places::Places;

/// systemd's.
pub const SYSTEMCTL: &str = "/usr/bin/systemctl";
/// The longest a program may run.
const SECONDS: i64 = 20;
/// The most that is read of what it prints.
const MAX_OUTPUT: u64 = 4 << 20;

/// Runs a program to its end and gives what it printed; an error is a sentence.
pub fn run(places: &Places, program: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(places.at(program));
    command.args(arguments).env_clear().env("LC_ALL", "C").stdin(Stdio::null());
    let trouble = |error: &dyn std::fmt::Display| format!("{program} {}: {error}", arguments.join(" "));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| trouble(&error))?;
    let [out, err] = [reader(child.stdout.take()), reader(child.stderr.take())];
    let ended = ends_in_time(&child).map_err(|error| trouble(&error))?;
    if !ended {
        child.kill().ok();
    }
    let status = child.wait().map_err(|error| trouble(&error))?;
    if !ended {
        return Err(trouble(&format!("took longer than {SECONDS} seconds")));
    }
    let [out, err] = [out, err].map(|reader| reader.join().unwrap_or_default());
    if status.success() { Ok(out) } else { Err(trouble(&format!("{status}: {}", err.trim().escape_debug()))) }
}

/// Reads to the end beside the program, so that it never waits for us.
fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What was read until an error is what there is to say.
            pipe.take(MAX_OUTPUT).read_to_end(&mut bytes).ok();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn ends_in_time(child: &Child) -> io::Result<bool> {
    let pid = Pid::from_child(child);
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let patience = Timespec { tv_sec: SECONDS, tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience))? > 0)
}
