//! From an edit of the yml to its entry in the timeline.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::Value;
use system_tests::fleet::Fleet;
use system_tests::lab::{Engine, until};

use crate::RUNS;
use crate::node::Node;
use crate::samples::Samples;

/// Edits write the ports behind it.
const FIRST_PORT: usize = 9200;
const LIMIT: Duration = Duration::from_secs(60);

/// The table.
pub(crate) fn measure(fleet: &Fleet) -> Result<String> {
    let node = Node::boot(fleet, "bench-es", Engine::Elasticsearch)?;
    let mut seen = Vec::new();
    let mut asking = Vec::new();
    for round in 1..=RUNS {
        // A setting whose value is shown; what the agent does not know it hides. The engine is not restarted.
        let wanted = format!("+http.port: {}", FIRST_PORT + round);
        let edit = format!("{}http.port: {}\n", node.engine.healthy_yml(), FIRST_PORT + round);
        node.engine.set_yml(&node, &edit)?;
        let written = modified_ms(&node)?;
        until(&format!("{wanted} in the timeline"), LIMIT, || {
            let begun = Instant::now();
            let said = fleet.dialtone(&["timeline", node.name(), "--since", "1m", "-o", "json"])?.ok()?;
            asking.push(begun.elapsed().as_secs_f64() * 1000.0);
            let changes: Vec<Value> = serde_json::from_str(&said)?;
            let is_there =
                changes.iter().any(|change| change["diff"].as_str().is_some_and(|diff| diff.contains(&wanted)));
            Ok(is_there.then_some(()))
        })?;
        seen.push(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0 - written);
    }
    let (seen, asking) = (Samples::new(seen).context("no edits")?, Samples::new(asking).context("no edits")?);
    Ok(format!(
        "Milliseconds, min / **median** / max of {RUNS} edits, from the file's modification time to the end of the first \
         `dialtone timeline` that shows the line; it is asked again and again, every 40 ms, which is part of the time.\n\n\
         | | ms |\n|---|---|\n| edit to entry | {seen} |\n| one `dialtone timeline` | {asking} |"
    ))
}

/// The yml's modification time, milliseconds since 1970; hosts share the machine's clock.
fn modified_ms(node: &Node) -> Result<f64> {
    let stat = node.check(&["stat", "--format=%.6Y", &node.engine.yml_path()])?;
    Ok(stat.trim().parse::<f64>()? * 1000.0)
}
