//! ⑤ The engine refuses to start because a bootstrap check failed.
//!
//! Its own words decide: in the journal for most versions, only in its log from Elasticsearch 8.7 on. The exit status 78 alone
//! does not, since broken JVM options end with it as well.

mod roots;
#[cfg(test)]
mod tests;

use common_evidence::bootstrap::{BootstrapFailure, FailedCheck, last_failure};
use common_evidence::settings::Loopback;
use common_model::change::Topic;
use common_model::diagnosis::Citation;
use common_model::{Certainty, Change, Stage};
use controller_correlate::EngineView;
use controller_correlate::engine_view::TRANSPORT_ADDRESS;
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Cause, Finding};
use crate::start::{self, Start, Told};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "bootstrap-check",
    title: "A bootstrap check keeps the engine from starting",
    stage: Some(Stage::Listen),
    needs: &["engines", "journal", "engine-log"],
    refuted_by: "a later start that came up, or another message at the end of the last one",
    rule,
};

/// Exit status of a failed bootstrap check in every version; of broken JVM options too.
const EXIT_CONFIG: i32 = 78;

fn rule(case: &Case<'_>) -> Finding {
    let start = match Start::failed(case) {
        Ok(start) => start,
        Err(finding) => return finding,
    };
    match found(&start) {
        Some((failure, cites)) if !failure.checks.is_empty() => supported(case, &start, &failure, cites),
        _ if start.exit().is_some() && !start.exited(EXIT_CONFIG) => {
            let cites = start.engine.unit.known().map(|unit| cite::unit(&start.engine.node, unit)).unwrap_or_default();
            Finding::ruled_out("its last start ended otherwise: failed checks end with exit status 78", cites)
        }
        _ if start.exited(EXIT_CONFIG) && start.log().is_none() => {
            let file = start.engine.engine.log_file.as_deref().unwrap_or("/var/log/elasticsearch/*.log");
            Finding::unknown(
                format!("what {}'s log says of its last start", start.engine.title()),
                format!("on {}: sudo tail -n 200 {file}", start.engine.node),
            )
        }
        _ => Finding::ruled_out("no failed bootstrap check in the journal or log of its last start", Vec::new()),
    }
}

/// The failed checks of this start, and where they stand.
fn found(start: &Start<'_>) -> Option<(BootstrapFailure, Vec<Citation>)> {
    let lines = start.lines();
    if let Some(failure) = last_failure(lines.iter().flat_map(|line| line.value.message.lines())) {
        let says = |message: &str| failure.checks.iter().any(|check| message.contains(&check.message));
        let telling = lines.iter().filter(|line| says(&line.value.message));
        let cites = telling.flat_map(|line| cite::journal(&start.engine.node, line)).collect();
        return Some((failure, cites));
    }
    let log = start.log()?;
    let failure = last_failure(log.entries.iter().map(|entry| entry.message.as_str()))?;
    let messages: Vec<&str> = failure.checks.iter().map(|check| check.message.as_str()).collect();
    let cites = start::quote_log(start.engine, log.cited, &messages.join("\n"));
    Some((failure, cites))
}

fn supported(case: &Case<'_>, start: &Start<'_>, failure: &BootstrapFailure, cites: Vec<Citation>) -> Finding {
    let engine = start.engine;
    let phrases: Vec<String> = failure.checks.iter().map(phrase).collect();
    let list = phrases.join("; ");
    let count = match failure.checks.len() {
        1 => "a bootstrap check failed".to_owned(),
        many => format!("{many} bootstrap checks failed"),
    };
    start.because(
        case,
        Told {
            cause: CAUSE.id,
            certainty: Certainty::Certain,
            sentence: format!("{} on {} does not start because {count}: {list}.", engine.title(), engine.node),
            fact: format!("{count}: {list}"),
            cites,
            roots: failure.checks.iter().flat_map(|check| roots::steps(case, engine, check)).collect(),
            detail: json!({ "checks": failure.checks }),
            change: case.newest_change(|change| explains(change, engine, &failure.checks)),
        },
    )
}

/// A failed check in a few words with its values.
fn phrase(check: &FailedCheck) -> String {
    let (actual, required) = (check.actual.as_deref(), check.required.as_deref());
    let less = |what: &str| match (actual, required) {
        (Some(actual), Some(required)) => {
            Some(format!("{what} is {}, at least {} is required", cite::shown(actual), cite::shown(required)))
        }
        _ => None,
    };
    let known = match check.check.as_str() {
        "max-map-count" => less("vm.max_map_count"),
        "file-descriptors" => less("the limit of open files"),
        "max-threads" => less("the limit of threads"),
        "memory-lock" => Some("bootstrap.memory_lock is true and the memory could not be locked".to_owned()),
        "discovery-configured" => {
            Some("the bind address is not loopback and no discovery setting is configured".to_owned())
        }
        "serial-gc" => Some("the JVM uses the serial collector".to_owned()),
        "heap-size" => match (actual, required) {
            (Some(initial), Some(most)) => Some(format!(
                "the initial heap ({}) differs from the maximum heap ({})",
                cite::shown(initial),
                cite::shown(most)
            )),
            _ => None,
        },
        _ => None,
    };
    known.unwrap_or_else(|| cite::shown(&check.message))
}

/// What made a check fail, or made it count: a value that was lowered, a file that no longer persists it, a boot that lost it, a
/// limit, or the setting that took the engine into production mode.
fn explains(change: &Change, engine: &EngineView, checks: &[FailedCheck]) -> bool {
    start::before_last_start(change, engine)
        && (checks.iter().any(|check| roots::explains(change, engine, check)) || enforces(change, engine))
}

fn enforces(change: &Change, engine: &EngineView) -> bool {
    if change.topic != Topic::Config || change.subject != engine.engine.config_file() {
        return false;
    }
    change.items.iter().any(|item| {
        let opens = |value: &str| value.split(", ").any(|part| Loopback::of(part) != Loopback::Yes);
        let open = |value: &Option<String>| value.as_deref().is_some_and(opens);
        let opened = TRANSPORT_ADDRESS.contains(&item.key.as_str()) && open(&item.new) && !open(&item.old);
        let no_longer_single = item.key == "discovery.type" && item.old.as_deref() == Some("single-node");
        opened || no_longer_single
    })
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, STARTED};

    use crate::start::pictures::{FAILED_AT, refused};

    pub(crate) const MAP_COUNT: &str =
        "max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]";

    pub(crate) fn failing(messages: &[&str]) -> Node {
        let mut node = Node::new()
            .yml("network.host: 0.0.0.0\ndiscovery.seed_hosts: []\n", STARTED.plus_millis(-60_000))
            .sysctl("vm.max_map_count", "65530")
            .sysctl_files(&[])
            .starting(FAILED_AT.plus_millis(-6000));
        let total = messages.len();
        let header = format!(
            "ERROR: [{total}] bootstrap checks failed. You must address the points described in the following [{total}] lines before starting Elasticsearch."
        );
        node = node.stderr(FAILED_AT.plus_millis(-100), &header);
        for (index, message) in messages.iter().enumerate() {
            node = node.stderr(
                FAILED_AT.plus_millis(-90),
                &format!("bootstrap check failure [{}] of [{total}]: {message}", index + 1),
            );
        }
        node.failed(FAILED_AT, 78)
    }

    pub(crate) fn fires() -> Picture {
        refused(failing(&[MAP_COUNT]))
    }
}
