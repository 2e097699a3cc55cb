//! What a program of the allow-list prints.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use common_evidence::source::Program;
use common_model::{Failure, FailureReason};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use crate::failure::{of_io, other};

/// Where programs are looked for, in this order; `PATH` is not asked.
const DIRS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Bytes kept of what a program complains.
const COMPLAINT_CAP: usize = 2048;

/// Runs a program and gives its standard output.
///
/// # Errors
/// When it is not installed, does not end in `timeout`, prints more than `cap` bytes, or ends in failure.
pub(crate) async fn output(
    program: Program,
    args: &[String],
    timeout: Duration,
    cap: usize,
) -> Result<Vec<u8>, Failure> {
    let name = file_name(program);
    let mut child = spawn(program, args)?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let result = tokio::time::timeout(timeout, collect(&mut child, cap)).await;
    if !matches!(result, Ok(Ok(_))) {
        // Its own children hold the pipes, so the whole group goes. It may have ended by itself by now.
        group.map(|group| kill_process_group(group, Signal::KILL));
        child.wait().await.map_err(|error| of_io(name, &error))?;
    }
    match result {
        Err(_) => {
            Err(Failure { reason: FailureReason::Timeout, message: format!("{name} did not end within {timeout:?}") })
        }
        Ok(Err(message)) => Err(other(format!("{name} {message}"))),
        Ok(Ok((status, stdout, _))) if status.success() => Ok(stdout),
        Ok(Ok((status, _, stderr))) => Err(complaint(name, status, &stderr)),
    }
}

/// Starts a program with nothing of our environment but the locale and the time zone.
pub(crate) fn spawn(program: Program, args: &[String]) -> Result<Child, Failure> {
    let name = file_name(program);
    let Some(path) = find(name) else {
        return Err(Failure { reason: FailureReason::Missing, message: format!("{name} is not installed") });
    };
    Command::new(path)
        .args(args)
        .env_clear()
        .envs([("LC_ALL", "C"), ("TZ", "UTC"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| of_io(name, &error))
}

fn find(name: &str) -> Option<PathBuf> {
    DIRS.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
}

async fn collect(child: &mut Child, cap: usize) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), String> {
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("has no output".to_owned());
    };
    let ((stdout, cut), (stderr, _)) = tokio::join!(capped(stdout, cap, false), capped(stderr, COMPLAINT_CAP, true));
    if cut {
        return Err(format!("printed more than {cap} bytes"));
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    Ok((status, stdout, stderr))
}

/// At most `cap` bytes and whether there were more, which are read to the end only if `drain`.
async fn capped(mut reader: impl AsyncRead + Unpin, cap: usize, drain: bool) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let read = (&mut reader).take(cap as u64 + 1).read_to_end(&mut bytes).await;
    let cut = bytes.len() > cap || read.is_err();
    bytes.truncate(cap);
    if drain {
        tokio::io::copy(&mut reader, &mut tokio::io::sink()).await.ok();
    }
    (bytes, cut)
}

fn complaint(name: &str, status: ExitStatus, stderr: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(stderr);
    let lower = text.to_ascii_lowercase();
    let denied =
        ["permission denied", "operation not permitted", "must be root", "access denied", "you need to be root"];
    let reason =
        if denied.iter().any(|words| lower.contains(words)) { FailureReason::Denied } else { FailureReason::Other };
    Failure { reason, message: format!("{name} ended with {status}: {}", text.trim()) }
}

fn file_name(program: Program) -> &'static str {
    match program {
        Program::Nft => "nft",
        Program::IptablesSave => "iptables-save",
        Program::Ip6tablesSave => "ip6tables-save",
        Program::IptablesLegacySave => "iptables-legacy-save",
        Program::Ip6tablesLegacySave => "ip6tables-legacy-save",
        Program::Systemctl => "systemctl",
        Program::Journalctl => "journalctl",
        Program::DpkgQuery => "dpkg-query",
        Program::Rpm => "rpm",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(args: &[&str]) -> Vec<String> {
        args.iter().map(|arg| (*arg).to_owned()).collect()
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn output_failure_and_cap() {
        let bytes = output(Program::DpkgQuery, &args(&["--version"]), LONG, 10_000).await.unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains("dpkg"));
        let failure = output(Program::DpkgQuery, &args(&["--version"]), LONG, 10).await.unwrap_err();
        assert!(failure.message.contains("more than 10 bytes"), "{}", failure.message);
        let failure = output(Program::DpkgQuery, &args(&["--no-such-option"]), LONG, 10_000).await.unwrap_err();
        assert!(failure.message.contains("no-such-option"), "{}", failure.message);
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_killed() {
        // A follower never ends by itself.
        let failure =
            output(Program::Journalctl, &args(&["-f", "-n", "0"]), Duration::from_millis(50), 1000).await.unwrap_err();
        assert_eq!(failure.reason, FailureReason::Timeout);
    }
}
