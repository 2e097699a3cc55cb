//! Where an operator works: the real `dialtone`, logged in.

use std::fs;
use std::process::{Command, Output, Stdio};

use common_plan::ApprovalKey;
use common_tls::{Identity, Role};
use tempfile::TempDir;

use crate::authority::{ADDRESS, Authority};
use crate::programs;

/// Alice's.
pub(crate) struct Laptop {
    home: TempDir,
}

impl Laptop {
    /// Logged in, with a key of their own.
    pub(crate) fn of_an_approver(authority: &Authority) -> Self {
        let laptop = Self { home: TempDir::new().unwrap() };
        let config = laptop.home.path().join(".config/dialtone");
        let alice = Identity::Operator { name: "alice".parse().unwrap(), role: Role::Approver };
        authority.issue(&alice).save(&config.join("127.0.0.1_credentials")).unwrap();
        fs::write(config.join("config.yaml"), format!("controller: {ADDRESS}\n")).unwrap();
        let made = laptop.dialtone(&["key"]);
        assert!(made.status.success(), "{made:?}");
        laptop
    }

    /// The key that `dialtone key` made.
    pub(crate) fn key(&self) -> ApprovalKey {
        ApprovalKey::from_pkcs8(&fs::read(self.home.path().join(".config/dialtone/approval.key")).unwrap()).unwrap()
    }

    pub(crate) fn dialtone(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(programs::dialtone());
        command.args(arguments).env_clear().env("HOME", self.home.path()).env("LANG", "C.UTF-8").stdin(Stdio::null());
        command.output().unwrap()
    }
}
