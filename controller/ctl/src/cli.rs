//! The command line. Help, completions and manual pages are made from this.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use common_model::IncidentId;
use common_plan::RolloutId;
use common_tls::{OperatorName, Pin, Role};

/// Says why a client cannot connect to an Elasticsearch or OpenSearch node, and what fixes it.
#[derive(Debug, Parser)]
#[command(name = "dialtone", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    /// Options of every command
    #[command(flatten)]
    pub global: Global,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Without a controller, everything runs in this process and answers for this machine.

Exit codes: 0 reachable or done, 1 a cause was found, 2 usage or input error, 3 undetermined,
4 controller or permission problem.";

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// How results are printed
    #[arg(short, long, global = true, value_name = "text|json|yaml", hide_possible_values = true)]
    #[arg(default_value = "text", hide_default_value = true)]
    pub output: Format,
    /// The controller to ask, instead of the configured one
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub controller: Option<String>,
    /// The configuration file [default: ~/.config/dialtone/config.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Whether to use colour; auto does on a terminal and honours NO_COLOR
    #[arg(long, global = true, value_name = "auto|always|never", hide_possible_values = true)]
    #[arg(default_value = "auto", hide_default_value = true)]
    pub color: ColorChoice,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For both
    Yaml,
}

/// Whether to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal
    Auto,
    /// Even when it is not a terminal
    Always,
    /// Not at all
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say why a client cannot connect, and what fixes it
    Diagnose(Diagnose),
    /// List the nodes, their engines, whether these can be reached, and whether the agents are heard
    Nodes,
    /// Show one node: its engines, its addresses, and what its agent reads
    Node {
        /// Name of the node
        name: String,
        /// Show what was read, not only that it was
        #[arg(short, long)]
        verbose: bool,
    },
    /// Show what changed, started, stopped and failed
    Timeline {
        /// Only this node
        node: Option<String>,
        /// How far back, for example 30m, 2h, 7d
        #[arg(long, value_name = "TIME", default_value = "2h", value_parser = duration)]
        since: Duration,
    },
    /// List the endpoints that cannot be reached
    Incidents {
        /// Those that can be again, too
        #[arg(long)]
        all: bool,
    },
    /// Show one incident: why, since when, and what was done about it by whom
    Incident {
        /// Its number, as incidents shows it
        #[arg(value_name = "ID")]
        id: IncidentId,
        /// End it: for one that is mended at the client, which nobody sees from here
        #[arg(long, requires = "because")]
        close: bool,
        /// Why, for the others
        #[arg(long, value_name = "TEXT", requires = "close")]
        because: Option<String>,
        /// End it although nothing answers, for example because the host is gone for good
        #[arg(long, requires = "close")]
        anyway: bool,
    },
    /// List the plans that wait for approval or are under way
    Plans {
        /// Those that have ended, too
        #[arg(long)]
        all: bool,
    },
    /// Show one plan: what it changes where and why, and what became of it
    Plan {
        /// The plan, as plans and diagnose name it; as much of its id as no other plan shares will do
        #[arg(value_name = "ID", value_parser = plan_id)]
        id: PlanRef,
        /// Propose another that opens the port for this long only, for example 2h
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        limit: Option<Duration>,
    },
    /// Show a plan or a rolling restart, ask, sign it with your approval key, and follow it until it has proven itself
    Approve {
        /// The plan, or the rollout
        #[arg(value_name = "ID", value_parser = proposal)]
        id: Proposal,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Say no to a plan or a rolling restart, for everybody; one that is under way stops after the node it is at
    Reject {
        /// The plan, or the rollout
        #[arg(value_name = "ID", value_parser = proposal)]
        id: Proposal,
        /// Why, for the others
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        because: String,
    },
    /// Propose the plan that takes a verified one back
    Revert {
        /// The plan to take back
        #[arg(value_name = "ID", value_parser = plan_id)]
        id: PlanRef,
    },
    /// List the rolling restarts that wait for approval or are under way
    Rollouts {
        /// Those that have ended, too
        #[arg(long)]
        all: bool,
    },
    /// Show one rolling restart, node by node; or propose one
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Rollout {
        /// The rollout, as rollouts names it
        #[arg(value_name = "ID", value_parser = rollout_id, required = true)]
        id: Option<RolloutId>,
        /// Follow it until it has ended
        #[arg(long)]
        follow: bool,
        /// Something else to do
        #[command(subcommand)]
        command: Option<RolloutCommand>,
    },
    /// Say whether a node's engine would start, and be reachable, if it were restarted now
    Preflight {
        /// Name of the node
        node: String,
    },
    /// Show incidents, plans, nodes and changes on one screen, live, and approve plans there
    Console,
    /// Make the key you approve plans with, if there is none, and show its public half
    Key,
    /// The log of who did what
    #[command(subcommand)]
    Audit(Audit),
    /// Join tokens, for nodes
    #[command(subcommand)]
    Token(Token),
    /// People who may use the controller
    #[command(subcommand)]
    Operator(Operator),
    /// Get an operator's certificate from a controller, and use that controller from now on
    Login(Login),
    /// Print a script that completes commands in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man {
        /// Write the pages of all commands into this directory instead
        #[arg(long, hide = true)]
        dir: Option<PathBuf>,
    },
}

/// `dialtone diagnose`.
#[derive(Debug, Args)]
pub struct Diagnose {
    /// What the client was told: URL, HOST:PORT, HOST, or the name of a node [default: every engine that is known]
    pub endpoint: Vec<String>,
    /// A file with what the client printed; - for standard input
    #[arg(long, value_name = "FILE|-")]
    pub client_error: Option<PathBuf>,
    /// Where to probe from: controller, here, or both [default: both]
    #[arg(long, value_name = "VANTAGE", value_delimiter = ',')]
    pub from: Vec<String>,
    /// Repeat until it is reachable
    #[arg(long)]
    pub watch: bool,
    /// Show everything, however long
    #[arg(short, long)]
    pub verbose: bool,
}

/// What can be approved or rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposal {
    /// One plan.
    Plan(PlanRef),
    /// All plans of a rollout.
    Rollout(RolloutId),
}

/// `dialtone rollout`.
#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// Propose a rolling restart; nothing is restarted before it is approved
    Propose {
        /// The cluster's name, or a node's for the cluster it is in
        cluster: String,
        /// Why, for those who approve it
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        because: String,
    },
}

/// `dialtone audit`.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check that no entry was changed, removed or put in
    Verify {
        /// An earlier export, which the log has to begin with
        #[arg(value_name = "FILE")]
        copy: Option<PathBuf>,
    },
    /// Write the log, one JSON object a line, each exactly as it is chained
    Export {
        /// Into this file instead of standard output
        #[arg(short = 'O', long = "to", value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

/// `dialtone token`.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a join token; it is good for one node
    Create {
        /// How long it can be used, for example 10m
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
        ttl: Duration,
        /// The name the node must take
        #[arg(long, value_name = "NAME")]
        node: Option<String>,
    },
}

/// `dialtone operator`.
#[derive(Debug, Subcommand)]
pub enum Operator {
    /// Add a person; prints a login token, good once
    Add {
        /// Who
        name: OperatorName,
        /// What they may do: viewer, operator, approver or admin
        #[arg(long, default_value = "viewer")]
        role: Role,
    },
}

/// `dialtone login`.
#[derive(Debug, Args)]
pub struct Login {
    /// The controller
    #[arg(value_name = "HOST:PORT")]
    pub address: String,
    /// The login token, as `dialtone-controller operator add` printed it
    #[arg(long)]
    pub token: String,
    /// The hash of the controller's CA, as `dialtone-controller init` printed it
    #[arg(long, value_name = "sha256:HEX")]
    pub ca_pin: Pin,
}

/// A plan's id, or how it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRef(String);

impl PlanRef {
    /// 4 to 16 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Digits of an id that have to be given.
const MIN_DIGITS: usize = 4;

fn plan_id(text: &str) -> Result<PlanRef, String> {
    let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    match (MIN_DIGITS..=16).contains(&text.len()) && text.chars().all(digit) {
        true => Ok(PlanRef(text.to_owned())),
        false => Err(format!("give the 16 hex digits that plans and diagnose show, or the first {MIN_DIGITS} or more")),
    }
}

/// A rollout's id.
fn rollout_id(text: &str) -> Result<RolloutId, String> {
    text.parse().map_err(|_| "give the r and 16 hex digits that rollouts shows".to_owned())
}

/// Either.
fn proposal(text: &str) -> Result<Proposal, String> {
    match text.parse() {
        Ok(id) => Ok(Proposal::Rollout(id)),
        Err(_) => plan_id(text).map(Proposal::Plan),
    }
}

/// A time span: a number and one of s, m, h, d.
fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("{text:?} is not a time span: give a number and s, m, h or d, for example 2h");
    const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    const MAX_SECONDS: u64 = 10 * 365 * 86_400;
    let parsed = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, seconds)));
    let (number, seconds) = parsed.ok_or_else(invalid)?;
    let total = number.parse().ok().and_then(|number: u64| number.checked_mul(*seconds));
    total.filter(|total| (1..=MAX_SECONDS).contains(total)).map(Duration::from_secs).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_plan_is_named_by_its_id_or_how_that_begins() {
        for good in ["b2bc", "b2bc3e5e6fcf6dd7"] {
            assert_eq!(plan_id(good).unwrap().as_str(), good);
        }
        for bad in ["", "b2b", "B2BC", "../x", "b2bc3e5e6fcf6dd70"] {
            assert!(plan_id(bad).unwrap_err().contains("16 hex digits"), "{bad}");
        }
    }

    #[test]
    fn time_spans_are_a_number_and_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for bad in ["", "h", "2", "-1h", "2 h", "0s", "99999999999999999999d", "3é"] {
            assert!(duration(bad).unwrap_err().contains("time span"), "{bad}");
        }
    }
}
