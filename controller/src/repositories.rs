//! The repositories that the engines' configuration comes from.

use std::path::PathBuf;
use std::time::Duration;

use common_plan::{Label, RepoPath};
use controller_forge::{File, GitError, Mirror, RepositoryConfig};
use controller_remedy::plan::{RepositoryFile, WantedFile};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::config::{Config, DEFAULT_PATH};
use crate::core::chain;

/// How long a diagnosis waits for a file: somebody sits before it.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// All that are configured.
pub(crate) struct Repositories(Vec<Repository>);

/// One of them. Whoever uses its copy has it for themselves.
pub(crate) struct Repository {
    pub(crate) config: RepositoryConfig,
    directory: PathBuf,
    // Made when it is first used.
    mirror: Mutex<Option<Mirror>>,
}

impl Repositories {
    pub(crate) fn new(config: &Config) -> Self {
        let repository = |repository: &RepositoryConfig| Repository {
            config: repository.clone(),
            directory: config.repositories_dir().join(format!("{}.git", repository.name)),
            mirror: Mutex::default(),
        };
        Self(config.repositories.iter().map(repository).collect())
    }

    /// Says in the log of each whether it can be read, so that who sets one up learns it then and not in an incident.
    pub(crate) async fn try_out(&self) {
        for repository in &self.0 {
            let RepositoryConfig { name, branch, .. } = &repository.config;
            match repository.refresh().await {
                Ok(()) => info!(repository = %name, %branch, "the repository can be read"),
                Err(error) => {
                    let reason = chain(&error);
                    warn!(repository = %name, %branch, %reason, "no edit can be proposed in this repository");
                }
            }
        }
    }

    /// The one of this name.
    pub(crate) fn get(&self, name: &Label) -> Option<&Repository> {
        self.0.iter().find(|repository| repository.config.name == *name)
    }

    /// The file of a node as the repository has it now; none where there is nothing to say: nobody has set anything up.
    pub(crate) async fn file(&self, wanted: &WantedFile) -> Option<Result<RepositoryFile, String>> {
        let found = self.0.iter().find_map(|repository| {
            Some((repository, repository.config.path_of(&wanted.node, wanted.cluster.as_deref())?))
        });
        let Some((repository, path)) = found else {
            let cluster = wanted.cluster.as_ref().map(|name| format!(" or cluster {name:?}")).unwrap_or_default();
            let node = &wanted.node;
            let why =
                format!("{DEFAULT_PATH} on the controller has no entry of repositories: for node {node}{cluster}");
            return (wanted.has_actuator || !self.0.is_empty()).then_some(Err(why));
        };
        let config = &repository.config;
        let file = repository.read(&path).await.map(|file| RepositoryFile {
            repository: config.name.clone(),
            branch: config.branch.clone(),
            path,
            text: file.text,
            allow_without_password: config.allow_without_password,
        });
        Some(file)
    }
}

/// The copy of a repository, in use.
pub(crate) struct InUse<'a>(MutexGuard<'a, Option<Mirror>>);

impl std::ops::Deref for InUse<'_> {
    type Target = Mirror;

    fn deref(&self) -> &Mirror {
        match &*self.0 {
            Some(mirror) => mirror,
            None => unreachable!("made before it is handed out"),
        }
    }
}

impl Repository {
    /// A file as it has it now; else why that is not known.
    pub(crate) async fn read(&self, path: &RepoPath) -> Result<File, String> {
        let name = &self.config.name;
        match timeout(READ_TIMEOUT, async { self.mirror().await?.read(path).await }).await {
            Ok(Ok(file)) => Ok(file),
            Ok(Err(error)) => Err(format!("repository {name}: {}", chain(&error))),
            Err(_) => Err(format!("repository {name} does not answer")),
        }
    }

    async fn refresh(&self) -> Result<(), GitError> {
        self.mirror().await?.refresh().await
    }

    /// Its copy.
    pub(crate) async fn mirror(&self) -> Result<InUse<'_>, GitError> {
        let mut mirror = self.mirror.lock().await;
        if mirror.is_none() {
            *mirror = Some(Mirror::fresh(self.directory.clone(), self.config.clone()).await?);
        }
        Ok(InUse(mirror))
    }
}
