//! A controller, an operator's machine and nodes, set up only by packages, `init`, `join`, `login` and `systemctl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{Host, Output, client, output};
use crate::packages;

/// A controller with one operator, to which nodes are joined.
pub struct Fleet {
    /// The host that the controller runs on.
    pub controller: Host,
    pin: String,
    /// Home directory of the operator, outside the hosts.
    home: TempDir,
    /// The `dialtone` command of the package under test, unpacked for the machine that is no lab host.
    command: TempDir,
}

impl Fleet {
    /// Installs and starts the controller, and logs an operator in.
    ///
    /// # Errors
    /// When any step fails, with what it said.
    pub fn set_up() -> Result<Self> {
        let controller = Host::boot("controller")?;
        for package in ["dialtone-controller", "dialtone"] {
            controller.install_deb(&packages::deb(package)?)?;
        }
        let names = format!("controller,{}", controller.ip());
        let init = controller.check(&["dialtone-controller", "init", "--san", &names, "-o", "json"])?;
        let pin = text(&init, "ca_pin")?;
        controller.check(&["systemctl", "enable", "--now", "dialtone-controller"])?;

        let command = TempDir::new()?;
        let package = packages::deb("dialtone")?;
        let unpack = Command::new("dpkg-deb").arg("-x").args([package.as_path(), command.path()]).status()?;
        ensure!(unpack.success(), "the package dialtone cannot be unpacked");
        let fleet = Self { controller, pin, home: TempDir::new()?, command };
        let add = ["dialtone-controller", "operator", "add", "alice", "--role", "admin", "-o", "json"];
        let token = text(&fleet.controller.check(&add)?, "token")?;
        fleet.dialtone(&["login", &fleet.address(), "--token", &token, "--ca-pin", &fleet.pin])?.ok()?;
        Ok(fleet)
    }

    /// Where the controller listens, `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:7443", self.controller.ip())
    }

    /// The path of the operator's `dialtone`.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.command.path().join("usr/bin/dialtone")
    }

    /// The operator's home directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs `dialtone` as the operator, outside the hosts.
    ///
    /// # Errors
    /// When it cannot be started; how it ended is in the output.
    pub fn dialtone(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = client()?.command("timeout");
        command.arg("60").arg(self.program()).args(arguments).env("HOME", self.home()).env_remove("XDG_CONFIG_HOME");
        output(&mut command)
    }

    /// A token that lets a node of this name join, also in the place of one that had the name before.
    ///
    /// # Errors
    /// When the controller does not make one.
    pub fn join_token(&self, node: &str) -> Result<String> {
        let create = ["dialtone-controller", "token", "create", "--node", node, "-o", "json"];
        text(&self.controller.check(&create)?, "token")
    }

    /// The pin of the controller's CA.
    #[must_use]
    pub fn pin(&self) -> &str {
        &self.pin
    }

    /// Installs the agent on a host and joins it to the controller.
    ///
    /// # Errors
    /// When any step fails, with what it said.
    pub fn join(&self, host: &Host) -> Result<()> {
        host.install_deb(&packages::deb("dialtone-agent")?)?;
        let token = self.join_token(host.name())?;
        host.check(&["dialtone-agent", "join", &self.address(), "--token", &token, "--ca-pin", &self.pin])?;
        host.check(&["systemctl", "enable", "--now", "dialtone-agent"])?;
        Ok(())
    }
}

fn text(json: &str, key: &str) -> Result<String> {
    let json: Value = serde_json::from_str(json)?;
    json[key].as_str().map(str::to_owned).with_context(|| format!("no {key} in {json}"))
}
