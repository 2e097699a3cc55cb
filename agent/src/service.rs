//! `dialtone-agent run`: the agent as a service.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use common_tls::{Credentials, Identity};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::agent::{Agent, AgentConfig};
use crate::config::ConfigFile;

/// For everything that is left to do at the end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs until a signal asks to stop.
pub(crate) async fn run(config_path: &Path) -> anyhow::Result<()> {
    let config = ConfigFile::load(config_path)?;
    let directory = config.credentials_dir();
    let credentials = Credentials::load(&directory)?;
    let node = match credentials.identity()? {
        Identity::Node(node) => node,
        other => bail!("the credentials in {} are for {other}, not for a node", directory.display()),
    };
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tracing::info!(%node, version = env!("CARGO_PKG_VERSION"), "starting");
    let spool_quota = config.spool_quota();
    let mut agent = Agent::start(AgentConfig {
        node,
        state_dir: config.state_dir,
        controller: config.controller,
        credentials,
        credentials_dir: Some(directory),
        spool_quota,
        actuator: Some(crate::relay::SOCKET.into()),
    })
    .await
    .context("cannot start")?;
    notify(&[NotifyState::Ready]);
    let (pulse, connected) = (agent.pulse(), agent.connected());
    tokio::select! {
        () = agent.failed() => bail!("a part of the agent ended; this is a defect"),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = keep_watchdog(pulse) => {}
        () = tell_status(connected) => {}
    }
    notify(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    if tokio::time::timeout(STOP_TIMEOUT, agent.stop()).await.is_err() {
        tracing::warn!("not everything ended in time; what was queued is kept on disk");
    }
    Ok(())
}

/// Tells systemd that we are alive, as long as the loop that reads is.
async fn keep_watchdog(mut pulse: watch::Receiver<u64>) {
    while pulse.changed().await.is_ok() {
        notify(&[NotifyState::Watchdog]);
    }
    std::future::pending().await
}

async fn tell_status(mut connected: watch::Receiver<bool>) {
    loop {
        let status = if *connected.borrow_and_update() {
            "connected to the controller"
        } else {
            "not connected to the controller; evidence is queued"
        };
        notify(&[NotifyState::Status(status)]);
        if connected.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Not under systemd, this does nothing.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
