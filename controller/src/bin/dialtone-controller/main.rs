//! `dialtone-controller`: the service, and what root does on its host.

mod admin;
mod arguments;
mod output;
mod run;
mod store;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use controller::{Config, init};
use serde_json::json;

use arguments::{Arguments, Format, Task};
use output::{print_json, print_line};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match perform(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("dialtone-controller: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn perform(arguments: Arguments) -> anyhow::Result<()> {
    let config_path = arguments.config.as_path();
    let config = || Config::load(config_path);
    match arguments.task.unwrap_or(Task::Run) {
        Task::Run => run::run(config()?),
        Task::Init { san, state_dir, output } => initialise(config_path, san, state_dir, output),
        Task::Token { task: arguments::TokenTask::Create { ttl, node, output } } => {
            admin::create_token(&config()?, ttl, node, output)
        }
        Task::Operator { task: arguments::OperatorTask::Add { name, role, output } } => {
            admin::add_operator(&config()?, &name, role, output)
        }
        Task::Revoke { who } => admin::revoke(&config()?, who),
        Task::Store { task } => store::perform(&config()?, task),
        Task::Man { dir } => clap_mangen::generate_to(Arguments::command(), &dir)
            .with_context(|| format!("writing to {}", dir.display())),
        Task::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "dialtone-controller", &mut std::io::stdout());
            Ok(())
        }
    }
}

fn initialise(
    config_path: &Path,
    san: Vec<String>,
    state_dir: Option<std::path::PathBuf>,
    format: Format,
) -> anyhow::Result<()> {
    let mut config = match Config::load(config_path) {
        Err(controller::config::ConfigError::Missing(_)) => Config::default(),
        other => other?,
    };
    if !config_path.exists() {
        config.names = san;
        config.state_dir = state_dir.unwrap_or(config.state_dir);
    } else if !san.is_empty() && san != config.names || state_dir.is_some_and(|dir| dir != config.state_dir) {
        output::complain(&format!(
            "{} is there and is kept; names and state_dir are what it says",
            config_path.display()
        ));
    }
    let pin = init::init(&config, config_path)?;
    match format {
        Format::Json => print_json(&json!({ "ca_pin": pin.to_string() })),
        Format::Text => {
            print_line(&format!("CA pin: {pin}"))?;
            print_line(&format!("Configuration: {}", config_path.display()))?;
            print_line("Start it: systemctl enable --now dialtone-controller")
        }
    }
}
