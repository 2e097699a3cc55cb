//! A forge outside the hosts: Gitea, served over TLS with a certificate of the site's own authority.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::tls::{Authority, Leaf};
use super::{cache, client, command, until};

/// As built by `tests/prepare`.
const GITEA: &str = "code.gitea.io-gitea@v1.26.0";
const PORT: u16 = 3443;
/// Sqlite's migrations on a busy machine.
const START: Duration = Duration::from_secs(90);
/// Who owns the repositories, and merges.
const OWNER: &str = "ops";

/// A running Gitea; gone when dropped.
pub struct Gitea {
    process: Child,
    directory: TempDir,
    token: String,
    authority: Authority,
}

impl Gitea {
    /// Starts one with the user `ops`, where clients stand.
    ///
    /// # Errors
    /// When it is not installed or does not answer.
    pub fn start() -> Result<Self> {
        let program = cache::root().join(GITEA);
        ensure!(program.exists(), "there is no {}: run tests/prepare", program.display());
        let directory = client()?.directory()?;
        let authority = Authority::new("The site's own")?;
        let issued = authority.issue(&Leaf::of("git", client()?.ip().into()))?;
        let at = |name: &str| directory.path().join(name);
        fs::write(at("ca.pem"), authority.certificate())?;
        fs::write(at("cert.pem"), issued.certificate)?;
        fs::write(at("key.pem"), issued.key)?;
        fs::write(at("app.ini"), settings(directory.path(), &program)?)?;
        command::output(run(directory.path(), &program)?.arg("migrate"))?.ok()?;
        let user = ["--username", OWNER, "--email", "ops@example.org", "--password", "Secret-12345", "--admin"];
        let user = [&["admin", "user", "create", "--must-change-password=false"], &user[..]].concat();
        command::output(run(directory.path(), &program)?.args(user))?.ok()?;
        let token = ["admin", "user", "generate-access-token", "--username", OWNER, "--scopes", "all", "--raw"];
        let token = command::output(run(directory.path(), &program)?.args(token))?.ok()?;
        let token = token.lines().last().context("no token")?.trim().to_owned();
        let log = File::create(at("log"))?;
        let process = run(directory.path(), &program)?.arg("web").stdout(log.try_clone()?).stderr(log).spawn()?;
        let gitea = Self { process, directory, token, authority };
        until("Gitea", START, || Ok(gitea.api("GET", "/version", &Value::Null).ok())).with_context(|| gitea.log())?;
        Ok(gitea)
    }

    /// Makes an empty repository; where git finds it.
    ///
    /// # Errors
    /// When Gitea does not make it.
    pub fn repository(&self, name: &str) -> Result<String> {
        self.api("POST", "/user/repos", &json!({"name": name, "default_branch": "main"}))?;
        Ok(format!("https://{}:{PORT}/{OWNER}/{name}.git", client()?.ip()))
    }

    /// A token that may do everything its owner may.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The certificate of the authority that clients have to trust, PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.authority.certificate()
    }

    /// Calls the API as the owner.
    ///
    /// # Errors
    /// When it is refused or not answered, with what it said.
    pub fn api(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let mut curl = client()?.command("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "20", "--noproxy", "*", "--cacert"]);
        curl.arg(self.directory.path().join("ca.pem")).args(["--request", method]);
        curl.args(["--header", &format!("authorization: token {}", self.token)]);
        curl.args(["--header", "content-type: application/json", "--data-binary", "@-"]);
        curl.arg(format!("https://{}:{PORT}/api/v1{path}", client()?.ip()));
        let answer = command::output_with_input(&mut curl, body.to_string().as_bytes())?.ok()?;
        if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&answer)?) }
    }

    /// Git as its owner runs it on a machine of their own.
    ///
    /// # Errors
    /// When it cannot be run or fails.
    pub fn git(&self, directory: &Path, arguments: &[&str]) -> Result<String> {
        let header = format!("http.extraHeader=Authorization: token {}", self.token);
        let mut git = client()?.command("git");
        git.args(["-c", "user.name=rita", "-c", "user.email=rita@example.org", "-c", &header, "-C"]).arg(directory);
        git.env("GIT_SSL_CAINFO", self.directory.path().join("ca.pem")).env("GIT_CONFIG_GLOBAL", "/dev/null");
        git.env("no_proxy", "*").env("GIT_TERMINAL_PROMPT", "0");
        command::output(git.args(arguments))?.ok().with_context(|| format!("git {arguments:?}"))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Gitea {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn run(directory: &Path, program: &Path) -> Result<Command> {
    let program = program.join("gitea");
    let mut gitea = client()?.command(program.to_str().context("a path that is no text")?);
    gitea.env("HOME", directory).env("GITEA_WORK_DIR", directory);
    gitea.env("GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT", "true");
    gitea.arg("--config").arg(directory.join("app.ini"));
    Ok(gitea)
}

fn settings(directory: &Path, program: &Path) -> Result<String> {
    let ip = client()?.ip();
    let (directory, program) = (directory.display(), program.display());
    Ok(format!(
        "WORK_PATH = {directory}\nRUN_MODE = prod\n\
         [database]\nDB_TYPE = sqlite3\nPATH = {directory}/gitea.db\n\
         [server]\nPROTOCOL = https\nHTTP_ADDR = {ip}\nHTTP_PORT = {PORT}\nROOT_URL = https://{ip}:{PORT}/\n\
         CERT_FILE = {directory}/cert.pem\nKEY_FILE = {directory}/key.pem\nDISABLE_SSH = true\nOFFLINE_MODE = true\n\
         STATIC_ROOT_PATH = {program}\n\
         [security]\nINSTALL_LOCK = true\nSECRET_KEY = only-for-tests\n\
         [service]\nDISABLE_REGISTRATION = true\n\
         [log]\nMODE = console\nLEVEL = Warn\n"
    ))
}
