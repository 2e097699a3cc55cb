//! A controller and an agent in this process, for a machine that has no controller: a certificate authority that lives as
//! long as they do, mutual TLS over loopback, and the change log in the user's state directory.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use common_tls::dial::{self, ClientIdentity};
use common_tls::{Identity, Role};
use controller::{Config, Controller};
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::config::{make_private, user_directory};
use crate::progress::{Progress, note};

/// Both, running.
pub(crate) struct Embedded {
    controller: Controller,
    state: State,
}

impl Embedded {
    /// Starts both and gives a channel to the controller's API. Returns once the agent has read everything.
    pub(crate) async fn start(progress: &Progress) -> anyhow::Result<(Self, Channel)> {
        progress.say("reading this machine");
        if !rustix::process::geteuid().is_root() {
            note(
                "not run as root: firewall rules, the owners of other users' sockets and unreadable files are missing \
                 from the evidence; sudo dialtone reads them",
            );
        }
        let state = State::open().context("cannot keep state")?;
        let config = Config { listen: "127.0.0.1:0".to_owned(), state_dir: state.path.clone(), ..Config::default() };
        controller::init::create_ca(&config)?;
        let controller = Controller::start(config).await?;
        let me = Identity::Operator { name: "here".parse()?, role: Role::Admin };
        let credentials = controller.issue(&me).await?;
        let address = controller.local_addr().to_string();
        let channel = dial::channel(&address, Arc::new(ClientIdentity::new(credentials)?)).await?;
        Ok((Self { controller, state }, channel))
    }

    /// Stops both and forgets the certificate authority.
    pub(crate) async fn stop(self) {
        self.controller.shutdown().await;
        self.state.close();
    }
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
