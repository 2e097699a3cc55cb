//! Running commands and keeping what they said.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

/// Arguments of `timeout` before a program, so that no command can hang a run.
pub(crate) const TIMEOUT: [&str; 2] = ["--signal=KILL", "180"];

/// What a command said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit status; `None` when a signal ended the command.
    pub code: Option<i32>,
    /// Standard output, with anything that is not UTF-8 replaced.
    pub stdout: String,
    /// Standard error, with anything that is not UTF-8 replaced.
    pub stderr: String,
}

impl Output {
    /// Whether the command ended with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// The standard output of a command that succeeded.
    ///
    /// # Errors
    /// When it did not, with everything it said.
    pub fn ok(self) -> Result<String> {
        if self.success() {
            return Ok(self.stdout);
        }
        bail!("exit status {:?}\n{}{}", self.code, self.stdout, self.stderr)
    }
}

/// Runs the command to its end with nothing on its standard input.
///
/// # Errors
/// When it cannot be started; how it ended is in the output.
pub fn output(command: &mut Command) -> Result<Output> {
    output_with_input(command, &[])
}

/// Runs the command to its end, feeding it `input`.
pub(crate) fn output_with_input(command: &mut Command, input: &[u8]) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let stdin = child.stdin.take();
    let raw = thread::scope(|scope| {
        // A command that ends without reading its input closes the pipe; what
        // it printed says more than that write error would.
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input).is_ok()));
        child.wait_with_output()
    })?;
    Ok(Output {
        code: raw.status.code(),
        stdout: String::from_utf8_lossy(&raw.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&raw.stderr).into_owned(),
    })
}

/// Runs a command of the machine itself and gives its standard output.
pub(crate) fn check<I, S>(program: &str, arguments: I) -> Result<String>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C.UTF-8");
    output(&mut command)?.ok().with_context(|| format!("{command:?}"))
}
