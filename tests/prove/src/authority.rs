//! The state of a real controller: made by `dialtone-controller init`, and all that whoever takes it over finds there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use agent_act::clock::now;
use common_plan::audit::AuditEntry;
use common_plan::{Approval, PlanBytes, PlanId};
use common_tls::ca::Ca;
use common_tls::keys::NewKey;
use common_tls::{Credentials, Identity};
use controller_store::{Batch, Order, SledStore, Store, scan_prefix};
use serde_json::json;
use tempfile::TempDir;
use tests_node::Running;

use crate::machine::Machine;
use crate::programs;

/// Where it listens, in the namespace of the thread that starts it.
pub(crate) const ADDRESS: &str = "127.0.0.1:7443";
const VALIDITY: Duration = Duration::from_secs(3600);

/// CA, configuration and database of a controller.
#[derive(Debug)]
pub(crate) struct Authority {
    directory: TempDir,
}

impl Authority {
    /// `dialtone-controller init`.
    pub(crate) fn init() -> Self {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
        let authority = Self { directory };
        fs::write(
            authority.config(),
            format!("listen: {ADDRESS}\nstate_dir: {}\nnames: [127.0.0.1]\n", authority.state().display()),
        )
        .unwrap();
        assert!(authority.command().arg("init").output().unwrap().status.success(), "dialtone-controller init");
        authority
    }

    /// All that is kept of it, and of who works with it.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Adds to `controller.yaml`.
    pub(crate) fn configure(&self, more: &str) {
        let mut config = fs::OpenOptions::new().append(true).open(self.config()).unwrap();
        config.write_all(more.as_bytes()).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("controller.yaml")
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(programs::controller());
        command.arg("--config").arg(self.config()).stdin(Stdio::null());
        command
    }

    /// Starts the real controller.
    pub(crate) fn run(&self) -> Running {
        self.run_stopping(None)
    }

    /// Starts the real controller, which stops at a point if there is one.
    pub(crate) fn run_stopping(&self, at: Option<&str>) -> Running {
        let mut command = self.command();
        command.envs(at.map(|point| ("DIALTONE_STOP_AT", point)));
        self.start(command)
    }

    /// Starts it on another machine.
    pub(crate) fn run_on(&self, machine: &Machine) -> Running {
        let mut command = machine.command(programs::controller());
        command.arg("--config").arg(self.config());
        self.start(command)
    }

    fn start(&self, mut command: Command) -> Running {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.log()).unwrap();
        Running::start(command.arg("run").stdout(Stdio::null()).stderr(log))
    }

    /// What its audit log says of a plan, by the words of the events. It must not run meanwhile.
    pub(crate) fn audited(&self, plan: &PlanId) -> Vec<String> {
        let (store, _) = SledStore::open(&self.state().join("store")).unwrap();
        let rows = scan_prefix(&store, "audit", "entry/", Order::Ascending, usize::MAX).unwrap();
        let entries = rows.iter().map(|(_, row)| serde_json::from_slice::<AuditEntry>(&row.value).unwrap());
        entries.filter(|entry| entry.plan.as_ref() == Some(plan)).map(|entry| entry.event).collect()
    }

    /// What the real controller tells the journal.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.path().join("controller.log")
    }

    /// A certificate that its CA's key has signed.
    pub(crate) fn issue(&self, identity: &Identity) -> Credentials {
        let (ca, key) = (self.ca(), NewKey::generate().unwrap());
        let issued = ca.issue_client(key.csr_der(), identity, VALIDITY, now()).unwrap();
        key.with_certificate(&issued.chain_pem, ca.certificate_pem()).unwrap()
    }

    /// A certificate to serve under.
    pub(crate) fn own(&self) -> Credentials {
        let (ca, key) = (self.ca(), NewKey::generate().unwrap());
        let issued = ca.issue_controller(key.csr_der(), &["127.0.0.1".to_owned()], VALIDITY, now()).unwrap();
        key.with_certificate(&issued.chain_pem, ca.certificate_pem()).unwrap()
    }

    fn ca(&self) -> Ca {
        Ca::load(&self.state().join("ca")).unwrap()
    }

    /// Writes into its database that a plan is approved, with these approvals. It must not run meanwhile.
    pub(crate) fn keep_approved(&self, bytes: &PlanBytes, approvals: &[Approval]) {
        let (id, plan) = (bytes.id(), bytes.decode().unwrap());
        let approvals: Vec<_> = approvals
            .iter()
            .map(|approval| json!({"operator": "alice", "at": plan.made_at, "approval": approval}))
            .collect();
        let record = json!({
            "id": id, "node": plan.node, "action": plan.step.action(), "title": "Raise it", "goal": plan.goal,
            "made_at": plan.made_at, "expires_at": plan.expires_at, "needed": 1, "stage": "approved", "history": [],
            "reverted_by": null, "approvals": approvals,
        });
        let kept = json!({"bytes": bytes, "life": {"record": record, "proven": null}});
        let batch = Batch::default().put(format!("plan/{id}"), kept.to_string()).put(format!("open/{id}"), Vec::new());
        let (store, _) = SledStore::open(&self.state().join("store")).unwrap();
        store.commit("plans", &batch).unwrap();
    }
}
