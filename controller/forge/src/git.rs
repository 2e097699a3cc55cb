//! A repository's copy on the controller, by the `git` program.
//!
//! The copy is a bare repository of one commit: the head of the branch that nodes are set up from. It is a cache, made anew by each
//! controller that starts, so that nothing a killed git left behind matters. There is never a working tree: a commit is made from
//! the head's tree with one file exchanged.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common_model::Timestamp;
use common_model::text::printable_line;
use common_plan::{PlanId, RepoPath};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::config::{Kind, RepositoryConfig};
use crate::{api, branch_of};

/// For one call of git.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The largest file that is edited, in bytes; the agent reads no larger one either.
const MAX_FILE: u64 = 512 * 1024;
/// The most that is read of what git prints.
const MAX_OUTPUT: u64 = 1024 * 1024;
const BASE: &str = "refs/dialtone/base";

/// Why git did not do it.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The program cannot be run.
    #[error("git cannot be run: is the package git installed?")]
    Run(#[source] io::Error),
    /// It took too long.
    #[error("git {0} had not ended after {1} s")]
    TimedOut(String, u64),
    /// It failed.
    #[error("git {0}: {1}")]
    Failed(String, String),
    /// The copy cannot be made on this disk.
    #[error("the copy of the repository cannot be kept")]
    Disk(#[source] io::Error),
    /// The token cannot be read.
    #[error("the token in {}", .0.display())]
    Token(PathBuf, #[source] io::Error),
    /// The file is not one that can be edited.
    #[error("{0} {1}")]
    File(RepoPath, &'static str),
}

/// A file as the repository has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What it holds.
    pub text: String,
    /// Git's mode of it, `100644` or `100755`.
    mode: String,
}

/// The copy.
#[derive(Debug)]
pub struct Mirror {
    directory: PathBuf,
    config: RepositoryConfig,
}

impl Mirror {
    /// An empty copy in this directory, in place of whatever is there.
    pub async fn fresh(directory: PathBuf, config: RepositoryConfig) -> Result<Self, GitError> {
        match tokio::fs::remove_dir_all(&directory).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(GitError::Disk(error)),
            _ => tokio::fs::create_dir_all(&directory).await.map_err(GitError::Disk)?,
        }
        let mirror = Self { directory, config };
        mirror.git("init").args(["--quiet", "--bare", "."]).run().await?;
        Ok(mirror)
    }

    /// What it is a copy of.
    pub fn config(&self) -> &RepositoryConfig {
        &self.config
    }

    /// Brings the copy to the head of the branch as it is there now.
    pub async fn refresh(&self) -> Result<(), GitError> {
        self.fetch(self.config.branch.as_str(), BASE).await
    }

    /// Reads a file from the head of the branch as it is there now.
    pub async fn read(&self, path: &RepoPath) -> Result<File, GitError> {
        self.refresh().await?;
        self.read_at(BASE, path).await
    }

    /// Reads a file from the branch of a plan; none where there is no such branch.
    pub async fn read_pushed(&self, plan: &PlanId, path: &RepoPath) -> Result<Option<File>, GitError> {
        if !self.is_pushed(plan).await? {
            return Ok(None);
        }
        let copy = format!("refs/dialtone/plan/{plan}");
        self.fetch(&branch_of(plan), &copy).await?;
        self.read_at(&copy, path).await.map(Some)
    }

    /// Whether there is a branch of this plan.
    pub async fn is_pushed(&self, plan: &PlanId) -> Result<bool, GitError> {
        let branch = format!("refs/heads/{}", branch_of(plan));
        let listed = self.remote("ls-remote").await?.args(["--quiet", &self.config.url, &branch]).run().await?;
        Ok(listed.lines().any(|line| line.ends_with(&format!("\t{branch}"))))
    }

    /// Pushes the plan's branch: the head that [`Mirror::read`] has read, with this file exchanged. Nothing is pushed where there is
    /// such a branch already.
    pub async fn push(
        &self,
        plan: &PlanId,
        (path, file): (&RepoPath, &File),
        text: &str,
        message: &str,
        at: Timestamp,
    ) -> Result<(), GitError> {
        let blob = self.git("hash-object").args(["-w", "--stdin", "--no-filters"]).input(text).run().await?;
        let index = self.directory.join(format!("plan-{plan}.index"));
        self.git("read-tree").index(&index).args([BASE]).run().await?;
        let entry = format!("{},{},{path}", file.mode, blob.trim());
        self.git("update-index").index(&index).args(["--add", "--cacheinfo", &entry]).run().await?;
        let tree = self.git("write-tree").index(&index).run().await?;
        tokio::fs::remove_file(&index).await.map_err(GitError::Disk)?;
        let date = format!("{} +0000", at.0.div_euclid(1000));
        let author = &self.config.author;
        let commit = self
            .git("commit-tree")
            .args([tree.trim(), "-p", BASE])
            .env("GIT_AUTHOR_NAME", &author.name)
            .env("GIT_AUTHOR_EMAIL", &author.email)
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_NAME", &author.name)
            .env("GIT_COMMITTER_EMAIL", &author.email)
            .env("GIT_COMMITTER_DATE", &date)
            .input(message)
            .run()
            .await?;
        let branch = format!("refs/heads/{}", branch_of(plan));
        let push = self.remote("push").await?.args(["--quiet", "--no-verify"]);
        // Only where there is none: the remote itself compares.
        let push = push.args([&format!("--force-with-lease={branch}:"), &self.config.url]);
        push.args([&format!("{}:{branch}", commit.trim())]).run().await.map(drop)
    }

    async fn fetch(&self, branch: &str, to: &str) -> Result<(), GitError> {
        let refs = format!("+refs/heads/{branch}:{to}");
        let fetch = self.remote("fetch").await?.args(["--quiet", "--no-tags", "--depth=1", "--no-write-fetch-head"]);
        fetch.args(["--no-recurse-submodules", &self.config.url, &refs]).run().await.map(drop)
    }

    async fn read_at(&self, commit: &str, path: &RepoPath) -> Result<File, GitError> {
        let listed =
            self.git("ls-tree").args(["-z", "--long", "--full-tree", commit, "--", path.as_str()]).run().await?;
        // `MODE blob ID   SIZE\tPATH`
        let Some(entry) = listed.split('\0').next().and_then(|entry| entry.split_once('\t')) else {
            return Err(GitError::File(path.clone(), "is not in the repository"));
        };
        let mut words = entry.0.split_whitespace();
        let (mode, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (blob, size) = (words.next().unwrap_or_default(), words.next().and_then(|size| size.parse::<u64>().ok()));
        if kind != "blob" || !matches!(mode, "100644" | "100755") {
            return Err(GitError::File(path.clone(), "is not a plain file in the repository"));
        }
        if size.is_none_or(|size| size > MAX_FILE) {
            return Err(GitError::File(path.clone(), "is larger than 512 KiB"));
        }
        let bytes = self.git("cat-file").args(["blob", blob]).output().await?;
        let text = String::from_utf8(bytes).map_err(|_| GitError::File(path.clone(), "is not UTF-8"))?;
        Ok(File { text, mode: mode.to_owned() })
    }

    fn git(&self, what: &str) -> Git {
        Git::new(&self.directory, what)
    }

    /// A call that talks to the repository far away.
    async fn remote(&self, what: &str) -> Result<Git, GitError> {
        let mut git = self.git(what);
        if let Some(token) = token(&self.config).await? {
            let user = match self.config.forge {
                Kind::GitHub => "x-access-token",
                Kind::GitLab => "oauth2",
                Kind::Git | Kind::Gitea => "dialtone",
            };
            let basic = STANDARD.encode(format!("{user}:{}", token.text()));
            git =
                git.config(&format!("http.{}.extraHeader", self.config.url), &format!("Authorization: Basic {basic}"));
        }
        Ok(git)
    }
}

/// The token as it is in its file now, so that it can be exchanged at any time.
pub(crate) async fn token(config: &RepositoryConfig) -> Result<Option<api::Token>, GitError> {
    let Some(path) = &config.token_file else { return Ok(None) };
    let read = tokio::fs::read_to_string(path).await;
    read.map(|text| Some(api::Token::new(text.trim()))).map_err(|error| GitError::Token(path.clone(), error))
}

/// One call of the program.
struct Git {
    what: String,
    command: Command,
    config: usize,
    input: Vec<u8>,
}

impl Git {
    /// With nothing of the environment, of the user's and of the machine's configuration but how the network is reached.
    fn new(directory: &Path, what: &str) -> Self {
        let mut command = Command::new("git");
        command.env_clear();
        for name in ["PATH", "http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "GIT_SSL_CAINFO"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .current_dir(directory)
            .env("HOME", directory)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "https:http:file")
            .args(["--literal-pathspecs", what])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let git = Self { what: what.to_owned(), command, config: 0, input: Vec::new() };
        // A header is not sent on to where a server points; nobody is asked for a password; nothing runs by itself.
        [
            ("http.followRedirects", "false"),
            ("credential.helper", ""),
            ("core.askPass", ""),
            ("core.hooksPath", "/dev/null"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
        ]
        .into_iter()
        .fold(git, |git, (key, value)| git.config(key, value))
    }

    /// A setting for this call, in the environment, which only this user can read.
    fn config(mut self, key: &str, value: &str) -> Self {
        let n = self.config;
        self.command.env(format!("GIT_CONFIG_KEY_{n}"), key).env(format!("GIT_CONFIG_VALUE_{n}"), value);
        self.config = n + 1;
        self.command.env("GIT_CONFIG_COUNT", self.config.to_string());
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    fn index(mut self, path: &Path) -> Self {
        self.command.env("GIT_INDEX_FILE", path);
        self
    }

    fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    fn input(mut self, text: &str) -> Self {
        self.input = text.as_bytes().to_vec();
        self
    }

    async fn run(self) -> Result<String, GitError> {
        self.output().await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn output(self) -> Result<Vec<u8>, GitError> {
        let what = self.what.clone();
        match timeout(TIMEOUT, self.carry_out()).await {
            Ok(output) => output,
            Err(_) => Err(GitError::TimedOut(what, TIMEOUT.as_secs())),
        }
    }

    async fn carry_out(mut self) -> Result<Vec<u8>, GitError> {
        let mut child = self.command.spawn().map_err(GitError::Run)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // One that does not read it says so by how it ends.
                stdin.write_all(&self.input).await.ok();
            }
        };
        let (out, err, ()) = tokio::join!(drained(stdout), drained(stderr), write);
        let status = child.wait().await.map_err(GitError::Run)?;
        if status.success() {
            return out.map_err(GitError::Run);
        }
        let said = String::from_utf8_lossy(&err.unwrap_or_default()).into_owned();
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let said = if lines.is_empty() { status.to_string() } else { lines.join("; ") };
        Err(GitError::Failed(self.what, printable_line(&without_times(&said)).chars().take(400).collect()))
    }
}

/// Without curl's ` after 12 ms`, so that what fails in the same way again is told in the same words.
fn without_times(said: &str) -> String {
    let mut parts = said.split(" after ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| {
        let unit = part.trim_start_matches(|c: char| c.is_ascii_digit());
        match unit.strip_prefix(" ms").filter(|_| unit.len() < part.len()) {
            Some(rest) => kept + rest,
            None => kept + " after " + part,
        }
    })
}

/// All that comes out of a pipe, up to a limit.
async fn drained(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MAX_OUTPUT).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::without_times;

    #[test]
    fn the_same_failure_is_told_in_the_same_words() {
        let said =
            "fatal: unable to access 'http://h/': Failed to connect to h port 3000 after 12 ms: Could not connect";
        assert_eq!(without_times(said), said.replace(" after 12 ms", ""));
        for same in ["", "hung up after all", "after 3 ms", "timed out after 60 s", "gone after"] {
            assert_eq!(without_times(same), same);
        }
    }
}
