//! The evidence does not decide. Says what was seen and what would decide.

use common_model::Certainty;
use common_model::diagnosis::MissingEvidence;
use serde_json::json;

use crate::assemble::Supported;
use crate::case::{Case, outcome_words, vantage};
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support};

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
pub(crate) fn supported(case: &Case<'_>, missing: &[MissingEvidence]) -> Supported {
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
    let wanted = missing.first().map(|missing| format!(" Missing: {}.", missing.evidence)).unwrap_or_default();
    let sentence = format!("{seen}; the evidence does not tell why.{wanted}");
    let chain = case.wire.deciding().map(|probe| Step::new("symptom", seen, cite::probe(probe))).into_iter().collect();
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
