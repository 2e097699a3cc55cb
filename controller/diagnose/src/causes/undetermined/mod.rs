//! The evidence does not decide. Says what was seen and what would decide.

use common_model::Certainty;
use common_model::diagnosis::MissingEvidence;
use serde_json::json;

use crate::assemble::Supported;
use crate::case::{Case, outcome_words, vantage};
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support};
use crate::start::Start;

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "undetermined",
    title: "The evidence does not decide",
    stage: None,
    needs: &[],
    refuted_by: "any cause the evidence supports",
    rule: |_| Finding::Unknown(Vec::new()),
};

/// The verdict when no cause is supported.
pub(crate) fn supported(case: &Case<'_>, missing: Option<&MissingEvidence>) -> Supported {
    let seen = match case.wire.deciding() {
        Some(probe) => format!(
            "From {} to {}: {}",
            vantage(&probe.vantage),
            case.destination(),
            outcome_words(case.wire.symptom())
        ),
        None => match case.wire.client() {
            Some(symptom) => format!("The client reports: {}", outcome_words(symptom)),
            None => format!("Nothing was seen of {}", case.destination()),
        },
    };
    let failed = Start::failed(case).ok().filter(|start| start.failed.is_some());
    let wanted = missing.map(|missing| format!(" Missing: {}.", missing.evidence)).unwrap_or_default();
    let (sentence, chain) = match failed {
        Some(start) => {
            let steps = start.steps(case);
            let fact = steps.last().map(|step| step.sentence.clone()).unwrap_or_default();
            (format!("{seen}. {fact}; why it failed is not in the evidence.{wanted}"), steps)
        }
        None => {
            let step = case.wire.deciding().map(|probe| Step::new("symptom", seen.clone(), cite::probe(probe)));
            (format!("{seen}; the evidence does not tell why.{wanted}"), step.into_iter().collect())
        }
    };
    let support = Support {
        certainty: Certainty::Undetermined,
        blocks: Blocks::Now,
        node: case.node_name(),
        sentence,
        detail: json!({}),
        chain,
        change: None,
        missing: Vec::new(),
    };
    Supported { cause: &CAUSE, support }
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_model::Symptom;
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, picture, probe};

    pub(crate) fn fires() -> Picture {
        let mut picture = picture(Node::new(), vec![probe(Symptom::Refused)]);
        picture.nodes.clear();
        picture
    }
}

#[cfg(test)]
mod tests {
    use common_model::Symptom;
    use controller_correlate::testing::{AT, Node, picture, probe};

    #[test]
    fn a_failure_without_a_reason_is_told_as_such() {
        let node = Node::new().failed(AT.plus_millis(-480_000), 1);
        let diagnosis = crate::diagnose(&picture(node, vec![probe(Symptom::Refused)]));
        assert_eq!(diagnosis.verdict.cause.as_str(), "undetermined");
        assert!(
            diagnosis.verdict.sentence.contains("elasticsearch.service failed with exit status 1"),
            "{}",
            diagnosis.verdict.sentence
        );
    }

    #[test]
    fn a_refusal_without_an_agent_is_not_decided() {
        let diagnosis = crate::diagnose(&super::fixture::fires());
        assert_eq!(diagnosis.verdict.cause.as_str(), "undetermined");
        assert!(
            diagnosis.missing.iter().any(|missing| missing.how_to_get_it.contains("dialtone diagnose")),
            "{:?}",
            diagnosis.missing
        );
    }
}
