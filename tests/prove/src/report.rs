//! What came of it, for people.

use std::fmt::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::invariants::Invariant;
use crate::run::{Run, Seen};

/// What came of one invariant.
#[derive(Debug)]
pub struct Report {
    /// `I1`.
    pub id: &'static str,
    /// What is promised.
    pub promise: &'static str,
    /// All randomness came from it.
    pub seed: u64,
    /// How often it was tried, and how often a release asks for.
    pub trials: (u64, u64),
    /// Numbers of the trials that failed, and why.
    pub failures: Vec<(u64, String)>,
    /// How long it took.
    pub took: Duration,
    seen: Seen,
}

impl Report {
    /// Tries an invariant.
    pub fn of(invariant: &Invariant, run: &Run) -> Self {
        let begun = Instant::now();
        (invariant.prove)(run);
        let seen = run.seen();
        Self {
            id: invariant.id,
            promise: invariant.promise,
            seed: run.seed,
            trials: (seen.made, invariant.trials),
            failures: seen.failures.clone(),
            took: begun.elapsed(),
            seen,
        }
    }

    /// What was seen beside failures, and the first failures.
    pub fn details(&self) -> String {
        let mut text = format!("{}  {}\n", self.id, self.promise);
        for (sort, count) in &self.seen.counts {
            writeln!(text, "      {count:>6}  {sort}").unwrap();
        }
        for (what, values) in &self.seen.samples {
            let mut values = values.clone();
            values.sort_unstable();
            let at = |part: usize| values[(values.len() - 1) * part / 100];
            let count = values.len();
            writeln!(text, "      {what}: half {}, 99 in 100 {}, most {} (of {count})", at(50), at(99), at(100))
                .unwrap();
        }
        for (number, why) in self.failures.iter().take(5) {
            writeln!(text, "      trial {number} FAILED: {}", why.escape_debug()).unwrap();
            writeln!(text, "      again: make prove ONLY={} SEED={} TRIAL={number}", self.id, self.seed).unwrap();
        }
        text
    }
}

/// The table of a run.
pub fn table(reports: &[Report]) -> String {
    let mut text =
        String::from("| invariant | commit | seed | trials | of | failures | time |\n|---|---|---|---|---|---|---|\n");
    let commit = commit();
    for Report { id, seed, trials: (made, wanted), failures, took, .. } in reports {
        let (failed, seconds) = (failures.len(), took.as_secs_f64());
        writeln!(text, "| {id} | {commit} | {seed} | {made} | {wanted} | {failed} | {seconds:.0} s |").unwrap();
    }
    text
}

/// The tree that is tried, if it is one of git.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|status| !status.is_empty());
    format!("{commit}{}", if changed { "+changes" } else { "" })
}
