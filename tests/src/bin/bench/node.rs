//! A joined host with an engine that answers and a shell to log in to.

use std::ops::Deref;

use anyhow::Result;
use serde_json::Value;
use system_tests::fleet::Fleet;
use system_tests::lab::{Engine, Host, until};

use crate::stopwatch;

/// What the hosts of the benchmark have beyond those of the tests.
const SSH_SERVER: &str = "openssh-server";

/// The host and its engine.
pub(crate) struct Node {
    host: Host,
    pub(crate) engine: Engine,
}

impl Node {
    /// Boots it, starts the engine and joins it.
    pub(crate) fn boot(fleet: &Fleet, name: &str, engine: Engine) -> Result<Self> {
        let node = Self { host: Host::boot_with(name, &[SSH_SERVER])?, engine };
        engine.run_healthy(&node)?;
        fleet.join(&node)?;
        node.diagnosed(fleet, "healthy")?;
        Ok(node)
    }

    /// What a client would be told.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}:9200", self.ip())
    }

    /// Waits until a diagnosis names this cause with certainty: what was done to the node has been seen.
    pub(crate) fn diagnosed(&self, fleet: &Fleet, cause: &str) -> Result<()> {
        until(&format!("the verdict {cause}"), std::time::Duration::from_secs(60), || {
            let said = fleet.dialtone(&["diagnose", "-o", "json", &self.endpoint()])?.stdout;
            Ok(is_verdict(&said, cause).then_some(()))
        })
    }

    /// Times diagnoses, each of which has to name the cause with certainty.
    pub(crate) fn time_diagnoses(&self, fleet: &Fleet, cause: &str) -> Result<stopwatch::Timed> {
        let program = fleet.program();
        let status = if cause == "healthy" { 0 } else { 1 };
        let command = [&program.to_string_lossy(), "diagnose", "-o", "json", &self.endpoint()];
        let timed = stopwatch::time(fleet, crate::RUNS, &[status], &command)?;
        let wrong = timed.printed.iter().find(|said| !is_verdict(said, cause));
        anyhow::ensure!(wrong.is_none(), "not {cause}: {wrong:?}");
        Ok(timed)
    }

    /// Replaces the yml and restarts the engine, however that ends.
    pub(crate) fn restart_with(&self, yml: &str) -> Result<()> {
        self.engine.set_yml(self, yml)?;
        self.run(&["systemctl", "restart", self.engine.name()])?;
        Ok(())
    }
}

fn is_verdict(said: &str, cause: &str) -> bool {
    let json: Value = serde_json::from_str(said).unwrap_or_default();
    json["verdict"]["cause"] == cause && json["verdict"]["certainty"] == "certain"
}

impl Deref for Node {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}
