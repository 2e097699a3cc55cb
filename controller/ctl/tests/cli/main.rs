//! The command as people and scripts use it: against a controller in this process, and with none at all.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod fake;
mod plans;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common_model::{Diagnosis, Symptom};
use common_tls::dial::{self, ClientIdentity};
use common_tls::{Identity, Role};
use controller::{Config, Controller};
use proto::v1;
use proto::v1::operator_client::OperatorClient;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::Command;

/// For anything that is certain to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A home of its own for a run of the program.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(TempDir::with_prefix("dialtone-test-").unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dialtone"));
        command.args(arguments).env_clear().env("HOME", self.path()).env("LANG", "C.UTF-8").env("TZ", "UTC");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        let output = tokio::time::timeout(PATIENCE, self.command(arguments).output()).await.unwrap().unwrap();
        Ran::of(output)
    }
}

#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

/// A controller with a certificate authority of its own.
struct Running {
    controller: Controller,
    pin: String,
    _state: TempDir,
}

impl Running {
    async fn start() -> Self {
        let state = TempDir::with_prefix("dialtone-test-").unwrap();
        let state_dir = state.path().to_owned();
        let config = Config { listen: "127.0.0.1:0".to_owned(), state_dir, ..Config::default() };
        let pin = controller::init::create_ca(&config).unwrap().to_string();
        Self { controller: Controller::start(config).await.unwrap(), pin, _state: state }
    }

    fn address(&self) -> String {
        self.controller.local_addr().to_string()
    }

    /// A token for an operator of this role.
    async fn login_token(&self, operator: &str, role: &str) -> String {
        let admin = Identity::Operator { name: "root".parse().unwrap(), role: Role::Admin };
        let identity = ClientIdentity::new(self.controller.issue(&admin).await.unwrap()).unwrap();
        let channel = dial::channel(&self.address(), Arc::new(identity)).await.unwrap();
        let request = v1::AddOperatorRequest { operator: operator.to_owned(), role: role.to_owned() };
        OperatorClient::new(channel).add_operator(request).await.unwrap().into_inner().token
    }

    /// A home that is logged in.
    async fn home(&self, role: &str) -> Home {
        let home = Home::new();
        let token = self.login_token("alice", role).await;
        let ran = home.run(&["login", &self.address(), "--token", &token, "--ca-pin", &self.pin]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        home
    }
}

/// Answers every connection as Elasticsearch does; gives the port.
fn engine(listener: TcpListener) -> u16 {
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                let body = r#"{"name":"es-1","cluster_name":"prod","version":{"number":"8.18.0"},"tagline":"You Know, for Search"}"#;
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\ncontent-length: {length}\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.ok();
            }
        }
    });
    port
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// A port that is nobody else's and refuses for as long as the socket lives.
fn closed() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn login_keeps_a_private_key_and_remembers_the_controller() {
    let running = Running::start().await;
    let home = running.home("viewer").await;
    let config = home.path().join(".config/dialtone");
    let text = std::fs::read_to_string(config.join("config.yaml")).unwrap();
    assert_eq!(text, format!("controller: {}\n", running.address()));
    let keys: Vec<_> =
        walk(&config).into_iter().filter(|path| path.extension().is_some_and(|it| it == "pem")).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(std::fs::metadata(&keys[0]).unwrap().permissions().mode() & 0o777, 0o600);

    let nodes = home.run(&["nodes", "-o", "json"]).await;
    assert_eq!((nodes.code, nodes.json()), (0, Value::Array(Vec::new())), "{nodes:?}");
    assert_eq!(nodes.err, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_may_not_make_tokens_and_an_admin_may() {
    let running = Running::start().await;
    let refused = running.home("viewer").await.run(&["token", "create"]).await;
    assert_eq!((refused.code, refused.out.as_str()), (4, ""), "{refused:?}");
    assert!(refused.err.contains("not permitted"), "{refused:?}");

    let admin = running.home("admin").await;
    let token = admin.run(&["token", "create", "--ttl", "5m", "--node", "es-1", "-o", "json"]).await;
    assert_eq!(token.code, 0, "{token:?}");
    assert!(token.json()["token"].is_string() && token.json()["expires_at"].is_string(), "{token:?}");
    let added = admin.run(&["operator", "add", "bob", "--role", "approver", "-o", "yaml"]).await;
    let added: Value = serde_yaml::from_str(&added.out).unwrap();
    assert_eq!((&added["operator"], &added["role"]), (&"bob".into(), &"approver".into()));
    let wrong = admin.run(&["node", "es-9"]).await;
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.err.contains("there is no node es-9"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_leaves_nothing_behind() {
    let running = Running::start().await;
    let home = Home::new();
    let pin = format!("sha256:{}", "0".repeat(64));
    let token = running.login_token("alice", "viewer").await;
    let ran = home.run(&["login", &running.address(), "--token", &token, "--ca-pin", &pin]).await;
    assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{ran:?}");
    assert!(ran.err.contains("the pin says") && ran.err.contains(&running.pin), "{ran:?}");
    assert!(walk(home.path()).is_empty());
    // The token was not used up.
    let ran = home.run(&["login", &running.address(), "--token", &token, "--ca-pin", &running.pin]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_told_and_leaves_nothing_behind() {
    const WANTED: &str = "this token is not known, or it was used already: tokens work once; ask for a new one";
    let running = Running::start().await;
    let home = Home::new();
    let login = home.run(&["login", &running.address(), "--token", "wrong", "--ca-pin", &running.pin]).await;
    assert_eq!((login.code, login.out.as_str()), (4, ""), "{login:?}");
    assert!(login.err.contains(&running.address()) && login.err.contains(WANTED), "{login:?}");
    assert!(walk(home.path()).is_empty());

    let (pin, node) = (running.pin.parse().unwrap(), "es-1".parse().unwrap());
    let join = agent::enroll::join(&running.address(), "wrong", pin, &node).await.err().unwrap().to_string();
    assert_eq!(join, format!("the controller refused: {WANTED}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_cannot_be_used_is_exit_4_with_what_to_do() {
    let (_socket, port) = closed();
    let address = format!("127.0.0.1:{port}");
    let home = Home::new();
    let unknown = home.run(&["nodes", "--controller", &address]).await;
    assert_eq!(unknown.code, 4, "{unknown:?}");
    assert!(unknown.err.contains(&format!("dialtone login {address} --token")), "{unknown:?}");
    let login = home.run(&["login", &address, "--token", "x", "--ca-pin", &format!("sha256:{}", "0".repeat(64))]).await;
    assert_eq!(login.code, 4, "{login:?}");
    assert!(login.err.contains("refused the connection"), "{login:?}");
    let pin = format!("sha256:{}", "0".repeat(64));
    let nameless = home.run(&["login", "controller.invalid", "--token", "x", "--ca-pin", &pin]).await;
    assert_eq!(nameless.code, 4, "{nameless:?}");
    assert!(nameless.err.contains("does not resolve"), "{nameless:?}");
    assert!(nameless.err.contains("getent ahosts controller.invalid"), "{nameless:?}");
    let none = home.run(&["token", "create"]).await;
    assert_eq!(none.code, 4, "{none:?}");
    assert!(none.err.contains("no controller is configured"), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_answers_is_one_line_and_exit_0() {
    let running = Running::start().await;
    let home = running.home("viewer").await;
    let port = engine(listener().await);
    let ran = home.run(&["diagnose", &format!("http://127.0.0.1:{port}")]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.starts_with(&format!("✓ http://127.0.0.1:{port} answers — Elasticsearch 8.18.0, cluster prod")),
        "{ran:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_an_object_for_one_endpoint_and_an_array_for_several() {
    let running = Running::start().await;
    let home = running.home("viewer").await;
    let port = engine(listener().await);
    let (_socket, closed) = closed();
    let (open, shut) = (format!("http://127.0.0.1:{port}"), format!("127.0.0.1:{closed}"));
    let one = home.run(&["diagnose", &open, "-o", "json", "--from", "here"]).await;
    let diagnosis: Diagnosis = serde_json::from_value(one.json()).unwrap();
    assert_eq!((diagnosis.schema.as_str(), diagnosis.symptom), ("dialtone.diagnosis/1", Symptom::Ok));
    assert_eq!(diagnosis.probes.iter().map(|probe| probe.vantage.as_str()).collect::<Vec<_>>(), ["here"]);

    let both = home.run(&["diagnose", &open, &shut, "-o", "json"]).await;
    let diagnoses: Vec<Diagnosis> = serde_json::from_value(both.json()).unwrap();
    let symptoms: Vec<Symptom> = diagnoses.iter().map(|diagnosis| diagnosis.symptom).collect();
    assert_eq!(symptoms, [Symptom::Ok, Symptom::Refused]);
    assert_ne!(both.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_ends_when_it_is_reachable() {
    let (socket, port) = closed();
    let home = Home::new();
    let mut child = home
        .command(&["diagnose", "--watch", &format!("http://127.0.0.1:{port}")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut first = [0; 4096];
    let read = tokio::time::timeout(PATIENCE, out.read(&mut first)).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first[..read]).contains("refused"));
    // Only now does anything listen.
    engine(socket.listen(16).unwrap());
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    let mut rest = String::new();
    out.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("✓ http://127.0.0.1:"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_controller_everything_runs_here_and_nothing_secret_stays() {
    let port = engine(listener().await);
    let home = Home::new();
    let endpoint = format!("http://127.0.0.1:{port}");
    // Two at once: one has the state directory, the other does without.
    let arguments = ["diagnose", &endpoint];
    let both = tokio::join!(home.run(&arguments), home.run(&arguments));
    for ran in [both.0, both.1] {
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.starts_with(&format!("✓ {endpoint} answers")), "{ran:?}");
    }
    let state = home.path().join(".local/state/dialtone");
    assert!(state.join("store").is_dir());
    assert!(!walk(home.path()).iter().any(|path| path.extension().is_some_and(|it| it == "key" || it == "pem")));
}

#[tokio::test(flavor = "multi_thread")]
async fn being_told_to_stop_removes_the_authority_of_the_run() {
    let (_socket, port) = closed();
    let home = Home::new();
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut command = home.command(&["diagnose", "--watch", &endpoint]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // Once it has said something it is watching.
    let mut out = child.stdout.take().unwrap();
    assert_ne!(tokio::time::timeout(PATIENCE, out.read(&mut [0; 4096])).await.unwrap().unwrap(), 0);
    assert!(home.path().join(".local/state/dialtone/ca/ca.key").exists());
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(3));
    assert!(!home.path().join(".local/state/dialtone/ca").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_controller_the_inventory_is_this_machine() {
    let home = Home::new();
    let ran = home.run(&["nodes", "-o", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let nodes = ran.json();
    assert_eq!(nodes.as_array().map(Vec::len), Some(1), "{ran:?}");
    assert_eq!(nodes[0]["online"], Value::Bool(true));
    // Only there once the agent has read this machine and the controller has what it read.
    let name = nodes[0]["name"].as_str().unwrap();
    let node = home.run(&["node", name, "-o", "json"]).await.json();
    let kinds: Vec<&str> =
        node["evidence"].as_array().unwrap().iter().filter_map(|read| read["kind"].as_str()).collect();
    assert!(kinds.contains(&"sockets") && kinds.contains(&"interfaces"), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_exit_2_and_say_what_is_wrong() {
    let home = Home::new();
    for (arguments, wanted) in [
        (vec!["bogus"], "unrecognized subcommand"),
        (vec!["diagnose", "http://"], "there is no host name"),
        (vec!["diagnose", "es-1:99999"], "is not a port"),
        (vec!["diagnose", "es-1", "--client-error", "/nonexistent"], "cannot read /nonexistent"),
        (vec!["timeline", "--since", "yesterday"], "is not a time span"),
        (vec!["nodes", "--config", "/nonexistent"], "cannot read /nonexistent"),
    ] {
        let ran = home.run(&arguments).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(ran.err.contains(wanted), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn manual_pages_and_completions_are_made() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let ran = home.run(&["completions", shell]).await;
        assert!(ran.code == 0 && ran.out.contains("diagnose"), "{shell}");
    }
    let ran = home.run(&["man", "--dir", home.path().to_str().unwrap()]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let page = std::fs::read_to_string(home.path().join("dialtone-diagnose.1")).unwrap();
    assert!(page.contains("client\\-error"), "{page}");
    assert!(home.run(&["man"]).await.out.starts_with(".ie"));
}

/// Every file below a directory.
fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}
