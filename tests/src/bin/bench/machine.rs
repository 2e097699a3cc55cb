//! What the figures were taken on, and what else it was doing.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};

/// USER_HZ, the unit of `/proc/stat` and `/proc/PID/stat` on the architectures the lab runs on (proc_stat(5)).
pub(crate) const TICKS_PER_SECOND: f64 = 100.0;

/// One paragraph about the machine and the tree.
pub(crate) fn description() -> Result<String> {
    let cores = thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let model = fs::read_to_string("/proc/cpuinfo")?;
    let model = model.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown processor");
    let commit = Command::new("git").args(["describe", "--always", "--dirty"]).output()?.stdout;
    let commit = String::from_utf8_lossy(&commit);
    let build = if cfg!(debug_assertions) { "dev" } else { "release" };
    Ok(format!("{cores} cores ({model}), Linux {}, {build} build of {}.", kernel.trim(), commit.trim()))
}

/// The processors at one moment.
pub(crate) struct Machine {
    at: Instant,
    busy: f64,
    load: String,
}

impl Machine {
    /// Reads it.
    pub(crate) fn now() -> Result<Self> {
        let load = fs::read_to_string("/proc/loadavg")?;
        let load = load.split(' ').next().unwrap_or_default().to_owned();
        Ok(Self { at: Instant::now(), busy: busy_seconds(&fs::read_to_string("/proc/stat")?)?, load })
    }

    /// One sentence about the time since then.
    pub(crate) fn since(&self) -> Result<String> {
        let now = Self::now()?;
        let seconds = now.at.duration_since(self.at).as_secs_f64();
        let cores = (now.busy - self.busy) / seconds;
        Ok(format!(
            "Took {seconds:.0} s, the lab's own work included; {cores:.2} cores were busy on average. \
             Load average {} before, {} after.",
            self.load, now.load
        ))
    }
}

/// Seconds that all processors together have worked: everything but idle and waiting for the disk.
fn busy_seconds(stat: &str) -> Result<f64> {
    let all = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("no cpu line in /proc/stat")?;
    // user, nice, system, idle, iowait, irq, softirq, steal; the guests' time is part of the first two.
    let ticks: Vec<f64> = all.split_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    Ok((ticks.iter().sum::<f64>() - idle) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_are_not_work() {
        let stat = "cpu  100 200 300 9000 8000 10 20 70 500 0\ncpu0 1 1 1 1\n";
        assert_eq!(busy_seconds(stat).unwrap(), 7.0);
        assert!(busy_seconds("intr 1\n").is_err());
    }
}
