//! The `dialtone` command: asks a controller, or one it starts in this process, and shows the answer.

pub mod cli;

mod approval_key;
mod commands;
mod config;
mod console;
mod embedded;
mod exit;
mod output;
mod plan;
mod progress;
mod render;
mod report;
mod rollout;
mod session;
mod terminal;

use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;

use cli::{Audit, Cli, Command, Global, Operator, Proposal, RolloutCommand, Token};
use commands::{
    approve, audit, diagnose, generate, identities, incidents, inventory, key, login, plans, preflight, rollouts,
};
use config::Location;
pub use exit::{Exit, Failure};
use output::Output;
use progress::{Progress, note};
use session::Session;
use tokio::signal::unix::{SignalKind, signal};

/// Does what the command line says and gives the exit code.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nowhere to print to: the exit code is all there is.
            error.print().ok();
            return if asked_for { Exit::Done } else { Exit::Usage };
        }
    };
    run(cli).unwrap_or_else(|failure| {
        note(&format!("{:#}", failure.error));
        for line in failure.hint.iter().flat_map(|hint| hint.lines()) {
            note(&format!("  {line}"));
        }
        failure.exit
    })
}

fn run(Cli { global, command }: Cli) -> Result<Exit, Failure> {
    let output = Output::new(&global);
    match command {
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { dir } => generate::man(dir.as_deref()),
        Command::Login(arguments) => {
            block_on(async { login::login(&global, &output, &Progress::new(), arguments).await })
        }
        Command::Diagnose(arguments) => with_session(&global, Controller::Any, async |session, progress| {
            diagnose::diagnose(session, &output, progress, arguments).await
        }),
        Command::Nodes => with_session(&global, Controller::Any, async |session, progress| {
            inventory::nodes(session, &output, progress).await
        }),
        Command::Node { name, verbose } => with_session(&global, Controller::Any, async |session, progress| {
            inventory::node(session, &output, progress, name, verbose).await
        }),
        Command::Timeline { node, since } => with_session(&global, Controller::Any, async |session, progress| {
            inventory::timeline(session, &output, progress, node, since).await
        }),
        Command::Incidents { all } => with_session(&global, Controller::Remote, async |session, progress| {
            incidents::list(session, &output, progress, all).await
        }),
        Command::Incident { id, because: None, .. } => {
            with_session(&global, Controller::Remote, async |session, progress| {
                incidents::show(session, &output, progress, id).await
            })
        }
        Command::Incident { id, because: Some(because), anyway, .. } => {
            with_session(&global, Controller::Remote, async |session, progress| {
                incidents::close(session, &output, progress, id, because, anyway).await
            })
        }
        Command::Plans { all } => with_session(&global, Controller::Remote, async |session, progress| {
            plans::list(session, &output, progress, all).await
        }),
        Command::Plan { id, limit: None } => with_session(&global, Controller::Remote, async |session, progress| {
            plans::show(session, &output, progress, &id).await
        }),
        Command::Plan { id, limit: Some(time) } => {
            with_session(&global, Controller::Remote, async |session, progress| {
                plans::limit(session, &output, progress, &id, time).await
            })
        }
        Command::Approve { id, yes } => {
            // Before anything is asked of anybody: without a key there is nothing to approve with.
            let key = approve::key(&global)?;
            with_session(&global, Controller::Remote, async |session, progress| match &id {
                Proposal::Plan(id) => approve::approve(session, &output, progress, &key, id, yes).await,
                Proposal::Rollout(id) => rollouts::approve(session, &output, progress, &key, id, yes).await,
            })
        }
        Command::Reject { id, because } => {
            with_session(&global, Controller::Remote, async |session, progress| match &id {
                Proposal::Plan(id) => plans::reject(session, &output, progress, id, because).await,
                Proposal::Rollout(id) => rollouts::reject(session, &output, progress, id, because).await,
            })
        }
        Command::Revert { id } => with_session(&global, Controller::Remote, async |session, progress| {
            plans::revert(session, &output, progress, &id).await
        }),
        Command::Rollouts { all } => with_session(&global, Controller::Remote, async |session, progress| {
            rollouts::list(session, &output, progress, all).await
        }),
        Command::Rollout { id: Some(id), follow, .. } => {
            with_session(&global, Controller::Remote, async |session, progress| {
                rollouts::show(session, &output, progress, &id, follow).await
            })
        }
        Command::Rollout { command: Some(RolloutCommand::Propose { cluster, because }), .. } => {
            with_session(&global, Controller::Remote, async |session, progress| {
                rollouts::propose(session, &output, progress, cluster, because).await
            })
        }
        Command::Rollout { .. } => Err(Failure::usage(anyhow::anyhow!("give a rollout's id, or propose CLUSTER"))),
        Command::Preflight { node } => with_session(&global, Controller::Any, async |session, progress| {
            preflight::preflight(session, &output, progress, node).await
        }),
        Command::Console => {
            let location = Location::find(global.config.as_deref()).map_err(Failure::usage)?;
            let key = approval_key::load(&location.approval_key());
            with_session(&global, Controller::Remote, async |session, progress| {
                progress.clear();
                console::console(session, &output, key).await
            })
        }
        Command::Key => key::key(&global, &output),
        Command::Audit(Audit::Verify { copy }) => {
            with_session(&global, Controller::Remote, async |session, progress| {
                audit::verify(session, &output, progress, copy.as_deref()).await
            })
        }
        Command::Audit(Audit::Export { to }) => with_session(&global, Controller::Remote, async |session, progress| {
            audit::export(session, progress, to.as_deref()).await
        }),
        Command::Token(Token::Create { ttl, node }) => with_session(&global, Controller::Remote, async |session, _| {
            identities::create_token(session, &output, ttl, node).await
        }),
        Command::Operator(Operator::Add { name, role }) => {
            with_session(&global, Controller::Remote, async |session, _| {
                identities::add_operator(session, &output, &name, role).await
            })
        }
    }
}

/// Which controller will do.
#[derive(Debug, Clone, Copy)]
enum Controller {
    /// Also one in this process.
    Any,
    /// One that others use too.
    Remote,
}

/// Runs `work` with a controller that answers, and stops what was started for it, also when interrupted.
fn with_session(
    global: &Global,
    which: Controller,
    work: impl AsyncFnOnce(&mut Session, &Progress) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    block_on(async {
        let progress = Progress::new();
        let mut session = match which {
            Controller::Any => Session::open(global, &progress).await?,
            Controller::Remote => Session::open_remote(global, &progress).await?,
        };
        let result = tokio::select! {
            result = work(&mut session, &progress) => result,
            () = interrupted() => Err(Failure::interrupted()),
        };
        session.close().await;
        result
    })
}

/// Waits to be told to stop, by the keyboard, the terminal's end, or another process.
async fn interrupted() {
    let told = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            // Then the signal ends the process as it always did.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = told(SignalKind::interrupt()) => {}
        () = told(SignalKind::terminate()) => {}
        () = told(SignalKind::hangup()) => {}
    }
}

fn block_on(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::controller)?;
    let result = runtime.block_on(work);
    // A resolver that hangs must not keep the program.
    runtime.shutdown_timeout(Duration::from_millis(10));
    result
}
