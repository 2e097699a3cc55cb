//! Memory ran out: the kernel killed the engine, or its heap was exhausted.

use common_model::{Certainty, Stage};
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Cause, Finding};
use crate::start::{Start, Told};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "out-of-memory",
    title: "The engine ended because memory ran out",
    stage: Some(Stage::Listen),
    needs: &["engines", "unit", "journal"],
    refuted_by: "an end that systemd gives another result",
    rule,
};

const KERNEL: &[&str] = &["killed by the OOM killer", "Out of memory: Killed process", "Memory cgroup out of memory"];
const HEAP: &[&str] = &["java.lang.OutOfMemoryError"];

fn rule(case: &Case<'_>) -> Finding {
    let start = match Start::failed(case) {
        Ok(start) => start,
        Err(finding) => return finding,
    };
    let engine = start.engine;
    let by_systemd = start.failed.as_ref().is_some_and(|failed| failed.result == "oom-kill");
    let by_kernel = start.find(KERNEL);
    let heap = start.find(HEAP);
    let (by, fact, mut cites) = match (by_systemd, by_kernel, heap) {
        (_, Some(words), _) => ("kernel", "the kernel killed it for memory", words.cites),
        (true, None, _) => ("kernel", "the kernel killed it for memory", Vec::new()),
        (false, None, Some(words)) => ("heap", "its heap was exhausted", words.cites),
        (false, None, None) => return Finding::ruled_out("nothing says that memory ran out", Vec::new()),
    };
    cites.extend(engine.unit.known().map(|unit| cite::unit(&engine.node, unit)).unwrap_or_default());
    start.because(
        case,
        Told {
            cause: CAUSE.id,
            certainty: Certainty::Certain,
            sentence: format!("{} on {} is down because memory ran out: {fact}.", engine.title(), engine.node),
            fact: fact.to_owned(),
            cites,
            roots: Vec::new(),
            detail: json!({ "by": by }),
            change: None,
        },
    )
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use controller_correlate::Picture;
    use controller_correlate::testing::Node;

    use crate::start::pictures::refused;

    pub(crate) fn killed() -> Node {
        Node::new().unit_with("failed", "failed", "oom-kill", 2, 9, "enabled").no_process().listening(&[])
    }

    pub(crate) fn fires() -> Picture {
        refused(killed())
    }
}

#[cfg(test)]
mod tests {
    use common_evidence::collectors::unit::Unit;
    use common_model::Symptom;
    use controller_correlate::testing::{AT, Node, picture, probe};

    use super::fixture::{self, killed};
    use super::*;

    #[test]
    fn fires_for_the_kernels_kill() {
        let verdict = crate::diagnose(&fixture::fires()).verdict;
        assert_eq!((verdict.cause.as_str(), verdict.certainty), ("out-of-memory", Certainty::Certain), "{verdict:#?}");
    }

    #[test]
    fn does_not_for_another_end_or_a_running_engine() {
        for node in [Node::new(), Node::new().failed(AT.plus_millis(-480_000), 1)] {
            let picture = picture(node, vec![probe(Symptom::Refused)]);
            assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
        }
    }

    #[test]
    fn cannot_tell_without_unit_and_processes() {
        let node = killed().without::<Unit>().without::<common_evidence::collectors::engines::Engines>();
        let picture = picture(node, vec![probe(Symptom::Refused)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    }
}
