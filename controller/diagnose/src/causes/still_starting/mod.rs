//! The engine is starting and does not answer yet. It opens its HTTP port last: after the checks, and up to 30 s after it began to
//! look for a master.

use common_model::time::span;
use common_model::{Certainty, Stage, Timestamp};
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support};
use crate::start;

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "still-starting",
    title: "The engine is still starting",
    stage: Some(Stage::Listen),
    needs: &["engines", "processes", "sockets"],
    refuted_by: "an HTTP socket of the engine, or a start that took longer than any start does",
    rule,
};

/// Without a word of systemd's, a process this young may still be starting.
const YOUNG_MS: i64 = 120_000;

fn rule(case: &Case<'_>) -> Finding {
    if let Some(finding) = case.accepted() {
        return finding;
    }
    let engine = match start::running(case) {
        Ok(engine) => engine,
        Err(finding) => return finding,
    };
    let listeners = match case.http_listeners(engine) {
        Ok(listeners) => listeners,
        Err(missing) => return Finding::Unknown(missing),
    };
    let sockets = |listeners: &[_]| {
        engine
            .sockets
            .known()
            .map(|cited| cite::listeners(&engine.node, cited, listeners, case.picture.endpoint.port))
            .unwrap_or_default()
    };
    if let Some(open) = listeners.first() {
        return Finding::ruled_out(
            format!("{} already listens on {}", engine.title(), open.shown()),
            sockets(&listeners),
        );
    }
    let Some(started) = engine.started_at() else {
        return Finding::unknown(
            format!("when {} was started", engine.title()),
            format!("on {}: systemctl status {}", engine.node, engine.engine.name),
        );
    };
    if engine.running_processes().iter().any(|process| process.state == "T") {
        return Finding::ruled_out("its process is stopped by a signal", Vec::new());
    }
    let age = case.node_now().millis_since(started);
    let says = engine.unit.known().filter(|unit| unit.value.active_state == "activating");
    if says.is_none() && age > YOUNG_MS {
        return Finding::ruled_out(format!("it runs since {}", case.time(started)), sockets(&[]));
    }
    let sentence = format!(
        "{} on {} is still starting: it was started at {} ({} ago) and has not opened its HTTP port yet.",
        engine.title(),
        engine.node,
        case.time(started),
        span(age)
    );
    let cites = says.map(|unit| cite::unit(&engine.node, unit)).unwrap_or_default();
    Finding::supported(Support {
        certainty: if says.is_some() { Certainty::Certain } else { Certainty::Likely },
        blocks: Blocks::Now,
        node: Some(engine.node.clone()),
        sentence: sentence.clone(),
        detail: json!({ "since": Timestamp(started.0), "seconds": age.max(0) / 1000 }),
        chain: vec![start::down_step(case, engine), Step::new("still-starting", sentence, cites)],
        change: None,
        missing: Vec::new(),
    })
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use controller_correlate::Picture;
    use controller_correlate::testing::{AT, Node};

    use crate::start::pictures::refused;

    pub(crate) fn young() -> Node {
        Node::new().unit("activating", "start", "success", 0).process(AT.plus_millis(-12_000)).listening(&["[::]:9300"])
    }

    pub(crate) fn fires() -> Picture {
        refused(young())
    }
}

#[cfg(test)]
mod tests {
    use common_evidence::collectors::sockets::Sockets;
    use common_model::Symptom;
    use controller_correlate::testing::{Node, picture, probe};

    use super::fixture::{self, young};
    use super::*;

    #[test]
    fn fires_while_systemd_waits() {
        let verdict = crate::diagnose(&fixture::fires()).verdict;
        assert_eq!((verdict.cause.as_str(), verdict.certainty), ("still-starting", Certainty::Certain), "{verdict:#?}");
        assert!(verdict.sentence.contains("12 s ago"), "{}", verdict.sentence);
    }

    #[test]
    fn does_not_once_it_listens_or_is_old() {
        for node in [Node::new(), Node::new().listening(&["[::]:9300"])] {
            let picture = picture(node, vec![probe(Symptom::Refused)]);
            assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
        }
    }

    #[test]
    fn cannot_tell_without_sockets() {
        let picture = picture(young().without::<Sockets>(), vec![probe(Symptom::Refused)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    }
}
