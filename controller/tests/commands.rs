//! The command on its host: from nothing to a node that has joined.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common_tls::dial::enroll_channel;
use common_tls::keys::NewKey;
use proto::v1::JoinRequest;
use proto::v1::enrollment_client::EnrollmentClient;
use serde_json::Value;
use tempfile::TempDir;
use tonic::Request;

const SOON: Duration = Duration::from_secs(20);

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dialtone-controller"));
    command.arg("--config").arg(directory.join("controller.yaml")).args(arguments);
    command
}

fn output(directory: &Path, arguments: &[&str]) -> Output {
    command(directory, arguments).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// `init` in a directory of its own; the pin.
fn initialised() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let arguments = ["init", "--san", "localhost,127.0.0.1", "-o", "json", "--state-dir", state.to_str().unwrap()];
    let pin = json(&output(directory.path(), &arguments))["ca_pin"].as_str().unwrap().to_owned();
    assert!(pin.starts_with("sha256:"));
    (directory, pin)
}

struct Service {
    child: Child,
    address: String,
}

impl Service {
    /// Runs the service on a free port, and on another one where somebody took it meanwhile.
    fn start(directory: &Path) -> Self {
        let begun = Instant::now();
        loop {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
            let state = directory.join("state");
            let config = format!("listen: {address}\nstate_dir: {}\nnames: [localhost]\n", state.display());
            std::fs::write(directory.join("controller.yaml"), config).unwrap();
            let child = command(directory, &["run"]).stderr(Stdio::null()).spawn().unwrap();
            let mut service = Self { child, address };
            while service.child.try_wait().unwrap().is_none() {
                if output(directory, &["token", "create"]).status.success() {
                    return service;
                }
                assert!(begun.elapsed() < SOON, "the service does not answer");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Already gone after `stop`.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn from_nothing_to_a_node_that_has_joined() {
    let (directory, pin) = initialised();
    let directory = directory.path();
    let again = complaint(&output(directory, &["init"]));
    assert!(again.contains(&pin) && again.contains("nothing was changed"), "{again}");
    let stopped = complaint(&output(directory, &["token", "create"]));
    assert!(stopped.contains("systemctl start dialtone-controller"), "{stopped}");

    let service = Service::start(directory);
    let token = json(&output(directory, &["token", "create", "--ttl", "1m", "--node", "es-1", "-o", "json"]));
    assert!(token["expires_at"].as_str().unwrap().ends_with('Z'));
    let joined = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let channel = enroll_channel(&service.address, pin.parse().unwrap()).await.unwrap();
        let csr_der = NewKey::generate().unwrap().csr_der().to_vec();
        let token = token["token"].as_str().unwrap().to_owned();
        let request = JoinRequest { token, node: "es-1".to_owned(), csr_der };
        EnrollmentClient::new(channel).join(Request::new(request)).await.unwrap().into_inner()
    });
    assert_eq!(joined.node, "es-1");

    let operator = json(&output(directory, &["operator", "add", "alice", "--role", "approver", "-o", "json"]));
    assert_eq!((operator["operator"].as_str(), operator["role"].as_str()), (Some("alice"), Some("approver")));
    assert!(operator["token"].is_string() && operator["expires_at"].is_string());
    let revoked = output(directory, &["revoke", "--node", "es-1"]);
    assert!(revoked.status.success(), "{revoked:?}");
    assert!(complaint(&output(directory, &["store", "check"])).contains("stop the controller first"));
    service.stop();

    let checked = output(directory, &["store", "check"]);
    assert!(String::from_utf8(checked.stdout).unwrap().contains("Damaged: 0"));
}

#[test]
fn a_store_moves_by_export_and_import() {
    let (directory, _) = initialised();
    Service::start(directory.path()).stop();
    let exported = output(directory.path(), &["store", "export"]).stdout;
    assert!(!exported.is_empty());
    let (other, _) = initialised();
    let file = other.path().join("export.jsonl");
    std::fs::write(&file, &exported).unwrap();
    assert!(output(other.path(), &["store", "import", file.to_str().unwrap()]).status.success());
    assert_eq!(output(other.path(), &["store", "export"]).stdout, exported);
}

#[test]
fn without_init_it_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    for task in [&["run"][..], &["token", "create"]] {
        let said = complaint(&output(directory.path(), task));
        assert!(said.contains("dialtone-controller init"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn manual_pages_and_completions_are_made() {
    let directory = tempfile::tempdir().unwrap();
    assert!(output(directory.path(), &["man", "--dir", directory.path().to_str().unwrap()]).status.success());
    assert!(directory.path().join("dialtone-controller.1").exists());
    for shell in ["bash", "zsh", "fish"] {
        assert!(!output(directory.path(), &["completions", shell]).stdout.is_empty());
    }
}
