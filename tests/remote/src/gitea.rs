//! A real Gitea of the test's own, with a repository in it.
//!
//! `tests/prepare` has built it, from the Go module proxy.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;

const GITEA: &str = "code.gitea.io-gitea@v1.26.0";
/// Sqlite's migrations on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A running Gitea; it ends with this value.
#[derive(Debug)]
pub struct Gitea {
    process: Child,
    directory: TempDir,
    root: String,
    token: String,
    http: Client,
}

impl Drop for Gitea {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn check(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {err}{out}");
    out.into_owned()
}

/// The program and the files it serves from.
fn program() -> PathBuf {
    let cache = std::env::var_os("DIALTONE_LAB_CACHE").filter(|path| !path.is_empty());
    let program = cache.map_or_else(|| PathBuf::from("/var/cache/dialtone-lab"), PathBuf::from).join(GITEA);
    assert!(program.exists(), "there is no {}: run tests/prepare", program.display());
    program
}

impl Gitea {
    /// One with the user `ops` and their empty repository `config`.
    pub async fn start() -> Self {
        common_tls::use_ring();
        let program = program();
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let root = format!("http://127.0.0.1:{port}");
        let ini = directory.path().join("app.ini");
        fs::write(&ini, settings(directory.path(), &program, port)).unwrap();
        let gitea = || {
            let mut command = Command::new(program.join("gitea"));
            let run_as_root = ("GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT", "true");
            command.env("HOME", directory.path()).env("GITEA_WORK_DIR", directory.path()).envs([run_as_root]);
            command.arg("--config").arg(&ini);
            command
        };
        check(gitea().arg("migrate"));
        let user = [
            "admin",
            "user",
            "create",
            "--username",
            "ops",
            "--password",
            "Secret-12345",
            "--email",
            "ops@example.org",
        ];
        check(gitea().args(user).args(["--admin", "--must-change-password=false"]));
        let token = ["admin", "user", "generate-access-token", "--username", "ops", "--scopes", "all", "--raw"];
        let token = check(gitea().args(token)).lines().last().unwrap().trim().to_owned();
        let log = File::create(directory.path().join("log")).unwrap();
        let process = gitea().arg("web").stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let http = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let gitea = Self { process, directory, root, token, http };
        timeout(START, gitea.is_up()).await.unwrap_or_else(|_| panic!("{}", gitea.log()));
        gitea.new_repository("config").await;
        gitea
    }

    /// Another empty repository of `ops`.
    pub async fn new_repository(&self, name: &str) {
        self.api(Method::POST, "/user/repos", json!({"name": name, "default_branch": "main"})).await;
    }

    async fn is_up(&self) {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        while self.http.get(format!("{}/api/v1/version", self.root)).send().await.is_err() {
            tick.tick().await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Where it answers.
    pub fn root(&self) -> String {
        self.root.clone()
    }

    /// Where git finds the repository.
    pub fn url(&self) -> String {
        self.url_of("config")
    }

    /// The same of another repository.
    pub fn url_of(&self, repository: &str) -> String {
        format!("{}/ops/{repository}.git", self.root)
    }

    /// The same for its owner, who needs no header.
    pub fn owners_url(&self) -> String {
        self.owners_url_of("config")
    }

    /// The same of another repository.
    pub fn owners_url_of(&self, repository: &str) -> String {
        self.url_of(repository).replace("http://", &format!("http://ops:{}@", self.token))
    }

    /// Its owner's, with every right.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Calls the API; the answer's text.
    pub async fn text(&self, method: Method, path: &str, body: Value) -> String {
        let request = self.http.request(method, format!("{}/api/v1{path}", self.root));
        let request = request.header("authorization", format!("token {}", self.token));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}\n{}", self.log());
        text
    }

    /// The same for an answer in JSON.
    pub async fn api(&self, method: Method, path: &str, body: Value) -> Value {
        let text = self.text(method, path, body).await;
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }
}

fn settings(directory: &Path, program: &Path, port: u16) -> String {
    format!(
        "WORK_PATH = {directory}\nRUN_MODE = prod\n\
         [database]\nDB_TYPE = sqlite3\nPATH = {directory}/gitea.db\n\
         [server]\nHTTP_ADDR = 127.0.0.1\nHTTP_PORT = {port}\nROOT_URL = http://127.0.0.1:{port}/\nDISABLE_SSH = true\n\
         OFFLINE_MODE = true\nSTATIC_ROOT_PATH = {program}\n\
         [security]\nINSTALL_LOCK = true\nSECRET_KEY = only-for-tests\n\
         [service]\nDISABLE_REGISTRATION = true\n\
         [log]\nMODE = console\nLEVEL = Warn\n",
        directory = directory.display(),
        program = program.display(),
    )
}
