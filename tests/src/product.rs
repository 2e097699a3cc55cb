//! What people do with the packages, done: a controller that is set up, a node that joins it, and somebody's own machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{Host, Output, client, output};
use crate::packages;
use crate::terminal::Terminal;

/// Initialises an installed controller for these names and addresses and starts it; the pin of its CA.
///
/// # Errors
/// When any step fails, with what it said.
pub fn start_controller(host: &Host, names: &str) -> Result<String> {
    let made = json_of(host, &["dialtone-controller", "init", "--san", names, "-o", "json"])?;
    host.check(&["systemctl", "enable", "--now", "dialtone-controller"])?;
    text(&made, "ca_pin")
}

/// Where a host's controller is reached.
pub fn address(controller: &Host) -> String {
    format!("{}:7443", controller.ip())
}

/// A join token made with these options.
///
/// # Errors
/// When the controller does not make one.
pub fn join_token(controller: &Host, options: &[&str]) -> Result<String> {
    let create = [&["dialtone-controller", "token", "create", "-o", "json"], options].concat();
    let made = json_of(controller, &create)?;
    ensure!(made["expires_at"].is_string(), "{made}");
    text(&made, "token")
}

/// Joins a node on which the agent is installed, with a token made with these options, and starts the agent; the line that
/// joined it.
///
/// # Errors
/// When any step fails, with what it said.
pub fn join(controller: &Host, node: &Host, pin: &str, options: &[&str]) -> Result<Vec<String>> {
    let (address, token) = (address(controller), join_token(controller, options)?);
    let line = ["dialtone-agent", "join", &address, "--token", &token, "--ca-pin", pin];
    node.check(&line)?;
    node.check(&["systemctl", "enable", "--now", "dialtone-agent"])?;
    Ok(line.map(str::to_owned).to_vec())
}

/// What a command on a host prints as JSON.
///
/// # Errors
/// When any step fails, with what it said.
pub fn json_of(host: &Host, command: &[&str]) -> Result<Value> {
    let printed = host.check(command)?;
    serde_json::from_str(&printed).with_context(|| format!("{command:?} printed {printed:?}"))
}

fn text(json: &Value, key: &str) -> Result<String> {
    json[key].as_str().map(str::to_owned).with_context(|| format!("no {key} in {json}"))
}

/// Somebody's own machine, outside the hosts: the command out of its package, and a home directory.
pub struct Laptop(TempDir);

impl Laptop {
    /// Unpacks the command's package.
    ///
    /// # Errors
    /// When there is no such package or it cannot be unpacked.
    pub fn new() -> Result<Self> {
        let laptop = Self(client()?.directory()?);
        let unpack = std::process::Command::new("dpkg-deb")
            .arg("--extract")
            .args([packages::deb("dialtone")?, laptop.0.path().join("root")])
            .status()?;
        ensure!(unpack.success(), "the package dialtone cannot be unpacked");
        Ok(laptop)
    }

    /// The path of the `dialtone` command.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.0.path().join("root/usr/bin/dialtone")
    }

    /// The home directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.0.path()
    }

    /// Runs `dialtone`.
    ///
    /// # Errors
    /// When it cannot be started; how it ended is in the output.
    pub fn dialtone(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = client()?.command("timeout");
        command.arg("60").arg(self.program()).args(arguments).env("HOME", self.home()).env_remove("XDG_CONFIG_HOME");
        output(&mut command)
    }

    /// Runs `dialtone` in a terminal.
    ///
    /// # Errors
    /// When there is no terminal, or it cannot be started.
    pub fn in_terminal(&self, arguments: &[&str]) -> Result<Terminal> {
        let mut command = client()?.command("setsid");
        command.args(["--ctty", "--wait"]).arg(self.program()).args(arguments);
        command.env("HOME", self.home()).env_remove("XDG_CONFIG_HOME");
        Terminal::open(command)
    }

    /// Logs in as an operator that is new to the controller; the line that did.
    ///
    /// # Errors
    /// When any step fails, with what it said.
    pub fn login(&self, controller: &Host, pin: &str, name: &str, role: &str) -> Result<Vec<String>> {
        let add = ["dialtone-controller", "operator", "add", name, "--role", role, "-o", "json"];
        let added = json_of(controller, &add)?;
        ensure!((&added["operator"], &added["role"]) == (&name.into(), &role.into()), "{added}");
        let (address, token) = (address(controller), text(&added, "token")?);
        let line = ["login", &address, "--token", &token, "--ca-pin", pin];
        self.dialtone(&line)?.ok()?;
        Ok(line.map(str::to_owned).to_vec())
    }
}
