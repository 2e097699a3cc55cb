//! The processes of an engine.

use std::io::{self, ErrorKind};

use common_evidence::collectors::processes::{Process, Processes};
use common_evidence::engine::EngineRef;
use common_model::Failure;

use crate::clock::BootClock;
use crate::failure::{json, of_io};
use crate::proc;
use crate::root::Root;

/// The body of `Source::Processes`: those of the engine's processes that still run.
pub(crate) fn body(root: &Root, boot: &BootClock, engine: &EngineRef) -> Result<Vec<u8>, Failure> {
    let mut processes = Vec::new();
    for pid in &engine.pids {
        match read(root, boot, *pid) {
            Ok(process) => processes.push(process),
            // Ended: between the two, the kernel says ESRCH for files of a process that is going.
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
            Err(error) => return Err(of_io(&format!("/proc/{pid}"), &error)),
        }
    }
    processes.sort_by_key(|process| process.pid);
    json(&Processes { processes })
}

fn read(root: &Root, boot: &BootClock, pid: u32) -> io::Result<Process> {
    let stat = proc::stat(root, pid)?;
    Ok(Process {
        pid,
        parent: stat.parent,
        uid: proc::status(root, pid)?.uid,
        command: proc::command(root, pid)?,
        started_at_ms: stat.started_at_ms(boot),
        limits: proc::limits(root, pid)?,
        // Running and sleeping alternate many times a second and mean the same here.
        state: if stat.state == 'R' { "S".to_owned() } else { stat.state.to_string() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_ended_are_left_out() {
        let root = Root::new("/".into());
        let pid = std::process::id();
        let engine = EngineRef { pids: vec![pid, u32::MAX], ..EngineRef::default() };
        let body = body(&root, &BootClock::live(), &engine).unwrap();
        let parsed: Processes = serde_json::from_slice(&body).unwrap();
        assert_eq!(parsed.processes.len(), 1);
        assert_eq!((parsed.processes[0].pid, parsed.processes[0].state.as_str()), (pid, "S"));
    }
}
