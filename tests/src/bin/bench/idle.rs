//! What an agent and its controller use while nothing happens, and what a restart of the engine and an edit send.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use system_tests::fleet::Fleet;
use system_tests::lab::{Engine, Host, until};

use crate::RUNS;
use crate::node::Node;
use crate::service::{Memory, Service, Traffic, Usage};

/// What the engine writes about its start has been read and sent by then.
const SETTLE: Duration = Duration::from_secs(30);
/// How long nothing happens.
const WINDOW: Duration = Duration::from_secs(120);
/// For what one event caused to be sent.
const AFTER: Duration = Duration::from_secs(5);
/// Lines written to the engine's log, one a second.
const LINES: usize = 120;
const DAY: f64 = 86_400.0;

/// The tables.
pub(crate) fn measure(fleet: &Fleet) -> Result<String> {
    let node = Node::boot(fleet, "bench-es", Engine::Elasticsearch)?;
    let agent = Service::new(&node, "dialtone-agent")?;
    let controller = Service::new(&fleet.controller, "dialtone-controller")?;
    thread::sleep(SETTLE);
    let begun = (agent.usage()?, controller.usage()?);
    thread::sleep(WINDOW);
    let ended = (agent.usage()?, controller.usage()?);
    let idle = table(&[
        ("agent", agent.memory()?, &begun.0, &ended.0),
        ("controller, one agent", controller.memory()?, &begun.1, &ended.1),
    ]);
    let sent = ended.0.traffic.since(begun.0.traffic);

    let before = (agent.usage()?.traffic, store_bytes(&fleet.controller)?);
    for _ in 0..RUNS {
        node.check(&["systemctl", "restart", node.engine.name()])?;
        node.engine.wait_http(&node, 9200, system_tests::lab::engine::Scheme::Http)?;
        thread::sleep(AFTER);
    }
    let restarted = (agent.usage()?.traffic, store_bytes(&fleet.controller)?);
    for round in 0..RUNS {
        node.engine.set_yml(&node, &format!("{}http.port: {}\n", node.engine.healthy_yml(), 9201 + round))?;
        thread::sleep(AFTER);
    }
    let edited = (agent.usage()?.traffic, store_bytes(&fleet.controller)?);
    for _ in 0..RUNS {
        node.check(&["sudo", "-u", "nobody", "true"])?;
    }
    thread::sleep(AFTER);
    let used_sudo = (agent.usage()?.traffic, store_bytes(&fleet.controller)?);
    log_lines(&node)?;
    let logged = agent.usage()?.traffic.since(used_sudo.0);
    Ok(format!(
        "{} s in which nothing happened, {} s after the engine's start.\n\n{idle}\n\n{}\n\n\
         What events cause, mean of {RUNS}. Of the store's growth part is taken back when sled writes over what was \
         replaced.\n\n| | agent sends | receives | the store grows by |\n|---|---|---|---|\n{}\n{}\n{}\n\n\
         While the engine wrote a line a second to its log for {LINES} s, the agent sent {} KiB.",
        WINDOW.as_secs(),
        SETTLE.as_secs(),
        per_day(sent),
        event("restart of the engine", before, restarted),
        event("edit of the yml", restarted, edited),
        event("use of sudo, three lines of the journal", edited, used_sudo),
        logged.sent / 1024,
    ))
}

/// Writes to the engine's log as the engine does, a line a second.
fn log_lines(node: &Node) -> Result<()> {
    let line = "[2026-01-01T00:00:00,000][INFO ][o.e.c.m.MetadataCreateIndexService] [node-1] [index] creating index";
    let path = node.engine.log_path("lab");
    let write = format!("for n in $(seq {LINES}); do echo '{line}' >> {path}; sleep 1; done");
    node.check(&["sh", "-c", &write])?;
    Ok(())
}

fn table(rows: &[(&str, Memory, &Usage, &Usage)]) -> String {
    let head = "| | resident, MiB | at most | with its children (proportional) | processes | % of a core |\n\
                |---|---|---|---|---|---|";
    let rows = rows.iter().map(|(name, memory, begun, ended)| {
        let Memory { main, peak, all, processes } = memory;
        format!("\n| {name} | {main:.1} | {peak:.1} | {all:.1} | {processes} | {:.2} |", ended.percent_since(begun))
    });
    rows.fold(head.to_owned(), |table, row| table + &row)
}

#[expect(clippy::cast_precision_loss, reason = "no figure here is near 2^52")]
fn per_day(Traffic { sent, received, packets }: Traffic) -> String {
    let days = WINDOW.as_secs_f64() / DAY;
    let mib = |bytes: u64| bytes as f64 / days / 1048576.0;
    format!(
        "The agent sent {sent} bytes and received {received} in {packets} packets: {:.1} MiB and {:.1} MiB a day, without \
         the headers of TCP and IP.",
        mib(sent),
        mib(received)
    )
}

#[expect(clippy::cast_precision_loss, reason = "no figure here is near 2^52")]
fn event(name: &str, before: (Traffic, u64), after: (Traffic, u64)) -> String {
    let kib = |bytes: u64| bytes as f64 / RUNS as f64 / 1024.0;
    let traffic = after.0.since(before.0);
    let grown = after.1.saturating_sub(before.1);
    format!("| {name} | {:.1} KiB | {:.1} KiB | {:.1} KiB |", kib(traffic.sent), kib(traffic.received), kib(grown))
}

/// Bytes that the controller's store takes on its disk. A file may go while they are added up; then it is done again.
pub(crate) fn store_bytes(controller: &Host) -> Result<u64> {
    until("the size of the store", Duration::from_secs(10), || {
        let said = controller.run(&["du", "--summarize", "--block-size=1", "/var/lib/dialtone-controller/store"])?;
        Ok(if said.success() { said.stdout.split('\t').next().and_then(|bytes| bytes.parse().ok()) } else { None })
    })
}
