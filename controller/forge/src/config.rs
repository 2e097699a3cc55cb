//! Which repository the file of a node comes from, as the controller's administrator says.

use std::path::PathBuf;

use common_model::NodeName;
use common_plan::{Branch, Label, RepoPath};
use serde::{Deserialize, Serialize};

/// One entry of `repositories:` in `/etc/dialtone/controller.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositoryConfig {
    /// What plans call it.
    pub name: Label,
    /// What serves it.
    pub forge: Kind,
    /// Where git finds it: `https://`, `http://` or `file://`, without user or password.
    pub url: String,
    /// Where the forge's API is, where that does not follow from `url`.
    #[serde(default)]
    pub api: Option<String>,
    /// The branch that nodes are set up from.
    #[serde(default = "main_branch")]
    pub branch: Branch,
    /// Nodes whose file it has.
    #[serde(default)]
    pub nodes: Vec<NodeName>,
    /// Clusters whose nodes' files it has, by `cluster.name`, which each node says of itself.
    #[serde(default)]
    pub clusters: Vec<Label>,
    /// The file below the repository's root; `{node}` and `{cluster}` stand for the names.
    pub path: String,
    /// A file with the token that reads the repository, pushes branches `dialtone/*` and opens pull requests.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Whose the commits are.
    #[serde(default)]
    pub author: Author,
    /// Lets edits be proposed that open an engine which asks for no password.
    #[serde(default)]
    pub allow_without_password: bool,
}

/// What serves a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Any git remote: a branch is pushed, and merged by people.
    Git,
    /// GitHub, github.com or Enterprise.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea or Forgejo.
    Gitea,
}

/// Whose the commits are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Author {
    /// Name.
    pub name: String,
    /// Mail address.
    pub email: String,
}

impl Default for Author {
    fn default() -> Self {
        Self { name: "Dialtone".to_owned(), email: "dialtone@localhost".to_owned() }
    }
}

/// An entry that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRepository {
    /// The URL.
    #[error("{0}: give an https://, http:// or file:// URL without user or password, in plain characters")]
    Url(String),
    /// A token would be sent in the clear.
    #[error("{0}: a token is sent over http:// to this machine only: use https://")]
    Clear(String),
    /// The path.
    #[error("{0}: not a path below the repository's root to a file that ends in .yml or .yaml")]
    Path(String),
    /// It is for nobody.
    #[error("it names neither nodes nor clusters")]
    ForNobody,
    /// The author.
    #[error("the author's name and mail address are plain text in one line, without < and >")]
    Author,
    /// Our own branches are not merged into.
    #[error("branches dialtone/* are Dialtone's own: edits are not merged into one")]
    Branch,
}

fn main_branch() -> Branch {
    #[expect(clippy::expect_used, reason = "a constant")]
    "main".parse().expect("a branch")
}

impl RepositoryConfig {
    /// Whether it can be used.
    pub fn check(&self) -> Result<(), InvalidRepository> {
        for url in std::iter::once(&self.url).chain(&self.api) {
            let plain =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | ':' | '.' | '-' | '_' | '~' | '[' | ']');
            let (scheme, rest) = url.split_once("://").unwrap_or_default();
            let known = matches!(scheme, "https" | "http") || (scheme == "file" && self.forge == Kind::Git);
            if !known || rest.is_empty() || !rest.chars().all(plain) || rest.starts_with('-') {
                return Err(InvalidRepository::Url(url.clone()));
            }
            if scheme == "http" && self.token_file.is_some() && !is_here(rest) {
                return Err(InvalidRepository::Clear(url.clone()));
            }
        }
        let example = self.path.replace("{node}", "n").replace("{cluster}", "c");
        if example.parse::<RepoPath>().is_err() || !example.ends_with(".yml") && !example.ends_with(".yaml") {
            return Err(InvalidRepository::Path(self.path.clone()));
        }
        if self.nodes.is_empty() && self.clusters.is_empty() {
            return Err(InvalidRepository::ForNobody);
        }
        let text = |text: &String| !text.is_empty() && !text.chars().any(|c| c.is_control() || matches!(c, '<' | '>'));
        if !text(&self.author.name) || !text(&self.author.email) {
            return Err(InvalidRepository::Author);
        }
        if crate::is_ours(&self.branch) {
            return Err(InvalidRepository::Branch);
        }
        Ok(())
    }

    /// The path of a node's file, where the repository has it. Both names are compared with what the administrator wrote before
    /// they are put into it, or are of a form that cannot leave its place.
    pub fn path_of(&self, node: &NodeName, cluster: Option<&str>) -> Option<RepoPath> {
        let cluster = cluster.and_then(|name| self.clusters.iter().find(|known| known.as_str() == name));
        if !self.nodes.contains(node) && cluster.is_none() {
            return None;
        }
        if self.path.contains("{cluster}") && cluster.is_none() {
            return None;
        }
        let path = self.path.replace("{node}", node.as_str());
        path.replace("{cluster}", cluster.map_or("", Label::as_str)).parse().ok()
    }
}

/// Whether `host[:port]/…` is this machine.
fn is_here(rest: &str) -> bool {
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map_or(host, |(host, _)| host);
    host == "localhost" || host == "[::1]" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn config() -> RepositoryConfig {
        RepositoryConfig {
            name: "config".parse().unwrap(),
            forge: Kind::Gitea,
            url: "https://git.example/ops/config.git".to_owned(),
            api: None,
            branch: main_branch(),
            nodes: vec!["es-1".parse().unwrap()],
            clusters: vec!["prod".parse().unwrap()],
            path: "{cluster}/{node}/elasticsearch.yml".to_owned(),
            token_file: Some("/etc/dialtone/token".into()),
            author: Author::default(),
            allow_without_password: false,
        }
    }

    #[test]
    fn what_would_leak_the_token_or_the_repository_is_refused() {
        assert_eq!(config().check(), Ok(()));
        for url in ["http://127.0.0.1:3000/a/b.git", "http://localhost/a", "http://[::1]:3000/a/b"] {
            assert_eq!(RepositoryConfig { url: url.to_owned(), ..config() }.check(), Ok(()), "{url}");
        }
        for url in [
            "http://git.example/a",
            "http://127.0.0.1.example/a",
            "file:///srv/a.git",
            "ext::sh -c reboot",
            "--upload-pack=x",
            "https://",
            "https://-x",
            "https://user:pw@git.example/a",
            "ssh://git.example/a",
            "https://git.example/a b",
            "",
        ] {
            assert!(RepositoryConfig { url: url.to_owned(), ..config() }.check().is_err(), "{url}");
        }
        for path in
            ["/etc/x.yml", "../x.yml", "{node}", ".github/{node}.yml", "{user}/x.yml", "x.sh", "{node}/../x.yml"]
        {
            assert!(RepositoryConfig { path: path.to_owned(), ..config() }.check().is_err(), "{path}");
        }
        assert!(RepositoryConfig { nodes: Vec::new(), clusters: Vec::new(), ..config() }.check().is_err());
        let author = Author { name: "a\n".to_owned(), ..Author::default() };
        assert!(RepositoryConfig { author, ..config() }.check().is_err());
        assert!(RepositoryConfig { branch: "dialtone/x".parse().unwrap(), ..config() }.check().is_err());
    }

    #[test]
    fn a_path_is_made_of_names_that_the_administrator_knows() {
        let (one, other): (NodeName, NodeName) = ("es-1".parse().unwrap(), "es-9".parse().unwrap());
        let path = |node: &NodeName, cluster: Option<&str>| config().path_of(node, cluster).map(String::from);
        assert_eq!(path(&one, Some("prod")).as_deref(), Some("prod/es-1/elasticsearch.yml"));
        assert_eq!(path(&other, Some("prod")).as_deref(), Some("prod/es-9/elasticsearch.yml"));
        assert_eq!(path(&one, Some("../../x")), None);
        assert_eq!(path(&other, Some("test")), None);
        assert_eq!(path(&other, None), None);
        let fixed = RepositoryConfig { path: "{node}.yml".to_owned(), ..config() };
        assert_eq!(fixed.path_of(&one, Some("../x")).map(String::from).as_deref(), Some("es-1.yml"));
    }
}
