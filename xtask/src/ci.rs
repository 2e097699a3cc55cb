//! Everything that must hold before a change goes in, in the order that fails soonest.

use std::time::Instant;

use crate::workspace::{self, command, has_program};
use crate::{deps, tidy};

type Step = (&'static str, fn() -> anyhow::Result<()>);

const STEPS: [Step; 7] = [
    ("format", format),
    ("tidy", tidy::check),
    ("dependencies between crates", deps::check),
    ("licences, bans and advisories", deny),
    ("clippy", clippy),
    ("unit tests", unit_tests),
    ("system tests", system_tests),
];

/// Runs every step, and tells what each took; the first that fails ends it.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut report = String::new();
    for (name, step) in STEPS {
        eprintln!("── {name}");
        let begun = Instant::now();
        step()?;
        report.push_str(&format!("{:>8.1} s  {name}\n", begun.elapsed().as_secs_f64()));
    }
    eprint!("── passed\n{report}");
    Ok(())
}

/// `cargo fmt` does not see modules that a macro declares, so rustfmt gets every file by name.
fn format() -> anyhow::Result<()> {
    let sources = workspace::files("*.rs")?;
    let mut rustfmt = command("rustfmt", &["--check", "--edition", "2024"]);
    workspace::run(rustfmt.args(sources.iter().filter(|file| !tidy::is_generated(file))))
}

fn deny() -> anyhow::Result<()> {
    if !has_program("cargo-deny") {
        eprintln!("   left out: cargo-deny is not installed (see CONTRIBUTING.md)");
        return Ok(());
    }
    workspace::run(&mut command("cargo", &["deny", "--locked", "check"]))
}

fn clippy() -> anyhow::Result<()> {
    workspace::run(&mut command(
        "cargo",
        &["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"],
    ))
}

fn unit_tests() -> anyhow::Result<()> {
    workspace::run(&mut command("cargo", &["test", "--workspace", "--locked", "--exclude", "system-tests"]))
}

/// Hosts that boot and engines that start share two cores with the tests that watch them.
fn system_tests() -> anyhow::Result<()> {
    workspace::run(&mut command(
        "cargo",
        &["test", "--package", "system-tests", "--locked", "--", "--test-threads", "2"],
    ))
}
