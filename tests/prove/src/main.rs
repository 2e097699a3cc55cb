//! `prove`: tries what the remedy loop promises and prints a table. `make prove` builds what it needs and runs it.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use prove::{ALL, Invariant, Report, Run, table};

/// Tries what the remedy loop promises, as often as a release asks for.
#[derive(Debug, Parser)]
struct Arguments {
    /// The invariants to try, for example I1 I3 [default: all].
    invariants: Vec<String>,
    /// What all randomness comes from [default: another one every time].
    #[arg(long)]
    seed: Option<u64>,
    /// Trials of each invariant [default: as many as a release asks for].
    #[arg(long)]
    trials: Option<u64>,
    /// The only trial to make, to have one again that failed.
    #[arg(long)]
    trial: Option<u64>,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let is_wanted = |id: &str| arguments.invariants.iter().any(|wanted| wanted.eq_ignore_ascii_case(id));
    let chosen: Vec<&Invariant> =
        ALL.iter().filter(|invariant| arguments.invariants.is_empty() || is_wanted(invariant.id)).collect();
    let mut out = io::stdout();
    // Failures are told at the end, each with how to have it again.
    std::panic::set_hook(Box::new(|_| {}));
    if chosen.len() < arguments.invariants.len() || chosen.is_empty() {
        let known: Vec<&str> = ALL.iter().map(|invariant| invariant.id).collect();
        writeln!(io::stderr(), "prove: the invariants are {}", known.join(", "))?;
        return Ok(ExitCode::from(2));
    }
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let mut reports = Vec::new();
    for invariant in chosen {
        let run = Run::new(seed, arguments.trials.unwrap_or(invariant.trials), arguments.trial, true);
        let report = Report::of(invariant, &run);
        write!(out, "{}", report.details())?;
        out.flush()?;
        reports.push(report);
    }
    write!(out, "\n{}", table(&reports))?;
    let failed = reports.iter().any(|report| !report.failures.is_empty());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
