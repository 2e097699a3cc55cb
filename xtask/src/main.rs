//! Automation of this repository: `cargo xtask TASK`.
#![allow(clippy::print_stderr, reason = "a tool run by developers says what it does on stderr")]

mod ci;
mod deps;
mod gen_proto;
mod packages;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::bail;

const TASKS: &str = "\
  ci                                  everything that must hold before a change goes in
  tidy                                the rules of the tree that no compiler checks
  deps [--write]                      who may depend on whom; --write records the present edges in docs/deps.toml
  packages [--profile P] [--out DIR]  the .deb and .rpm packages; default: --profile release --out dist
  gen-proto                           the Rust code of the wire from proto/proto/*.proto";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match task(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn task(arguments: &[&str]) -> anyhow::Result<()> {
    match arguments {
        ["ci"] => ci::run(),
        ["tidy"] => tidy::check(),
        ["deps"] => deps::check(),
        ["deps", "--write"] => deps::write(),
        ["packages", options @ ..] => packages::build(&packages::Options::parse(options)?),
        ["gen-proto"] => gen_proto::write(),
        _ => bail!("usage: cargo xtask TASK\n{TASKS}"),
    }
}
