//! `bench [PART]…`: measures Dialtone on lab hosts, from the packages of this tree. In a release build these are release
//! packages: `cargo run --release -p system-tests --bin bench`.
//!
//! | part | measures |
//! |---|---|
//! | `diagnose` | from `dialtone diagnose` to the verdict for each cause, and the same looked up by hand over ssh |
//! | `timeline` | from an edit of the yml to its entry in `dialtone timeline` |
//! | `idle` | memory, processor and bytes of an agent and its controller while nothing happens; then for a restart |
//! | `nodes` | `dialtone nodes` and `diagnose` with several hundred nodes in the store |
//! | `remedy` | from the approval of a plan to the proof that it worked, for each step |
//! | `crowd` | a controller with a hundred running agents, and their return when it restarts |

mod by_hand;
mod crowd;
mod diagnose;
mod fault;
mod idle;
mod machine;
mod node;
mod nodes;
mod remedy;
mod samples;
mod service;
mod stopwatch;
mod timeline;

use std::io::{Write, stderr, stdout};

use anyhow::{Result, bail};
use system_tests::fleet::Fleet;

use machine::Machine;

/// How often each thing is done.
const RUNS: usize = 10;

/// One part: what it is called, and what measures it and gives its tables as Markdown.
type Part = (&'static str, fn(&Fleet) -> Result<String>);

const PARTS: [Part; 6] = [
    ("diagnose", diagnose::measure),
    ("timeline", timeline::measure),
    ("idle", idle::measure),
    ("nodes", nodes::measure),
    ("remedy", remedy::measure),
    ("crowd", crowd::measure),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, rest @ ..] = arguments.as_slice()
        && word == stopwatch::WORD
    {
        return stopwatch::serve(rest);
    }
    let parts = wanted(&arguments)?;
    let mut out = stdout();
    writeln!(out, "{}", machine::description()?)?;
    for (name, measure) in parts {
        writeln!(stderr(), "── {name}")?;
        let before = Machine::now()?;
        // A fleet for each part, so that no part finds what another one left in the store.
        let tables = measure(&Fleet::set_up("controller")?)?;
        writeln!(out, "\n## {name}\n\n{}\n\n{tables}", before.since()?)?;
    }
    Ok(())
}

fn wanted(names: &[String]) -> Result<Vec<Part>> {
    if let Some(unknown) = names.iter().find(|name| PARTS.iter().all(|(part, _)| part != name)) {
        bail!("no part {unknown}; usage: bench [diagnose|timeline|idle|nodes|remedy|crowd]…");
    }
    Ok(PARTS.into_iter().filter(|(part, _)| names.is_empty() || names.iter().any(|name| name == part)).collect())
}
