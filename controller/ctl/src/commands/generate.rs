//! Completions and manual pages, from the command line itself.

use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::exit::{Exit, Failure};
use crate::output::write;

/// `dialtone completions`.
pub(crate) fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dialtone", &mut script);
    write(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// `dialtone man`: one page on standard output, or a page per command in a directory.
pub(crate) fn man(directory: Option<&Path>) -> Result<Exit, Failure> {
    match directory {
        Some(directory) => clap_mangen::generate_to(Cli::command(), directory)
            .with_context(|| format!("cannot write manual pages to {}", directory.display()))
            .map_err(Failure::usage)?,
        None => {
            let mut page = Vec::new();
            Man::new(Cli::command()).render(&mut page).map_err(Failure::usage)?;
            write(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(Exit::Done)
}
