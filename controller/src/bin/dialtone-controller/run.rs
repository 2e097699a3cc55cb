//! The service.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use controller::{Config, Controller};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

/// For the store to answer the watchdog's question.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn run(config: Config) -> anyhow::Result<()> {
    log_to_stderr();
    #[cfg(debug_assertions)]
    if let Ok(point) = std::env::var("DIALTONE_STOP_AT") {
        controller::faults::choose(&point);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let controller = Controller::start(config).await?;
    tell_systemd(NotifyState::Ready);
    tokio::select! {
        _ = terminate.recv() => info!("told to stop"),
        _ = interrupt.recv() => info!("interrupted"),
        () = watchdog(&controller) => {}
    }
    tell_systemd(NotifyState::Stopping);
    controller.shutdown().await;
    Ok(())
}

/// Tells systemd's watchdog that the controller works, for as long as it does.
async fn watchdog(controller: &Controller) {
    let Some(period) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(period / 3);
    loop {
        ticks.tick().await;
        match tokio::time::timeout(ALIVE_TIMEOUT, controller.is_alive()).await {
            Ok(true) => tell_systemd(NotifyState::Watchdog),
            Ok(false) | Err(_) => error!("the store does not answer"),
        }
    }
}

fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "cannot notify systemd");
    }
}

/// To standard error, without times where the journal adds its own. `DIALTONE_LOG` sets the level.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("DIALTONE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().init();
    } else {
        log.init();
    }
}
