//! Everything outside the hosts: where clients and controllers stand.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::command::{self, Output, TIMEOUT};
use super::run::{self, Run};

/// The lab's outside: the bridge's own namespace, at [`Client::ip`].
///
/// It knows every host by its name and resolves nothing else.
#[derive(Clone, Copy)]
pub struct Client {
    run: &'static Run,
}

/// How an attempt to open a TCP connection ended, as its caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connect {
    /// Somebody accepted.
    Open,
    /// ECONNREFUSED.
    Refused,
    /// EHOSTUNREACH.
    NoRoute,
    /// Nothing came back in the time given.
    TimedOut,
    /// Anything else, in the system's words.
    Other(String),
}

/// The outside of this process's lab.
///
/// # Errors
/// When the lab cannot be set up, for one because this is not root.
pub fn client() -> Result<Client> {
    Ok(Client { run: run::current()? })
}

impl Client {
    /// The address commands of [`Client::command`] come from.
    #[must_use]
    pub fn ip(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, run::CLIENT)
    }

    /// The name of the network namespace, as `ip netns` lists it.
    #[must_use]
    pub fn netns(self) -> &'static str {
        &self.run.netns
    }

    /// A new directory of this machine, gone with the run: also when nothing drops it, as a value of a static.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn directory(self) -> Result<TempDir> {
        Ok(tempfile::tempdir_in(&self.run.directory)?)
    }

    /// A command that will run outside the hosts. The process started is the
    /// program itself, so it can be signalled; it does not outlive this one.
    #[must_use]
    pub fn command(self, program: &str) -> Command {
        const ENTER: &str = "mount --bind \"$1/client-hosts\" /etc/hosts && \
            mount --bind \"$1/nsswitch.conf\" /etc/nsswitch.conf && shift && exec \"$@\"";
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.run.netns))
            .args(["unshare", "--mount", "--propagation=private"])
            .args(["sh", "-c", ENTER, "outside"])
            .arg(&self.run.directory)
            .arg(program);
        command
    }

    /// Runs a command outside the hosts to its end.
    ///
    /// # Errors
    /// When it cannot be started; how it ended is in the output.
    pub fn run(self, argv: &[&str]) -> Result<Output> {
        let (program, arguments) = argv.split_first().context("no command")?;
        command::output(self.command("timeout").args(TIMEOUT).arg(program).args(arguments))
    }

    /// Tries to open a TCP connection and says how that ended.
    ///
    /// # Errors
    /// When the attempt cannot be made at all.
    pub fn connect(self, ip: Ipv4Addr, port: u16, limit: Duration) -> Result<Connect> {
        let output = command::output(
            self.command("timeout")
                .env("LC_ALL", "C")
                .arg(format!("{}", limit.as_secs_f32()))
                .args(["bash", "-c", "exec 3<>\"/dev/tcp/$0/$1\""])
                .args([ip.to_string(), port.to_string()]),
        )?;
        Ok(match (output.code, output.stderr) {
            (Some(0), _) => Connect::Open,
            (Some(124), _) => Connect::TimedOut,
            (_, said) if said.contains("Connection refused") => Connect::Refused,
            (_, said) if said.contains("No route to host") => Connect::NoRoute,
            (_, said) if said.contains("Connection timed out") => Connect::TimedOut,
            (_, said) => Connect::Other(said),
        })
    }

    /// The body and status of a GET, or `None` when no HTTP answer came.
    /// Certificates are not checked.
    ///
    /// # Errors
    /// When the request cannot be made at all.
    pub fn get(self, url: &str) -> Result<Option<(u16, String)>> {
        let write_status = ["--write-out", "\n%{http_code}"];
        let output = command::output(
            self.command("curl")
                .args(["--silent", "--insecure", "--noproxy", "*", "--max-time", "5"])
                .args(write_status)
                .arg(url),
        )?;
        Ok(output.stdout.rsplit_once('\n').and_then(|(body, status)| {
            let status = status.parse().ok().filter(|status| *status != 0)?;
            Some((status, body.to_owned()))
        }))
    }
}
