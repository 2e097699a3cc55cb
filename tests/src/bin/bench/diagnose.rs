//! Time to the verdict, warm, and time to look the same up by hand.

use std::fmt::Write as _;
use std::io::{Write as _, stderr};

use anyhow::{Context, Result};
use serde_json::Value;
use system_tests::fleet::Fleet;
use system_tests::lab::Engine;

use crate::RUNS;
use crate::by_hand::Key;
use crate::fault::Fault;
use crate::node::Node;
use crate::samples::Samples;
use crate::stopwatch::Timed;

/// The table of causes.
pub(crate) fn measure(fleet: &Fleet) -> Result<String> {
    let key = Key::new()?;
    let nodes =
        [Node::boot(fleet, "bench-es", Engine::Elasticsearch)?, Node::boot(fleet, "bench-os", Engine::OpenSearch)?];
    for node in &nodes {
        key.admit(node)?;
    }
    let mut table = format!(
        "Milliseconds, min / **median** / max of {RUNS}. `dialtone diagnose` is from the start of the command to its end, \
         with the agent asked to read everything again each time; the controller's share of it is in the next column. By \
         hand is only what the commands of the runbook take, typed by nobody and read by nobody.\n\n\
         | cause | `dialtone diagnose` | of it the controller | by hand, one ssh for each command | by hand, one ssh |\n\
         |---|---|---|---|---|\n"
    );
    for fault in Fault::ALL {
        let node = nodes.iter().find(|node| node.engine == fault.engine()).context("no node of that engine")?;
        let broken = fault.inflict(node)?;
        node.diagnosed(fleet, fault.cause())?;
        let timed = node.time_diagnoses(fleet, fault.cause())?;
        let by_hand = key.time_runbook(fleet, node)?;
        let (title, controller) = (fault.title(), elapsed(&timed)?);
        writeln!(stderr(), "   {title}: {}", timed.millis)?;
        writeln!(table, "| {title} | {} | {controller} | {} | {} |", timed.millis, by_hand.apart, by_hand.together)?;
        fault.mend(node, broken)?;
        node.diagnosed(fleet, "healthy")?;
    }
    let [elasticsearch, _] = &nodes;
    let timed = elasticsearch.time_diagnoses(fleet, "healthy")?;
    let by_hand = key.time_runbook(fleet, elasticsearch)?;
    let controller = elapsed(&timed)?;
    write!(table, "| `healthy` | {} | {controller} | {} | {} |", timed.millis, by_hand.apart, by_hand.together)?;
    Ok(table)
}

/// What the controller says each diagnosis took.
fn elapsed(timed: &Timed) -> Result<Samples> {
    let mut millis = Vec::new();
    for said in &timed.printed {
        let json: Value = serde_json::from_str(said)?;
        millis.push(json["elapsed_ms"].as_f64().context("no elapsed_ms")?);
    }
    Samples::new(millis).context("no runs")
}
