//! What somebody without Dialtone looks up on the node, over ssh, and how long the commands alone take.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use system_tests::fleet::Fleet;
use tempfile::TempDir;

use crate::node::Node;
use crate::samples::Samples;
use crate::{RUNS, stopwatch};

/// How long the person's curl waits; without a limit, a dropped connection takes curl two minutes.
const PATIENCE: &str = "5";

/// A key that may log in as root.
pub(crate) struct Key {
    directory: TempDir,
}

/// Milliseconds for the runbook.
pub(crate) struct ByHand {
    /// A connection for each command.
    pub(crate) apart: Samples,
    /// All commands over one connection.
    pub(crate) together: Samples,
}

impl Key {
    /// Makes one.
    pub(crate) fn new() -> Result<Self> {
        let directory = TempDir::new()?;
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(directory.path().join("key"));
        let status = keygen.status().context("ssh-keygen: install openssh-client to compare with ssh")?;
        ensure!(status.success(), "ssh-keygen: {status}");
        Ok(Self { directory })
    }

    /// Lets it in on this host.
    pub(crate) fn admit(&self, node: &Node) -> Result<()> {
        node.write("/root/.ssh/authorized_keys", fs::read(self.directory.path().join("key.pub"))?)?;
        node.check(&["chmod", "-R", "go=", "/root/.ssh"])?;
        Ok(())
    }

    /// Times the runbook against this host.
    pub(crate) fn time_runbook(&self, fleet: &Fleet, node: &Node) -> Result<ByHand> {
        let curl = format!("curl --silent --show-error --max-time {PATIENCE} {}", node.endpoint());
        let commands = runbook(node);
        let apart: Vec<String> = commands.iter().map(|command| self.ssh(node, command)).collect();
        let together = self.ssh(node, &commands.join("; "));
        let time = |ssh: &str| -> Result<Samples> {
            // A unit that is not active, or a curl that fails, is what is looked for: only ssh's own failure counts.
            let script = format!("{ssh}; {curl}; true");
            Ok(stopwatch::time(fleet, RUNS, &[0], &["sh", "-c", &script])?.millis)
        };
        Ok(ByHand { apart: time(&apart.join("; "))?, together: time(&together)? })
    }

    fn ssh(&self, node: &Node, command: &str) -> String {
        let key = self.directory.path().join("key");
        let options = "-F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
        // 255 is ssh's own; then there is nothing to time.
        format!("{{ ssh {options} -i {} root@{} '{command}'; [ $? != 255 ] || exit 255; }}", key.display(), node.ip())
    }
}

/// The commands, in the order in which a person would try them.
fn runbook(node: &Node) -> [String; 6] {
    let unit = node.engine.name();
    [
        format!("systemctl status --no-pager {unit}"),
        "ss -ltnp".to_owned(),
        format!("journalctl --no-pager -u {unit} -n 50"),
        format!("grep -v ^# {}", node.engine.yml_path()),
        "sysctl vm.max_map_count".to_owned(),
        "nft list ruleset".to_owned(),
    ]
}
