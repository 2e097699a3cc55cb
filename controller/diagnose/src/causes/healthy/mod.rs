//! The endpoint answers.

use common_model::diagnosis::MissingEvidence;
use common_model::{Certainty, Endpoint, Probe, Symptom};
use serde_json::json;

use crate::case::{Case, outcome_words, vantage};
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support, missing};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "healthy",
    title: "The endpoint answers",
    stage: None,
    needs: &[],
    refuted_by: "a probe from another machine that gets no answer",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    let Some(probe) = case.wire.deciding() else {
        return Finding::unknown("an attempt to connect", format!("curl -v {}", url(&case.picture.endpoint)));
    };
    let Some(note) = note(probe) else {
        return Finding::ruled_out(
            format!("{} gets no answer of an engine", vantage(&probe.vantage)),
            cite::probe(probe),
        );
    };
    let sentence =
        format!("{} answers at {} from {}{note}.", who(case, probe), case.destination(), vantage(&probe.vantage));
    let gaps = doubts(case);
    let is_certain = gaps.is_empty() && probe.outcome == Symptom::Ok;
    Finding::supported(Support {
        certainty: if is_certain { Certainty::Certain } else { Certainty::Likely },
        blocks: Blocks::Now,
        node: case.node_name(),
        sentence: sentence.clone(),
        detail: json!({}),
        chain: vec![Step::new("healthy", sentence, cite::probe(probe))],
        change: None,
        missing: gaps,
    })
}

/// What is to be said of an engine's answer; none when it is not one.
fn note(probe: &Probe) -> Option<String> {
    let http = probe.http.as_ref();
    let status = http.and_then(|http| http.status);
    match (probe.outcome, status) {
        (Symptom::Ok, Some(401)) => Some("; it asks for credentials (HTTP 401)".to_owned()),
        (Symptom::Ok, _) => Some(String::new()),
        (Symptom::HttpError, Some(status)) if http.is_some_and(|http| http.product.is_some()) => {
            Some(format!("; the way to it is open, and it answers HTTP {status}"))
        }
        _ => None,
    }
}

/// Why others may fare differently.
fn doubts(case: &Case<'_>) -> Vec<MissingEvidence> {
    let how = format!("there: curl -v {}", url(&case.picture.endpoint));
    let mut doubts = Vec::new();
    if !case.wire.is_from_outside() && !case.picture.endpoint.is_loopback() {
        doubts.push(missing("an attempt from another machine: this one was made on the node itself", how.clone()));
    }
    if let Some(symptom) = case.wire.client().filter(|symptom| *symptom != Symptom::HttpError) {
        let reports = outcome_words(symptom);
        doubts.push(missing(format!("an attempt from the client's machine: the client reports: {reports}"), how));
    }
    doubts
}

fn who(case: &Case<'_>, probe: &Probe) -> String {
    let http = probe.http.as_ref();
    let product = http.and_then(|http| http.product).map_or("The endpoint", |product| product.title());
    let version = http.and_then(|http| http.version.as_deref()).map(|version| format!(" {}", cite::shown(version)));
    let node = case.node_name().map(|node| format!(" on {node}"));
    format!("{product}{}{}", version.unwrap_or_default(), node.unwrap_or_default())
}

fn url(endpoint: &Endpoint) -> String {
    if endpoint.scheme.is_some() { format!("{endpoint}/") } else { format!("http://{endpoint}/") }
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, answered, picture};

    pub(crate) fn fires() -> Picture {
        picture(Node::new(), vec![answered(200)])
    }
}

#[cfg(test)]
mod tests {
    use controller_correlate::testing::{ADDRESS, Node, answered, ip, picture, probe};

    use super::*;

    #[test]
    fn fires_on_an_answer() {
        let verdict = crate::diagnose(&fixture::fires()).verdict;
        assert_eq!((verdict.cause.as_str(), verdict.certainty), ("healthy", Certainty::Certain));
    }

    #[test]
    fn does_not_without_one() {
        let picture = picture(Node::new(), vec![probe(Symptom::Timeout)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
    }

    #[test]
    fn cannot_tell_without_a_probe() {
        let picture = picture(Node::new(), Vec::new());
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
        assert_eq!(crate::diagnose(&picture).verdict.cause.as_str(), "undetermined");
    }

    #[test]
    fn an_answer_on_the_node_itself_is_not_certain_for_others() {
        let local = Probe { source: Some(ip(ADDRESS)), ..answered(200) };
        let diagnosis = crate::diagnose(&picture(Node::new(), vec![local]));
        assert_eq!(diagnosis.verdict.certainty, Certainty::Likely);
        assert!(diagnosis.missing[0].evidence.contains("another machine"), "{:?}", diagnosis.missing);
    }
}
