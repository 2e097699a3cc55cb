//! Where an operator works: a home with a certificate of the controller's CA, and the real `dialtone`.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use common_plan::ApprovalKey;
use common_tls::{Identity, Role};

use crate::authority::{ADDRESS, Authority};
use crate::programs;

/// What people ask, by every command that shows words of a node or a repository: about an endpoint, the node `es-1`, and a plan if
/// there is one.
pub(crate) fn questions<'a>(endpoint: &'a str, plan: Option<&'a str>) -> Vec<Vec<&'a str>> {
    let plan = plan.map(|plan| vec!["plan", plan]);
    let questions = [
        vec!["diagnose", endpoint],
        vec!["diagnose", endpoint, "--verbose"],
        vec!["nodes"],
        vec!["node", "es-1"],
        vec!["node", "es-1", "--verbose"],
        vec!["timeline", "--since", "999d"],
        vec!["timeline", "es-1", "--since", "999d"],
        vec!["incidents", "--all"],
        vec!["incident", "1"],
        vec!["plans", "--all"],
        vec!["preflight", "es-1"],
        vec!["rollouts", "--all"],
        vec!["audit", "export"],
    ];
    plan.into_iter().chain(questions).collect()
}

/// Alice.
#[derive(Debug)]
pub(crate) struct Operator {
    home: PathBuf,
}

impl Operator {
    /// Logged in, with a key of her own.
    pub(crate) fn login(authority: &Authority, role: Role) -> Self {
        let operator = Self { home: authority.directory().join("home") };
        let alice = Identity::Operator { name: "alice".parse().unwrap(), role };
        authority.issue(&alice).save(&operator.config().join("127.0.0.1_credentials")).unwrap();
        fs::write(operator.config().join("config.yaml"), format!("controller: {ADDRESS}\n")).unwrap();
        let made = operator.output(&["key"]);
        assert!(made.status.success(), "{made:?}");
        operator
    }

    fn config(&self) -> PathBuf {
        self.home.join(".config/dialtone")
    }

    /// The key that `dialtone key` made.
    pub(crate) fn key(&self) -> ApprovalKey {
        ApprovalKey::from_pkcs8(&fs::read(self.config().join("approval.key")).unwrap()).unwrap()
    }

    /// A program as she runs it, with nothing of this process's environment.
    pub(crate) fn at_home(&self, mut command: Command) -> Command {
        command.env_clear().env("HOME", &self.home).env("LANG", "C.UTF-8").env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null());
        command
    }

    /// What `dialtone` gave, however it ended.
    pub(crate) fn output(&self, arguments: &[impl AsRef<OsStr>]) -> Output {
        self.at_home(Command::new(programs::dialtone())).args(arguments).output().unwrap()
    }
}
