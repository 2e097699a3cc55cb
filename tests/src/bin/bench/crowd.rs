//! A hundred running agents on one host without an engine, and their return when the controller restarts.

use std::io::{Write, stderr};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use system_tests::fleet::Fleet;
use system_tests::lab::{Host, until};
use system_tests::packages;

use crate::idle::store_bytes;
use crate::samples::Samples;
use crate::service::Service;

/// Agents; each takes one of the host's 128 inotify instances a user may have.
const AGENTS: usize = 100;
const SETTLE: Duration = Duration::from_secs(30);
const WINDOW: Duration = Duration::from_secs(120);
const LIMIT: Duration = Duration::from_secs(120);
const DAY: f64 = 86_400.0;

/// As the packaged unit, but with a configuration and state of its own for each.
const UNIT: &str = "[Service]\n\
    Type=notify\n\
    ExecStart=/usr/bin/dialtone-agent --config /etc/dialtone/crowd-%i.yaml run\n\
    User=dialtone-agent\n\
    SupplementaryGroups=systemd-journal\n\
    AmbientCapabilities=CAP_DAC_READ_SEARCH CAP_SYS_PTRACE CAP_NET_ADMIN CAP_NET_RAW\n\
    Slice=crowd.slice\n";

/// The table.
pub(crate) fn measure(fleet: &Fleet) -> Result<String> {
    let controller = Service::new(&fleet.controller, "dialtone-controller")?;
    let empty = controller.memory()?;
    let host = Host::boot("crowd")?;
    gather(fleet, &host)?;
    let since_start = arrivals(fleet, 0.0)?;
    writeln!(stderr(), "   {} agents are connected", since_start.len())?;
    thread::sleep(SETTLE);
    let agents = Service::new(&host, "crowd.slice")?;
    let (before, store) = ((controller.usage()?, agents.usage()?), store_bytes(&fleet.controller)?);
    thread::sleep(WINDOW);
    let (after, grown) = ((controller.usage()?, agents.usage()?), store_bytes(&fleet.controller)?);
    let (full, traffic) = (controller.memory()?, after.0.traffic.since(before.0.traffic));

    let restarted = epoch_seconds(&fleet.controller)?;
    fleet.controller.check(&["systemctl", "restart", "dialtone-controller"])?;
    let back = arrivals(fleet, restarted)?;
    let again = Service::new(&fleet.controller, "dialtone-controller")?;
    let (restart_cpu, anew) = (again.usage()?.cpu, again.memory()?);
    let back = Samples::new(back.iter().map(|seconds| seconds * 1000.0).collect()).context("nobody came back")?;
    let per = |figure: f64| figure / count();
    let per_day = |bytes: u64| {
        #[expect(clippy::cast_precision_loss, reason = "no figure here is near 2^52")]
        let bytes = bytes as f64;
        per(bytes) * DAY / WINDOW.as_secs_f64() / 1_048_576.0
    };
    let rows = [
        ("controller, resident before, MiB", format!("{:.1}", empty.main)),
        ("with them, their first evidence just taken in, MiB", format!("{:.1}", full.main)),
        ("after a restart, all back, MiB", format!("{:.1}", anew.main)),
        ("that is, each, KiB", format!("{:.0}", per(anew.main - empty.main) * 1024.0)),
        ("controller, % of a core", format!("{:.2}", after.0.percent_since(&before.0))),
        ("one agent without an engine, % of a core", format!("{:.3}", per(after.1.percent_since(&before.1)))),
        ("received from one agent, MiB a day", format!("{:.2}", per_day(traffic.received))),
        ("sent to one agent, MiB a day", format!("{:.2}", per_day(traffic.sent))),
        ("the store, before and after, KiB", format!("{}, {}", store / 1024, grown / 1024)),
        ("back after a restart of the controller, ms, min / median / max", back.to_string()),
        ("processor time until all were back, of the controller, ms each", format!("{:.1}", per(restart_cpu) * 1000.0)),
    ];
    let rows: Vec<String> = rows.iter().map(|(what, figure)| format!("| {what} | {figure} |")).collect();
    Ok(format!(
        "{AGENTS} agents without an engine, {} s in which nothing happened.\n\n| | |\n|---|---|\n{}",
        WINDOW.as_secs(),
        rows.join("\n")
    ))
}

/// Joins them one after the other and starts them all.
fn gather(fleet: &Fleet, host: &Host) -> Result<()> {
    host.install_deb(&packages::deb("dialtone-agent")?)?;
    host.write("/etc/systemd/system/crowd@.service", UNIT)?;
    host.check(&["systemctl", "daemon-reload"])?;
    for number in 1..=AGENTS {
        let (state, config) =
            (format!("/var/lib/dialtone-agent/{number}"), format!("/etc/dialtone/crowd-{number}.yaml"));
        host.check(&["install", "-d", "-m", "700", "-o", "dialtone-agent", "-g", "dialtone-agent", &state])?;
        host.write(&config, format!("controller: {}\nstate_dir: {state}\n", fleet.address()))?;
        let name = format!("crowd-{number}");
        let token = fleet.join_token(&name)?;
        let join = ["dialtone-agent", "--config", &config, "join", &fleet.address(), "--name", &name];
        host.check(&[&join[..], &["--token", &token, "--ca-pin", fleet.pin()]].concat())?;
    }
    let all = format!("systemctl start $(seq --format=crowd@%g {AGENTS})");
    host.check(&["sh", "-c", &all])?;
    Ok(())
}

/// Waits until every agent has connected since this moment; seconds that each took, as the controller's journal says.
fn arrivals(fleet: &Fleet, since: f64) -> Result<Vec<f64>> {
    let from = format!("--since=@{since:.6}");
    let journal = ["journalctl", "--no-pager", "-u", "dialtone-controller", "-o", "short-unix", &from];
    until("every agent", LIMIT, || {
        let said = fleet.controller.check(&journal)?;
        let connected = said.lines().filter(|line| line.contains("an agent connected"));
        let times: Vec<f64> =
            connected.filter_map(|line| Some(line.split(' ').next()?.parse::<f64>().ok()? - since)).collect();
        Ok((times.len() >= AGENTS).then_some(times))
    })
}

fn epoch_seconds(host: &Host) -> Result<f64> {
    Ok(host.check(&["date", "+%s.%N"])?.trim().parse()?)
}

fn count() -> f64 {
    f64::from(u16::try_from(AGENTS).unwrap_or(u16::MAX))
}
