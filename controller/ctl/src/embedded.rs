//! A controller and an agent in this process, for a machine that has no controller: a certificate authority that lives as
//! long as they do, mutual TLS over loopback, and the change log in the user's state directory.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent::agent::DEFAULT_SPOOL_QUOTA;
use agent::{Agent, AgentConfig};
use anyhow::Context;
use common_model::NodeName;
use common_tls::dial::{self, ClientIdentity};
use common_tls::{Identity, Role};
use controller::{Config, Controller};
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::config::{make_private, user_directory};
use crate::progress::{Progress, note};

/// For the first reading of a busy machine; it ends as soon as everything is read.
const FIRST_READING_MS: u32 = 5_000;
/// For the agent's stream to stand. Both ends are in this process.
const CONNECT: Duration = Duration::from_secs(5);

/// Both, running.
pub(crate) struct Embedded {
    controller: Controller,
    agent: Agent,
    state: State,
}

impl Embedded {
    /// Starts both and gives a channel to the controller's API. The first question about this machine waits until the agent
    /// has read everything, its journal included.
    pub(crate) async fn start(progress: &Progress) -> anyhow::Result<(Self, Channel)> {
        progress.say("reading this machine");
        if !rustix::process::geteuid().is_root() {
            note(
                "not run as root: firewall rules, the owners of other users' sockets and unreadable files are missing \
                 from the evidence; sudo dialtone reads them",
            );
        }
        let state = State::open().context("cannot keep state")?;
        let config = Config {
            listen: "127.0.0.1:0".to_owned(),
            state_dir: state.path.clone(),
            refresh_ms: FIRST_READING_MS,
            ..Config::default()
        };
        controller::init::create_ca(&config)?;
        let controller = Controller::start(config).await?;
        let agent = start_agent(&controller, &state).await?;
        let me = Identity::Operator { name: "here".parse()?, role: Role::Viewer };
        let credentials = controller.issue(&me).await?;
        let identity = Arc::new(ClientIdentity::new(credentials)?);
        let channel = dial::channel(&controller.local_addr().to_string(), identity).await?;
        Ok((Self { controller, agent, state }, channel))
    }

    /// Stops both and forgets the certificate authority.
    pub(crate) async fn stop(self) {
        self.agent.stop().await;
        self.controller.shutdown().await;
        self.state.close();
    }
}

/// An agent for this host, its stream standing.
async fn start_agent(controller: &Controller, state: &State) -> anyhow::Result<Agent> {
    let node = node_name()?;
    let agent = Agent::start(AgentConfig {
        credentials: controller.issue(&Identity::Node(node.clone())).await?,
        node,
        state_dir: state.path.join("agent"),
        controller: controller.local_addr().to_string(),
        credentials_dir: None,
        spool_quota: DEFAULT_SPOOL_QUOTA,
        // A plan is carried out when somebody has read and approved it; by then this process is gone.
        actuator: None,
    })
    .await?;
    let mut connected = agent.connected();
    let standing = tokio::time::timeout(CONNECT, connected.wait_for(|connected| *connected)).await;
    standing.context("the agent did not reach the controller")?.context("the agent ended")?;
    Ok(agent)
}

/// The host's name; what cannot be in the name of a node is left out.
fn node_name() -> anyhow::Result<NodeName> {
    let name = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
    let name: String = name.chars().filter(allowed).collect();
    let name = name.trim_start_matches(['-', '.', '_']);
    Ok(if name.is_empty() { "localhost" } else { name }.parse()?)
}

/// The directory both keep their state in. Held by one process at a time.
struct State {
    path: PathBuf,
    _lock: Option<File>,
    _temporary: Option<TempDir>,
}

impl State {
    /// The user's state directory; a temporary one where another process has it or it cannot be written.
    fn open() -> io::Result<Self> {
        let user = user_directory("XDG_STATE_HOME", ".local/state").map(|directory| directory.join("dialtone"));
        if let Some(path) = user {
            match lock(&path) {
                Ok(lock) => {
                    remove_ca(&path)?;
                    return Ok(Self { path, _lock: Some(lock), _temporary: None });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    note(&format!("{}: {error}; nothing is remembered of this run", path.display()));
                }
            }
        }
        let temporary = TempDir::with_prefix("dialtone-")?;
        Ok(Self { path: temporary.path().to_owned(), _lock: None, _temporary: Some(temporary) })
    }

    fn close(self) {
        if let Err(error) = remove_ca(&self.path) {
            note(&format!("cannot remove {}: {error}", self.path.join("ca").display()));
        }
    }
}

fn lock(directory: &Path) -> Result<File, TryLockError> {
    make_private(directory).map_err(TryLockError::Error)?;
    let options = File::options().create(true).truncate(false).write(true).to_owned();
    let file = options.open(directory.join("lock")).map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// The authority of this run, or one left by a run that was killed.
fn remove_ca(state: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(state.join("ca")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
