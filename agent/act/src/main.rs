//! `dialtone-actuator`: carries out approved plans on this node. Started by systemd; see its units.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use agent_act::places::Places;
use agent_act::{carry, guard, serve};
use common_plan::PlanId;

const USAGE: &str = "\
usage: dialtone-actuator serve      answer on the socket that is standard input
       dialtone-actuator guard ID   undo plan ID unless it is confirmed in time
       dialtone-actuator recover    undo what was not finished
options: --root DIR   another tree than /; serve then makes its own socket below it
";

enum Task {
    Serve,
    Guard(PlanId),
    Recover,
}

fn main() -> ExitCode {
    let Some((task, places)) = parse(std::env::args().skip(1)) else {
        io::stderr().write_all(USAGE.as_bytes()).ok();
        return ExitCode::from(2);
    };
    let done = match &task {
        Task::Serve if places.is_host() => serve::inherited().and_then(|listener| serve::serve(&places, &listener)),
        Task::Serve => serve::bound(&places).and_then(|listener| serve::serve(&places, &listener)),
        Task::Guard(id) => guard::run(&places, id),
        Task::Recover => carry::recover(&places),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "dialtone-actuator: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<(Task, Places)> {
    let task = match arguments.next()?.as_str() {
        "serve" => Task::Serve,
        "guard" => Task::Guard(arguments.next()?.parse().ok()?),
        "recover" => Task::Recover,
        _ => return None,
    };
    let mut root = PathBuf::from("/");
    while let Some(option) = arguments.next() {
        match option.as_str() {
            "--root" => root = arguments.next()?.into(),
            #[cfg(debug_assertions)]
            "--stop-at" => agent_act::faults::choose(arguments.next()?),
            _ => return None,
        }
    }
    Some((task, Places::below(root)))
}
