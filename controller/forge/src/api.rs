//! Pull requests through a forge's API. GitHub's is the model; Gitea and Forgejo copy it, and GitLab's differs in names.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common_model::text::printable_line;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url, redirect};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{Kind, RepositoryConfig};
use crate::git::{GitError, token};

/// For one request, its answer included.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer read.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// How long a forge is left alone that does not say for how long, and at most, in seconds.
const BUSY_S: u64 = 60;
const BUSY_AT_MOST_S: u64 = 3600;

/// A secret. It is shown to nobody.
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Why a forge did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// There is no token, or no pull requests.
    #[error("{0}")]
    Setup(&'static str),
    /// The token cannot be read.
    #[error(transparent)]
    Token(#[from] GitError),
    /// No answer came.
    #[error("{0} does not answer: {1}")]
    NoAnswer(String, String),
    /// It said no.
    #[error("{forge} answers {status} to {method} {path}: {said}")]
    Refused {
        /// Its host.
        forge: String,
        /// By number.
        status: u16,
        /// What was asked.
        method: String,
        /// Of what.
        path: String,
        /// In its words.
        said: String,
    },
    /// It wants to be left alone for a while.
    #[error("{forge} takes no more requests for {} s ({said})", wait.as_secs())]
    Busy {
        /// Its host.
        forge: String,
        /// For how long.
        wait: Duration,
        /// In its words.
        said: String,
    },
    /// The answer is not what the API's documentation says.
    #[error("{0} answers something else than a pull request")]
    Answer(String),
}

/// A pull request, merge request by GitLab's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Where people see it.
    pub url: String,
    /// How it stands.
    pub standing: Standing,
}

/// How a pull request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It waits.
    Open,
    /// It was merged.
    Merged,
    /// It was closed without that.
    Closed,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The branch with the edit.
    pub branch: &'a str,
    /// One line.
    pub title: &'a str,
    /// Markdown.
    pub body: &'a str,
}

/// The API of one repository's forge.
pub struct Forge {
    config: RepositoryConfig,
    api: Url,
    http: Client,
}

impl fmt::Debug for Forge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forge({})", self.api)
    }
}

impl Forge {
    /// None for a plain git remote, which has no pull requests.
    pub fn of(config: &RepositoryConfig) -> Result<Option<Self>, ForgeError> {
        common_tls::use_ring();
        let Some(api) = api_root(config)? else { return Ok(None) };
        let http = Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none()).user_agent("dialtone");
        let http = http.build().map_err(|error| no_answer(&api, &error))?;
        Ok(Some(Self { config: config.clone(), api, http }))
    }

    /// The newest pull request from this branch, whatever became of it.
    pub async fn find(&self, branch: &str) -> Result<Option<PullRequest>, ForgeError> {
        let (path, query) = find_request(&self.config, branch)?;
        match self.send(Method::GET, &path, &query, None).await {
            Ok(answer) => {
                let first = if answer.is_array() { answer.get(0).cloned() } else { Some(answer) };
                first.map(|answer| self.read(answer)).transpose()
            }
            Err(ForgeError::Refused { status: 404, .. }) if self.config.forge == Kind::Gitea => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens one.
    pub async fn open(&self, ask: &Ask<'_>) -> Result<PullRequest, ForgeError> {
        let (path, body) = open_request(&self.config, ask)?;
        self.read(self.send(Method::POST, &path, &[], Some(body)).await?)
    }

    fn read(&self, answer: Value) -> Result<PullRequest, ForgeError> {
        let wrong = || ForgeError::Answer(host(&self.api));
        let answer: Answer = serde_json::from_value(answer).map_err(|_| wrong())?;
        answer.read().filter(|request| is_link(&request.url)).ok_or_else(wrong)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<Value, ForgeError> {
        let token = token(&self.config).await?;
        let token = token.ok_or(ForgeError::Setup("pull requests need a token_file in controller.yaml"))?;
        let mut url = Url::parse(&format!("{}{path}", self.api.as_str().trim_end_matches('/')))
            .map_err(|_| ForgeError::Setup("the address of the forge's API is not a URL"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let (name, value) = authorization(self.config.forge, &token)?;
        let mut request = self.http.request(method.clone(), url).header(name, value).header(ACCEPT, "application/json");
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let mut answer = request.send().await.map_err(|error| no_answer(&self.api, &error))?;
        let status = answer.status();
        let wait = busy_for(status, answer.headers(), SystemTime::now());
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| no_answer(&self.api, &error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER {
                return Err(ForgeError::Answer(host(&self.api)));
            }
        }
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|_| ForgeError::Answer(host(&self.api)));
        }
        if let Some(wait) = wait {
            return Err(ForgeError::Busy { forge: host(&self.api), wait, said: said(status, &bytes) });
        }
        Err(ForgeError::Refused {
            forge: host(&self.api),
            status: status.as_u16(),
            method: method.to_string(),
            path: path.to_owned(),
            said: said(status, &bytes),
        })
    }
}

/// The fields of GitHub's, Gitea's and GitLab's answers that are read.
#[derive(Debug, Deserialize)]
struct Answer {
    html_url: Option<String>,
    web_url: Option<String>,
    state: String,
    #[serde(default)]
    merged: bool,
    #[serde(default)]
    merged_at: Option<String>,
}

impl Answer {
    fn read(self) -> Option<PullRequest> {
        let standing = match self.state.as_str() {
            "merged" => Standing::Merged,
            _ if self.merged || self.merged_at.is_some() => Standing::Merged,
            "closed" => Standing::Closed,
            // GitLab's `locked` is one that is just being merged.
            "open" | "opened" | "locked" => Standing::Open,
            _ => return None,
        };
        Some(PullRequest { url: self.html_url.or(self.web_url)?, standing })
    }
}

/// Whether it is fit to be shown as a link.
fn is_link(url: &str) -> bool {
    url.len() <= 500 && Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "https" | "http"))
}

/// `owner/repository` of the URL that git uses, and what stands before it.
fn split(config: &RepositoryConfig) -> Option<(Url, String)> {
    let mut url = Url::parse(&config.url).ok()?;
    let project = url.path().trim_matches('/').trim_end_matches(".git").to_owned();
    url.set_path("/");
    project.contains('/').then_some((url, project))
}

/// Where a forge's API begins; none for a plain git remote.
fn api_root(config: &RepositoryConfig) -> Result<Option<Url>, ForgeError> {
    if config.forge == Kind::Git {
        return Ok(None);
    }
    let invalid =
        ForgeError::Setup("the URL of a repository on a forge ends in /OWNER/REPOSITORY or /OWNER/REPOSITORY.git");
    let (root, _) = split(config).ok_or(invalid)?;
    let derived = match (config.forge, root.host_str()) {
        (Kind::GitHub, Some("github.com")) => Url::parse("https://api.github.com/").ok(),
        (Kind::GitHub, _) => root.join("api/v3/").ok(),
        (Kind::GitLab, _) => root.join("api/v4/").ok(),
        (Kind::Gitea | Kind::Git, _) => root.join("api/v1/").ok(),
    };
    let api = match &config.api {
        Some(api) => Url::parse(api).ok(),
        None => derived,
    };
    api.map(Some).ok_or(ForgeError::Setup("the address of the forge's API is not a URL"))
}

/// What the project is called in the API's paths.
fn project(config: &RepositoryConfig) -> Result<String, ForgeError> {
    let (_, project) = split(config).ok_or(ForgeError::Setup("the URL of the repository names no project"))?;
    Ok(match config.forge {
        // https://docs.gitlab.com/api/rest/#namespaced-paths
        Kind::GitLab => format!("/projects/{}", project.replace('/', "%2F")),
        Kind::GitHub | Kind::Gitea | Kind::Git => format!("/repos/{project}"),
    })
}

type Query = Vec<(&'static str, String)>;

/// The newest request from a branch: path and query.
fn find_request(config: &RepositoryConfig, branch: &str) -> Result<(String, Query), ForgeError> {
    let project = project(config)?;
    Ok(match config.forge {
        Kind::GitLab => (
            format!("{project}/merge_requests"),
            vec![
                ("source_branch", branch.to_owned()),
                ("target_branch", config.branch.to_string()),
                ("state", "all".to_owned()),
            ],
        ),
        // By base and head in any state; GitHub's filter is not known to it.
        Kind::Gitea => (format!("{project}/pulls/{}/{branch}", config.branch.as_str().replace('/', "%2F")), Vec::new()),
        Kind::GitHub | Kind::Git => {
            let owner = project.trim_start_matches("/repos/").split('/').next().unwrap_or_default();
            let head = format!("{owner}:{branch}");
            let query = vec![("head", head), ("base", config.branch.to_string()), ("state", "all".to_owned())];
            (format!("{project}/pulls"), query)
        }
    })
}

/// How one is opened: path and body.
fn open_request(config: &RepositoryConfig, ask: &Ask<'_>) -> Result<(String, Value), ForgeError> {
    let project = project(config)?;
    Ok(match config.forge {
        Kind::GitLab => (
            format!("{project}/merge_requests"),
            json!({
                "source_branch": ask.branch, "target_branch": config.branch, "title": ask.title, "description": ask.body,
                "remove_source_branch": true,
            }),
        ),
        Kind::GitHub | Kind::Gitea | Kind::Git => (
            format!("{project}/pulls"),
            json!({ "head": ask.branch, "base": config.branch, "title": ask.title, "body": ask.body }),
        ),
    })
}

/// The header that carries the token.
fn authorization(kind: Kind, token: &Token) -> Result<(HeaderName, HeaderValue), ForgeError> {
    let (name, text) = match kind {
        Kind::GitHub | Kind::Git => (AUTHORIZATION, format!("Bearer {}", token.text())),
        Kind::Gitea => (AUTHORIZATION, format!("token {}", token.text())),
        Kind::GitLab => (HeaderName::from_static("private-token"), token.text().to_owned()),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| ForgeError::Setup("the token file holds characters that no token has"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn host(api: &Url) -> String {
    api.host_str().unwrap_or_default().to_owned()
}

/// For how long a forge wants to be left alone, where it says no for that reason: `Retry-After` in seconds (RFC 9110, section
/// 10.2.3), and when GitHub's count of requests begins anew, which it says with 403 as well as 429.
fn busy_for(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let retry_after = number("retry-after");
    let is_used_up = number("x-ratelimit-remaining") == Some(0);
    let is_busy = match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => retry_after.is_some() || is_used_up,
        StatusCode::SERVICE_UNAVAILABLE => retry_after.is_some(),
        _ => false,
    };
    let reset = || {
        let reset = UNIX_EPOCH.checked_add(Duration::from_secs(number("x-ratelimit-reset").filter(|_| is_used_up)?))?;
        Some(reset.duration_since(now).unwrap_or_default().as_secs())
    };
    let seconds = retry_after.or_else(reset).unwrap_or(BUSY_S);
    is_busy.then(|| Duration::from_secs(seconds.clamp(1, BUSY_AT_MOST_S)))
}

/// The innermost reason: the outer ones name the whole URL.
fn no_answer(api: &Url, error: &reqwest::Error) -> ForgeError {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    ForgeError::NoAnswer(host(api), printable_line(&reason.to_string()))
}

/// What a forge says went wrong: all of them have a `message`, and some a list of them.
fn said(status: StatusCode, bytes: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let message = match answer.get("message").or_else(|| answer.get("error")) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => status.canonical_reason().unwrap_or("nothing").to_owned(),
    };
    printable_line(&message).chars().take(300).collect()
}

#[cfg(test)]
mod tests;
