//! What a unit of a host uses, as the kernel counts it.

use std::time::Instant;

use anyhow::{Context, Result};
use system_tests::lab::Host;

/// A service or slice of a host. Children count: what a program starts is its cost.
pub(crate) struct Service<'a> {
    host: &'a Host,
    /// Its control group, seen from the host.
    group: String,
}

/// What was used up to a moment.
pub(crate) struct Usage {
    pub(crate) at: Instant,
    /// Processor seconds of all its processes, those that have ended included.
    pub(crate) cpu: f64,
    pub(crate) traffic: Traffic,
}

/// What went over TCP connections to or from the controller's port, without the headers of IP and TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Traffic {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Packets of both directions.
    pub(crate) packets: u64,
}

/// Memory at one moment, MiB.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Memory {
    /// Resident set of the largest process.
    pub(crate) main: f64,
    /// The most that the largest process ever had resident.
    pub(crate) peak: f64,
    /// Proportional set of all processes together: pages that several share count once.
    pub(crate) all: f64,
    pub(crate) processes: usize,
}

impl<'a> Service<'a> {
    /// The unit of this name.
    pub(crate) fn new(host: &'a Host, unit: &str) -> Result<Self> {
        let group = host.check(&["systemctl", "show", unit, "--value", "--property", "ControlGroup"])?;
        Ok(Self { host, group: format!("/sys/fs/cgroup{}", group.trim()) })
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let stat = self.host.read(&format!("{}/cpu.stat", self.group))?;
        let micros: f64 = number(&stat, "usage_usec").context("no usage_usec in cpu.stat")?;
        let port = "( sport = :7443 or dport = :7443 )";
        let connections = self.host.check(&["ss", "-tinHO", "state", "established", port])?;
        Ok(Usage { at: Instant::now(), cpu: micros / 1e6, traffic: traffic(&connections) })
    }

    /// What it has in memory now.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let find = format!("find {} -name cgroup.procs -exec cat {{}} +", self.group);
        let mut memory = Memory::default();
        for pid in self.host.check(&["sh", "-c", &find])?.split_whitespace() {
            let read = |file: &str| self.host.read(&format!("/proc/{pid}/{file}"));
            // A process that has ended by now has no memory.
            let (Ok(status), Ok(rollup)) = (read("status"), read("smaps_rollup")) else { continue };
            let (resident, peak) = (mebibytes(&status, "VmRSS:"), mebibytes(&status, "VmHWM:"));
            if resident > memory.main {
                (memory.main, memory.peak) = (resident, peak);
            }
            memory.all += mebibytes(&rollup, "Pss:");
            memory.processes += 1;
        }
        Ok(memory)
    }
}

impl Usage {
    /// Share of one core since then, in percent.
    pub(crate) fn percent_since(&self, then: &Usage) -> f64 {
        100.0 * (self.cpu - then.cpu) / self.at.duration_since(then.at).as_secs_f64()
    }
}

impl Traffic {
    /// What went since then over connections that have stood all the time.
    pub(crate) fn since(self, then: Traffic) -> Traffic {
        Traffic {
            sent: self.sent.saturating_sub(then.sent),
            received: self.received.saturating_sub(then.received),
            packets: self.packets.saturating_sub(then.packets),
        }
    }
}

fn traffic(connections: &str) -> Traffic {
    connections.lines().fold(Traffic::default(), |sum, line| {
        let field = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)?.parse::<u64>().ok());
        Traffic {
            sent: sum.sent + field("bytes_sent:").unwrap_or(0),
            received: sum.received + field("bytes_received:").unwrap_or(0),
            packets: sum.packets + field("segs_out:").unwrap_or(0) + field("segs_in:").unwrap_or(0),
        }
    })
}

/// The number behind a word of a `/proc` file.
fn number(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

fn mebibytes(text: &str, name: &str) -> f64 {
    number(text, name).unwrap_or(0.0) / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_added_up() {
        let said = "0 0 10.77.0.11:7443 10.77.0.12:1 cubic rto:204 bytes_sent:10 bytes_acked:10 bytes_received:5 segs_out:3 segs_in:4 send 1bps\n\
                    0 0 10.77.0.11:7443 10.77.0.13:1 cubic bytes_sent:1 segs_out:1 segs_in:1\n";
        assert_eq!(traffic(said), Traffic { sent: 11, received: 5, packets: 9 });
    }

    #[test]
    fn figures_of_proc_have_a_name_and_a_unit() {
        assert_eq!(mebibytes("VmHWM:\t  9 kB\nVmRSS:\t    2048 kB\n", "VmRSS:"), 2.0);
        assert_eq!(number("usage_usec 12\nuser_usec 3\n", "usage_usec"), Some(12.0));
    }
}
