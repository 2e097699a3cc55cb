//! systemd gave up waiting for the engine to say that it is up, and ended it. Its log then shows an orderly stop for no reason.

use common_model::change::Topic;
use common_model::{Certainty, Stage};
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Cause, Finding};
use crate::start::{Start, Told};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "start-timeout",
    title: "systemd gave up waiting for the engine to start",
    stage: Some(Stage::Listen),
    needs: &["engines", "unit"],
    refuted_by: "a result of the unit other than timeout",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    let start = match Start::failed(case) {
        Ok(start) => start,
        Err(finding) => return finding,
    };
    let engine = start.engine;
    let Some(failed) = &start.failed else { return start.silent() };
    if failed.result != "timeout" {
        return Finding::ruled_out(
            "systemd gives another result",
            engine.unit.known().map(|unit| cite::unit(&engine.node, unit)).unwrap_or_default(),
        );
    }
    let fact = "it did not say within the unit's TimeoutStartSec that it is up";
    start.because(
        case,
        Told {
            cause: CAUSE.id,
            certainty: Certainty::Certain,
            sentence: format!("{} on {} is down because {fact}; systemd ended it.", engine.title(), engine.node),
            fact: fact.to_owned(),
            cites: engine.unit.known().map(|unit| cite::unit(&engine.node, unit)).unwrap_or_default(),
            roots: Vec::new(),
            detail: json!({}),
            change: case.newest_change(|change| {
                change.topic == Topic::Unit
                    && Some(change.subject.as_str()) == engine.unit_name()
                    && change.items.iter().any(|item| item.key == "drop-ins")
            }),
        },
    )
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use controller_correlate::Picture;
    use controller_correlate::testing::Node;

    use crate::start::pictures::refused;

    pub(crate) fn timed_out() -> Node {
        Node::new().unit("failed", "failed", "timeout", 143).no_process().listening(&[])
    }

    pub(crate) fn fires() -> Picture {
        refused(timed_out())
    }
}

#[cfg(test)]
mod tests {
    use common_evidence::collectors::engines::Engines;
    use common_model::Symptom;
    use controller_correlate::testing::{AT, Node, picture, probe};

    use super::fixture::{self, timed_out};
    use super::*;

    #[test]
    fn fires() {
        let verdict = crate::diagnose(&fixture::fires()).verdict;
        assert_eq!((verdict.cause.as_str(), verdict.certainty), ("start-timeout", Certainty::Certain), "{verdict:#?}");
    }

    #[test]
    fn does_not_for_another_result() {
        let picture = picture(Node::new().failed(AT.plus_millis(-480_000), 1), vec![probe(Symptom::Refused)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
    }

    #[test]
    fn cannot_tell_without_an_engine() {
        let picture = picture(timed_out().without::<Engines>(), vec![probe(Symptom::Refused)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    }
}
