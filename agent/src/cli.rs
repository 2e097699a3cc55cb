//! The `dialtone-agent` command.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use common_model::NodeName;
use common_model::text::printable;
use common_tls::Pin;
use tracing_subscriber::EnvFilter;

use crate::config::{self, ConfigFile};
use crate::{inspect, join, service};

/// Collects what decides whether clients reach this node's Elasticsearch or OpenSearch, and reports it to a Dialtone controller.
#[derive(Debug, Parser)]
#[command(name = "dialtone-agent", version, propagate_version = true)]
struct Cli {
    /// Configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent; what its service does.
    Run,
    /// Join a controller: exchange a token for this node's certificate, and write the configuration.
    Join(JoinArgs),
    /// Show who this node is to the controller, and what can be read here and what cannot.
    Status,
    /// Print what is collected, after redaction: exactly the bytes that would leave this node.
    Collect {
        /// The kind of evidence, as `status` lists them; can be given several times.
        #[arg(long, value_name = "KIND", required = true)]
        print: Vec<String>,
    },
    /// Print completions for a shell.
    #[command(hide = true)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual's pages.
    #[command(hide = true)]
    Man {
        /// Where to.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
}

/// What joining needs.
#[derive(Debug, clap::Args)]
pub(crate) struct JoinArgs {
    /// The controller: HOST or HOST:PORT.
    #[arg(value_name = "HOST:PORT")]
    pub(crate) controller: String,
    /// The join token that `dialtone-controller token create` printed.
    #[arg(long, env = "DIALTONE_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
    /// The CA's pin that `dialtone-controller init` printed.
    #[arg(long, value_name = "sha256:…")]
    pub(crate) ca_pin: Pin,
    /// Name of this node [default: its host name].
    #[arg(long)]
    pub(crate) name: Option<NodeName>,
}

/// Runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // The reader may have gone; there is nobody else to tell.
            writeln!(io::stderr(), "error: {}", printable(&format!("{error:#}"))).ok();
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(cli: Cli) -> anyhow::Result<()> {
    // Few threads and short-lived ones: the agent is a guest on its node.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_keep_alive(Duration::from_secs(2))
        .enable_all()
        .build()?;
    match cli.command {
        Command::Run => {
            log_to_stderr();
            runtime.block_on(service::run(&cli.config))
        }
        Command::Join(args) => runtime.block_on(join::join(&cli.config, args)),
        Command::Status => runtime.block_on(inspect::status(ConfigFile::load(&cli.config).map_err(Into::into))),
        Command::Collect { print } => runtime.block_on(inspect::collect(&print)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "dialtone-agent", &mut io::stdout());
            Ok(())
        }
        Command::Man { dir } => {
            clap_mangen::generate_to(Cli::command(), &dir).with_context(|| format!("cannot write to {}", dir.display()))
        }
    }
}

/// systemd puts it into the journal. RUST_LOG selects.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).with_target(false);
    // The journal has a clock of its own.
    if under_systemd { subscriber.without_time().init() } else { subscriber.init() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_of_join_is_kept() {
        Cli::command().debug_assert();
        let pin = format!("sha256:{}", "a".repeat(64));
        let line =
            ["dialtone-agent", "join", "controller.example:7443", "--token", "T", "--ca-pin", &pin, "--name", "es-1"];
        let Command::Join(args) = Cli::try_parse_from(line).unwrap().command else { panic!("not join") };
        assert_eq!((args.controller.as_str(), args.token.as_str()), ("controller.example:7443", "T"));
        assert_eq!(args.name.unwrap().as_str(), "es-1");
        assert!(Cli::try_parse_from(["dialtone-agent", "join", "c", "--token", "T", "--ca-pin", "sha256:1"]).is_err());
    }
}
