//! Real engines: Elasticsearch and OpenSearch, from their own jars, installed
//! as a Debian package with the vendor's paths, user and unit.
//!
//! A unit starts with `--quiet`, so that the journal holds only what the engine
//! says outside its log file, as it does with the vendor's unit; see
//! [`Engine::console_to_journal`].

mod compile;
mod maven;
mod package;
mod security;
mod settings;
mod spec;

use std::time::Duration;

use anyhow::{Result, bail};

pub use security::{Users, secure};
pub use settings::Loaded;

use super::command::Output;
use super::{Host, client, wait};

/// How long an engine may take to start or to give up, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(180);

/// An engine the lab can install.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// Elasticsearch 7.17, without TLS and users.
    Elasticsearch,
    /// Elasticsearch 8.17: a launcher with the server as its child. Its journal
    /// does not say why a start failed, only its log file does.
    Elasticsearch8,
    /// OpenSearch 2.19 with its security plugin.
    OpenSearch,
}

/// The scheme of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS, the certificate not checked.
    Https,
}

impl Engine {
    /// Every engine the lab can install.
    pub const ALL: [Self; 3] = [Self::Elasticsearch, Self::Elasticsearch8, Self::OpenSearch];

    /// The name of its package, user, unit and directories.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// Its version, as its package and its HTTP answer give it.
    #[must_use]
    pub const fn version(self) -> &'static str {
        self.spec().version
    }

    /// The path of its main configuration file.
    #[must_use]
    pub fn yml_path(self) -> String {
        format!("/etc/{0}/{0}.yml", self.name())
    }

    /// The path of its log file when the cluster has this name.
    #[must_use]
    pub fn log_path(self, cluster: &str) -> String {
        format!("/var/log/{}/{cluster}.log", self.name())
    }

    /// Installs it on the host, stopped and disabled, with the configuration it
    /// is delivered with: bound to loopback. The first use on a machine makes
    /// the package (up to a minute).
    ///
    /// # Errors
    /// When its jars cannot be fetched, the package cannot be built, or dpkg fails.
    pub fn install(self, host: &Host) -> Result<()> {
        host.install_deb(&package::prepare(self)?)
    }

    /// Settings of a single healthy node that answers on every address. The
    /// limits of lab hosts would fail bootstrap checks, which such a node only
    /// warns about.
    #[must_use]
    pub fn healthy_yml(self) -> String {
        format!(
            "cluster.name: lab\n\
             node.name: node-1\n\
             network.host: 0.0.0.0\n\
             discovery.type: single-node\n\
             path.data: /var/lib/{0}\n\
             path.logs: /var/log/{0}\n\
             {1}",
            self.name(),
            self.spec().healthy
        )
    }

    /// Replaces the main configuration file, owner and mode kept.
    ///
    /// # Errors
    /// When the host refuses the write.
    pub fn set_yml(self, host: &Host, text: &str) -> Result<()> {
        host.write(&self.yml_path(), text)
    }

    /// Adds a drop-in to the unit and has systemd read it.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn drop_in(self, host: &Host, name: &str, text: &str) -> Result<()> {
        let unit = self.name();
        host.write(&format!("/etc/systemd/system/{unit}.service.d/{name}.conf"), text)?;
        host.check(&["systemctl", "daemon-reload"])?;
        Ok(())
    }

    /// Has the unit start the engine without `--quiet`, so that its whole log
    /// goes to the journal, too.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn console_to_journal(self, host: &Host) -> Result<()> {
        let name = self.name();
        let text =
            format!("[Service]\nExecStart=\nExecStart=/usr/share/{name}/bin/{name} -p ${{PID_DIR}}/{name}.pid\n");
        self.drop_in(host, "console", &text)
    }

    /// `systemctl start`, which returns when the node has started or given up:
    /// the unit is `Type=notify`, as the vendor's.
    ///
    /// # Errors
    /// When the command cannot be run; how it ended is in the output.
    pub fn start(self, host: &Host) -> Result<Output> {
        host.run(&["systemctl", "start", self.name()])
    }

    /// `systemctl start --no-block`, for a look at the engine while it starts.
    ///
    /// # Errors
    /// When systemd does not take the job.
    pub fn begin_start(self, host: &Host) -> Result<()> {
        host.check(&["systemctl", "start", "--no-block", self.name()]).map(drop)
    }

    /// `systemctl stop`, which returns when the process has ended.
    ///
    /// # Errors
    /// When the unit cannot be stopped.
    pub fn stop(self, host: &Host) -> Result<()> {
        host.check(&["systemctl", "stop", self.name()]).map(drop)
    }

    /// Installs, configures and starts a healthy single node and waits until
    /// it answers.
    ///
    /// # Errors
    /// When any of it fails.
    pub fn run_healthy(self, host: &Host) -> Result<()> {
        self.install(host)?;
        self.set_yml(host, &self.healthy_yml())?;
        self.start(host)?.ok()?;
        self.wait_http(host, 9200, Scheme::Http).map(drop)
    }

    /// Waits until the engine answers a client outside the host, and gives the
    /// status and body of the answer.
    ///
    /// # Errors
    /// When the unit fails first or no answer comes in three minutes, with the
    /// unit's journal.
    pub fn wait_http(self, host: &Host, port: u16, scheme: Scheme) -> Result<(u16, String)> {
        let scheme = match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let url = format!("{scheme}://{}:{port}/", host.ip());
        wait::until(&format!("an answer from {url}"), START_LIMIT, || {
            let answer = client()?.get(&url)?;
            if answer.is_none() && self.is_failed(host)? {
                bail!("{} failed:\n{}", self.name(), self.journal(host)?);
            }
            Ok(answer)
        })
    }

    /// Waits until systemd holds the unit for failed.
    ///
    /// # Errors
    /// When that does not happen in three minutes.
    pub fn wait_failed(self, host: &Host) -> Result<()> {
        wait::until("a failed unit", START_LIMIT, || Ok(self.is_failed(host)?.then_some(())))
    }

    /// The journal of its unit.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn journal(self, host: &Host) -> Result<String> {
        host.check(&["journalctl", "--no-pager", "--unit", self.name()])
    }

    fn is_failed(self, host: &Host) -> Result<bool> {
        let output = host.run(&["systemctl", "is-failed", self.name()])?;
        Ok(output.success())
    }
}
