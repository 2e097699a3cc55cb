//! Times programs where clients stand. It runs inside the namespace, so that entering it is not part of the time.

use std::io::{Write, stdout};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use system_tests::fleet::Fleet;
use system_tests::lab::{client, output};

use crate::samples::Samples;

/// The first argument that makes this program the stopwatch.
pub(crate) const WORD: &str = "stopwatch";

/// What runs of a program gave.
pub(crate) struct Timed {
    /// Milliseconds from starting the program to its end, its output read.
    pub(crate) millis: Samples,
    /// What each run printed.
    pub(crate) printed: Vec<String>,
}

/// Runs a program again and again outside the hosts, with the operator's home directory.
///
/// # Errors
/// When it cannot be started, or ends with another exit status than these.
pub(crate) fn time(fleet: &Fleet, runs: usize, statuses: &[i32], program: &[&str]) -> Result<Timed> {
    let mut command = client()?.command(std::env::current_exe()?.to_str().context("an unreadable path")?);
    command.args([WORD, &runs.to_string()]).args(program).env("HOME", fleet.home()).env_remove("XDG_CONFIG_HOME");
    let said = output(&mut command)?.ok()?;
    let runs: Vec<Value> = serde_json::from_str(&said)?;
    let mut millis = Vec::new();
    let mut printed = Vec::new();
    for run in runs {
        let (code, text) = (run["code"].as_i64(), run["printed"].as_str().unwrap_or_default());
        let expected = code.is_some_and(|code| statuses.iter().any(|status| i64::from(*status) == code));
        ensure!(expected, "{program:?} ended with {code:?}: {text}");
        millis.push(run["millis"].as_f64().context("no time")?);
        printed.push(text.to_owned());
    }
    Ok(Timed { millis: Samples::new(millis).context("no runs")?, printed })
}

/// `stopwatch RUNS PROGRAM ARGUMENT…`: prints one JSON object for each run, in an array.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let [runs, program, arguments @ ..] = arguments else { bail!("usage: stopwatch RUNS PROGRAM ARGUMENT…") };
    let mut results = Vec::new();
    for _ in 0..runs.parse::<usize>()? {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let ended = command.output()?;
        let millis = begun.elapsed().as_secs_f64() * 1000.0;
        let printed = String::from_utf8_lossy(&ended.stdout);
        results.push(json!({ "millis": millis, "code": ended.status.code(), "printed": printed }));
    }
    writeln!(stdout(), "{}", Value::from(results))?;
    Ok(())
}
