//! A controller, an operator's machine and nodes, set up only by packages, `init`, `join`, `login` and `systemctl`.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::lab::{Host, Output};
use crate::packages;
use crate::product::{self, Laptop};

/// A controller with one operator, to which nodes are joined.
pub struct Fleet {
    /// The host that the controller runs on.
    pub controller: Host,
    pin: String,
    laptop: Laptop,
}

impl Fleet {
    /// Installs and starts the controller on a new host of this name, and logs an operator in.
    ///
    /// # Errors
    /// When any step fails, with what it said.
    pub fn set_up(host: &str) -> Result<Self> {
        Self::set_up_with(host, &[])
    }

    /// The same on a host that has these Debian packages, too: see [`Host::boot_with`].
    ///
    /// # Errors
    /// As [`Fleet::set_up`].
    pub fn set_up_with(host: &str, packages: &[&str]) -> Result<Self> {
        let controller = Host::boot_with(host, packages)?;
        for package in ["dialtone-controller", "dialtone"] {
            controller.install_deb(&packages::deb(package)?)?;
        }
        let pin = product::start_controller(&controller, &format!("{host},{}", controller.ip()))?;
        let laptop = Laptop::new()?;
        laptop.login(&controller, &pin, "alice", "admin")?;
        Ok(Self { controller, pin, laptop })
    }

    /// Where the controller listens, `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        product::address(&self.controller)
    }

    /// The path of the operator's `dialtone`.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.laptop.program()
    }

    /// The operator's home directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.laptop.home()
    }

    /// Runs `dialtone` as the operator, outside the hosts.
    ///
    /// # Errors
    /// When it cannot be started; how it ended is in the output.
    pub fn dialtone(&self, arguments: &[&str]) -> Result<Output> {
        self.laptop.dialtone(arguments)
    }

    /// The machine of the operator who was logged in first.
    #[must_use]
    pub fn laptop(&self) -> &Laptop {
        &self.laptop
    }

    /// Another operator, on a machine of their own.
    ///
    /// # Errors
    /// When any step fails, with what it said.
    pub fn operator(&self, name: &str, role: &str) -> Result<Laptop> {
        let laptop = Laptop::new()?;
        laptop.login(&self.controller, &self.pin, name, role)?;
        Ok(laptop)
    }

    /// A token that lets a node of this name join, also in the place of one that had the name before.
    ///
    /// # Errors
    /// When the controller does not make one.
    pub fn join_token(&self, node: &str) -> Result<String> {
        product::join_token(&self.controller, &["--node", node])
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
        // A host that replaces one a failed test spoilt takes over its name, which only a token that says so allows.
        product::join(&self.controller, host, &self.pin, &["--node", host.name()])?;
        Ok(())
    }
}
