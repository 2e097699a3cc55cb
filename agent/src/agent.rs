//! Putting the agent together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_sources::Reader;
use agent_spool::{Recovery, Spool, SpoolError};
use common_model::NodeName;
use common_tls::Credentials;
use common_tls::dial::{ClientIdentity, UnusableCredentials};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::queue::Queue;
use crate::survey::{self, Survey};
use crate::uplink::{self, Uplink};
use crate::{clock, journal};

/// Room for evidence that the controller has not yet taken.
pub const DEFAULT_SPOOL_QUOTA: u64 = 64 * 1024 * 1024;
/// What is queued when the agent is stopped gets this long to be sent; what is not stays queued on disk.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// For a process that had the queue before and is ending.
const PREDECESSOR: Duration = Duration::from_secs(2);

/// What an agent needs to run.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Who it speaks for; must be the name in the credentials.
    pub node: NodeName,
    /// Where it keeps its queue; readable by its owner only.
    pub state_dir: PathBuf,
    /// `HOST` or `HOST:PORT`.
    pub controller: String,
    /// Its key and certificate.
    pub credentials: Credentials,
    /// Where renewed credentials are kept; none to keep them in memory only.
    pub credentials_dir: Option<PathBuf>,
    /// Bytes that the queue may take on disk.
    pub spool_quota: u64,
    /// The socket of the node's actuator; none where plans are not carried out.
    pub actuator: Option<PathBuf>,
}

/// Why an agent could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its queue cannot be used.
    #[error("the queue cannot be used")]
    Spool(#[from] SpoolError),
    /// Its certificate cannot be used.
    #[error("the credentials cannot be used")]
    Credentials(#[from] UnusableCredentials),
    /// Not even the host's boot id can be read.
    #[error("the host cannot be read: {0}")]
    Host(String),
}

/// A running agent. Ends with it when dropped; [`Agent::stop`] ends it in order.
pub struct Agent {
    readers: JoinSet<()>,
    uplink: JoinHandle<()>,
    stop: CancellationToken,
    queue: Queue,
    connected: watch::Receiver<bool>,
    pulse: watch::Receiver<u64>,
}

impl Agent {
    /// Opens the queue and starts reading and sending. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the queue or the credentials cannot be used. That the controller cannot be reached is no error.
    pub async fn start(config: AgentConfig) -> Result<Self, StartError> {
        let identity = Arc::new(ClientIdentity::new(config.credentials)?);
        let reader = Reader::default();
        let boot_id = reader.boot_id().map_err(|failure| StartError::Host(failure.message))?;
        let queue = open(config.state_dir.join("spool"), config.spool_quota).await?;
        let (refresh, wishes) = mpsc::channel(16);
        let (units_sender, units) = mpsc::channel(16);
        let (engines, engines_found) = watch::channel(None);
        let (journal, asked) = journal::handle(journal::LIMIT);
        let (confirmed_sender, confirmed) = watch::channel(0);
        let (connected_sender, connected) = watch::channel(false);
        let (pulse_sender, pulse) = watch::channel(0);

        let survey = Survey::new(survey::Wiring {
            node: config.node.clone(),
            reader,
            journal,
            queue: queue.clone(),
            wishes,
            units,
            engines,
            confirmed: confirmed_sender,
            pulse: pulse_sender,
        });
        let following = journal::run(journal::Wiring {
            node: config.node.clone(),
            queue: queue.clone(),
            engines: engines_found,
            units: units_sender,
            asked,
            place_file: config.state_dir.join("journal.json"),
            journal: Box::new(journal::Journalctl),
        });
        let stop = CancellationToken::new();
        let uplink = uplink::run(Uplink {
            node: config.node,
            controller: config.controller,
            identity,
            credentials_dir: config.credentials_dir,
            queue: queue.clone(),
            refresh,
            confirmed,
            connected: connected_sender,
            stop: stop.clone(),
            actuator: config.actuator,
            boot_id,
            clock: clock::now,
        });
        let mut readers = JoinSet::new();
        readers.spawn(survey.run());
        readers.spawn(following);
        Ok(Self { readers, uplink: tokio::spawn(uplink), stop, queue, connected, pulse })
    }

    /// Tells whether the stream to the controller stands.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    /// Changes for as long as the agent is alive, at least every few seconds.
    pub fn pulse(&self) -> watch::Receiver<u64> {
        self.pulse.clone()
    }

    /// Waits for a part of the agent to end, which only a defect makes it do.
    pub async fn failed(&mut self) {
        tokio::select! {
            _ = self.readers.join_next() => {}
            _ = &mut self.uplink => {}
        }
    }

    /// Stops reading, lets what is queued be sent if that is quick, and ends.
    pub async fn stop(mut self) {
        self.readers.shutdown().await;
        if *self.connected.borrow() {
            // What is not sent in time is on disk.
            tokio::time::timeout(LAST_WORDS, self.queue.drained()).await.ok();
        }
        self.stop.cancel();
        if let Err(error) = (&mut self.uplink).await {
            tracing::error!(%error, "the stream's task ended");
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.uplink.abort();
    }
}

/// Opens the queue. A process that was killed a moment ago may still hold it.
async fn open(dir: PathBuf, quota: u64) -> Result<Queue, SpoolError> {
    let deadline = Instant::now() + PREDECESSOR;
    let (spool, recovery) = loop {
        let dir = dir.clone();
        match tokio::task::spawn_blocking(move || Spool::open(&dir, quota)).await {
            Ok(Err(SpoolError::InUse(_))) if Instant::now() < deadline => tokio::time::sleep(PREDECESSOR / 20).await,
            Ok(opened) => break opened?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    };
    let Recovery { torn_bytes, damaged_bytes, missing } = recovery;
    if damaged_bytes > 0 || missing > 0 {
        tracing::error!(
            damaged_bytes,
            missing,
            "the queue was damaged; what was whole is kept, the rest is reported missing"
        );
    } else if torn_bytes > 0 {
        tracing::info!(torn_bytes, "the last write was cut short by a crash; it had not been confirmed");
    }
    Ok(Queue::new(spool))
}
