//! Where everything is. The real host is the tree below `/`; tests have trees of their own.

use std::path::{Path, PathBuf};

use common_plan::PlanId;

/// A host's files.
#[derive(Debug, Clone)]
pub struct Places {
    root: PathBuf,
}

impl Places {
    /// The host whose files lie below `root`.
    pub fn below(root: PathBuf) -> Self {
        Self { root }
    }

    /// Whether this is the machine itself, where systemd can be asked to start a guard.
    pub fn is_host(&self) -> bool {
        self.root == Path::new("/")
    }

    /// What `/` is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file an absolute path of the host means.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// What the administrator allows.
    pub fn policy(&self) -> PathBuf {
        self.at("/etc/dialtone/policy.yaml")
    }

    /// Written by `dialtone-agent join`; names the node.
    pub fn agent_config(&self) -> PathBuf {
        self.at("/etc/dialtone/agent.yaml")
    }

    /// What lasts.
    pub fn state(&self) -> PathBuf {
        self.at("/var/lib/dialtone-actuator")
    }

    /// A directory for every plan that was begun.
    pub fn plans(&self) -> PathBuf {
        self.state().join("plans")
    }

    /// The directory of one.
    pub fn plan(&self, id: &PlanId) -> PathBuf {
        self.plans().join(id.as_str())
    }

    /// Held by the guard of a plan for as long as it lives; there from when it was armed.
    pub fn guard(&self, id: &PlanId) -> PathBuf {
        self.plan(id).join("guard.lock")
    }

    /// What goes with the boot.
    pub fn run(&self) -> PathBuf {
        self.at("/run/dialtone-actuator")
    }

    /// Where the agent asks.
    pub fn socket(&self) -> PathBuf {
        self.run().join("socket")
    }
}
