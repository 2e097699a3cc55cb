//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use common_tls::Role;
use controller::config;

/// Receives evidence from agents, probes endpoints from outside, and names why clients cannot reach a node.
#[derive(Debug, Parser)]
#[command(name = "dialtone-controller", version, subcommand_required = false)]
pub(crate) struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", global = true, default_value = config::DEFAULT_PATH, env = "DIALTONE_CONTROLLER_CONFIG")]
    pub(crate) config: PathBuf,
    #[command(subcommand)]
    pub(crate) task: Option<Task>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Run the service (the default).
    Run,
    /// Make the certificate authority and, if there is none, the configuration; print the CA's pin.
    Init {
        /// Host names and addresses of this controller, separated by commas.
        #[arg(long, value_delimiter = ',', value_name = "NAME")]
        san: Vec<String>,
        /// Where to keep the CA and the store.
        #[arg(long, value_name = "DIR")]
        state_dir: Option<PathBuf>,
        /// How to print the result.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Join tokens for nodes. Needs root and the running service.
    Token {
        #[command(subcommand)]
        task: TokenTask,
    },
    /// Operators. Needs root and the running service.
    Operator {
        #[command(subcommand)]
        task: OperatorTask,
    },
    /// Revoke the certificates of a node or operator and cut its connections. Needs root and the running service.
    Revoke {
        #[command(flatten)]
        who: Who,
    },
    /// Look after the store while the service is stopped.
    Store {
        #[command(subcommand)]
        task: StoreTask,
    },
    /// Write the manual pages.
    #[command(hide = true)]
    Man {
        /// Where to.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Print completions for a shell.
    #[command(hide = true)]
    Completions {
        /// Which.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenTask {
    /// Make a token with which one host can join, once.
    Create {
        /// How long it is good for, for example 90s, 10m or 2h; at most 24h.
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = seconds)]
        ttl: u32,
        /// The only name it may join under. A node of that name that joined before is replaced.
        #[arg(long, value_name = "NAME")]
        node: Option<String>,
        /// How to print the result.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorTask {
    /// Add an operator, or change the role of one; print a login token that works once.
    Add {
        /// Who, for example alice.
        name: String,
        /// What they may do: viewer, operator, approver or admin.
        #[arg(long)]
        role: Role,
        /// How to print the result.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Who {
    /// The node.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// The operator.
    #[arg(long, value_name = "NAME")]
    pub(crate) operator: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreTask {
    /// Read every record and count the damaged ones.
    Check,
    /// Write every record as a line of JSON.
    Export {
        /// Where to; standard output if left out.
        file: Option<PathBuf>,
    },
    /// Read back what export wrote. Records that are there already stay as they are.
    Import {
        /// Where from.
        file: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

fn seconds(text: &str) -> Result<u32, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("give seconds, minutes or hours, for example 90s, 10m or 2h".to_owned()),
    };
    let number: u32 = number.parse().map_err(|_| "give a number and a unit, for example 10m".to_owned())?;
    let seconds = number.checked_mul(factor).filter(|seconds| (1..=86_400).contains(seconds));
    seconds.ok_or_else(|| "give 1s to 24h".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("24h"), Ok(86_400));
        for bad in ["", "m", "0s", "25h", "1d", "-1s", "99999999999h"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
