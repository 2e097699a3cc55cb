//! A store with several hundred nodes: what one real node sent, under other names and addresses. Their agents are offline.

use std::fs::File;
use std::io::{BufWriter, Write, stderr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use system_tests::fleet::Fleet;
use system_tests::lab::{Engine, until};
use tempfile::TempDir;

use crate::idle::store_bytes;
use crate::node::Node;
use crate::service::Service;
use crate::{RUNS, stopwatch};

/// Nodes in addition to the real one.
const SIMULATED: usize = 300;
/// As long as the names given to the others: what is inside evidence can then be replaced in place.
const NAME: &str = "node-000";
/// Times that somebody uses sudo on the real node before it is copied; each is three lines of the journal.
const HISTORY: usize = 100;
/// For the last of these lines to have been sent.
const SETTLE: Duration = Duration::from_secs(10);
const EXPORT: &str = "/tmp/export.jsonl";

/// The table.
pub(crate) fn measure(fleet: &Fleet) -> Result<String> {
    let node = Node::boot(fleet, NAME, Engine::Elasticsearch)?;
    let history = format!("for n in $(seq {HISTORY}); do sudo -u nobody true; done");
    node.check(&["sh", "-c", &history])?;
    thread::sleep(SETTLE);
    let alone = row(fleet, &node, 1)?;
    let controller = &fleet.controller;
    controller.check(&["systemctl", "stop", "dialtone-controller"])?;
    controller.check(&["dialtone-controller", "store", "export", EXPORT])?;
    let directory = TempDir::new()?;
    let import = directory.path().join("import.jsonl");
    let records = multiply(&controller.read(EXPORT)?, &node.ip().to_string(), &import)?;
    controller.copy_in(&import, "/var/cache/import.jsonl")?;
    let begun = Instant::now();
    import_all(fleet)?;
    let imported = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    controller.check(&["systemctl", "start", "dialtone-controller"])?;
    let started = begun.elapsed().as_secs_f64();
    until("the agent's return", Duration::from_secs(60), || {
        let node = fleet.dialtone(&["node", NAME, "-o", "json"])?;
        let node: Value = serde_json::from_str(&node.stdout).unwrap_or_default();
        Ok((node["online"] == true).then_some(()))
    })?;
    let crowded = row(fleet, &node, SIMULATED + 1)?;
    let memory = Service::new(controller, "dialtone-controller")?.memory()?;
    Ok(format!(
        "Milliseconds, min / **median** / max of {RUNS}, from the start of the command to its end.\n\n\
         | nodes known | `dialtone nodes` | `dialtone diagnose` of one that answers | `dialtone timeline` |\n\
         |---|---|---|---|\n{alone}\n{crowded}\n\n\
         The simulated nodes are the real one's {records} records under other names and addresses, their agents offline. They were \
         imported in {imported:.0} s; the store then takes {} MiB, the controller started in {started:.2} s and has {:.0} MiB \
         resident after these questions.",
        store_bytes(controller)? / 1_048_576,
        memory.main,
    ))
}

/// `dialtone-controller store import` with as much time as it takes.
fn import_all(fleet: &Fleet) -> Result<()> {
    let import = ["store", "import", "/var/cache/import.jsonl"];
    let status = fleet.controller.command("dialtone-controller")?.args(import).stdout(stderr()).status()?;
    anyhow::ensure!(status.success(), "import: {status}");
    Ok(())
}

fn row(fleet: &Fleet, node: &Node, count: usize) -> Result<String> {
    let program = fleet.program().to_string_lossy().into_owned();
    let nodes = stopwatch::time(fleet, RUNS, &[0], &[&program, "nodes", "-o", "json"])?;
    for said in &nodes.printed {
        let listed: Vec<Value> = serde_json::from_str(said)?;
        anyhow::ensure!(listed.len() == count, "{} nodes are listed, not {count}", listed.len());
    }
    let diagnoses = node.time_diagnoses(fleet, "healthy")?;
    let timeline = stopwatch::time(fleet, RUNS, &[0], &[&program, "timeline", "-o", "json"])?;
    writeln!(stderr(), "   {count} nodes: {}", nodes.millis)?;
    Ok(format!("| {count} | {} | {} | {} |", nodes.millis, diagnoses.millis, timeline.millis))
}

/// Writes the records of the real node once more for every simulated one, in the order of an export; gives their number.
fn multiply(export: &str, address: &str, to: &Path) -> Result<usize> {
    let mut records: Vec<(String, Vec<u8>)> = Vec::new();
    for line in export.lines() {
        let row: Value = serde_json::from_str(line)?;
        if row["partition"] == format!("node:{NAME}") {
            records.push((serde_json::from_value(row["key"].clone())?, serde_json::from_value(row["value"].clone())?));
        }
    }
    let mut out = BufWriter::new(File::create(to)?);
    for number in 1..=SIMULATED {
        let name = format!("node-{number:03}");
        for (key, value) in &records {
            let value = replaced(value.clone(), NAME, &name)?;
            let value = replaced(value, address, &simulated_address(number))?;
            let row = json!({ "partition": format!("node:{name}"), "key": key, "value": value });
            serde_json::to_writer(&mut out, &row)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    Ok(records.len())
}

/// An address as long as `10.77.0.NN`, another one for each number up to 899.
fn simulated_address(number: usize) -> String {
    format!("10.80.{}.{}", number / 90, 10 + number % 90)
}

/// The bytes with every occurrence of a text replaced by one of the same length: lengths inside stay right.
fn replaced(mut bytes: Vec<u8>, from: &str, to: &str) -> Result<Vec<u8>> {
    (from.len() == to.len()).then_some(()).with_context(|| format!("{from} and {to} differ in length"))?;
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(from.len()).position(|window| window == from.as_bytes()) {
        at += found;
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        at += from.len();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_replaced_in_place() {
        assert_eq!(replaced(b"\x08node-000,node-000".to_vec(), NAME, "node-012").unwrap(), b"\x08node-012,node-012");
        assert!(replaced(vec![], "a", "bb").is_err());
    }

    #[test]
    fn simulated_addresses_are_as_long_as_a_real_one_and_differ() {
        let addresses: std::collections::BTreeSet<String> = (1..=SIMULATED).map(simulated_address).collect();
        assert_eq!(addresses.len(), SIMULATED);
        assert!(addresses.iter().all(|address| address.len() == "10.77.0.11".len()));
    }
}
