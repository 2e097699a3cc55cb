//! What people do with the packages, done: a controller that is set up, a node that joins it, and somebody's own machine.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use system_tests::lab::{Host, Output, client};
use system_tests::packages;
use tempfile::TempDir;

/// Initialises an installed controller for these names and addresses and starts it; the pin of its CA.
pub(crate) fn start_controller(host: &Host, names: &str) -> Result<String> {
    let made = json_of(host, &["dialtone-controller", "init", "--san", names, "-o", "json"])?;
    // What an answer rests on is tested, not how fast a busy machine gives it.
    let patient = "s/^refresh_ms: .*/refresh_ms: 10000/";
    host.check(&["sed", "--in-place", patient, "/etc/dialtone/controller.yaml"])?;
    host.check(&["systemctl", "enable", "--now", "dialtone-controller"])?;
    text(&made, "ca_pin")
}

/// Where a host's controller is reached.
pub(crate) fn address(controller: &Host) -> String {
    format!("{}:7443", controller.ip())
}

/// Joins a node on which the agent is installed, with a token made with these options, and starts the agent; the line that
/// joined it.
pub(crate) fn join(controller: &Host, node: &Host, pin: &str, options: &[&str]) -> Result<Vec<String>> {
    let create = [&["dialtone-controller", "token", "create", "-o", "json"], options].concat();
    let made = json_of(controller, &create)?;
    ensure!(made["expires_at"].is_string(), "{made}");
    let (address, token) = (address(controller), text(&made, "token")?);
    let line = ["dialtone-agent", "join", &address, "--token", &token, "--ca-pin", pin];
    node.check(&line)?;
    node.check(&["systemctl", "enable", "--now", "dialtone-agent"])?;
    Ok(line.map(str::to_owned).to_vec())
}

/// What a command on a host prints as JSON.
pub(crate) fn json_of(host: &Host, command: &[&str]) -> Result<Value> {
    let printed = host.check(command)?;
    serde_json::from_str(&printed).with_context(|| format!("{command:?} printed {printed:?}"))
}

fn text(json: &Value, key: &str) -> Result<String> {
    json[key].as_str().map(str::to_owned).with_context(|| format!("no {key} in {json}"))
}

/// Somebody's own machine, outside the hosts: the command out of its package, and a home directory.
pub(crate) struct Laptop(TempDir);

impl Laptop {
    pub(crate) fn new() -> Result<Self> {
        let laptop = Self(TempDir::new()?);
        let unpack = std::process::Command::new("dpkg-deb")
            .arg("--extract")
            .args([packages::deb("dialtone")?, laptop.0.path().join("root")])
            .status()?;
        ensure!(unpack.success(), "the package dialtone cannot be unpacked");
        Ok(laptop)
    }

    /// Runs `dialtone`.
    pub(crate) fn dialtone(&self, arguments: &[&str]) -> Result<Output> {
        let home = format!("HOME={}", self.0.path().display());
        let program = self.0.path().join("root/usr/bin/dialtone").display().to_string();
        client()?.run(&[&["env", &home, "XDG_CONFIG_HOME=", &program], arguments].concat())
    }

    /// Logs in as an operator that is new to the controller; the line that did.
    pub(crate) fn login(&self, controller: &Host, pin: &str, name: &str, role: &str) -> Result<Vec<String>> {
        let add = ["dialtone-controller", "operator", "add", name, "--role", role, "-o", "json"];
        let added = json_of(controller, &add)?;
        ensure!((&added["operator"], &added["role"]) == (&name.into(), &role.into()), "{added}");
        let (address, token) = (address(controller), text(&added, "token")?);
        let line = ["login", &address, "--token", &token, "--ca-pin", pin];
        self.dialtone(&line)?.ok()?;
        Ok(line.map(str::to_owned).to_vec())
    }
}
