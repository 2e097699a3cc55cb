//! The client speaks TLS to a port that speaks plain HTTP.
//!
//! "Wrong version number" alone does not show it; an answer to plain HTTP on the same address and port does.

use common_model::{Certainty, Scheme, Stage, Symptom};
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "plain-http-only",
    title: "The port speaks plain HTTP and the client TLS",
    stage: Some(Stage::Tls),
    needs: &[],
    refuted_by: "a TLS handshake that completes on the same address and port",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    if case.picture.endpoint.scheme != Some(Scheme::Https) {
        return Finding::ruled_out("the client was not told https", Vec::new());
    }
    let Some(probe) = case.wire.deciding().filter(|probe| probe.connected) else {
        return Finding::Unknown(Vec::new());
    };
    if case.wire.tls_established().is_some() {
        return Finding::ruled_out("a TLS handshake completes", cite::probe(probe));
    }
    let Some(plain) = case.wire.plain_http().filter(|_| probe.outcome == Symptom::TlsFailure) else {
        return Finding::ruled_out("plain HTTP is not answered either", cite::probe(probe));
    };
    let who = case.node_name().map_or_else(|| case.destination(), |node| format!("{node} ({})", case.destination()));
    let status =
        plain.http.as_ref().and_then(|http| http.status).map(|status| format!(" ({status})")).unwrap_or_default();
    let fact = format!("the same port answers plain HTTP{status}");
    Finding::supported(Support {
        certainty: Certainty::Certain,
        blocks: Blocks::Now,
        node: case.node_name(),
        sentence: format!("{who} speaks plain HTTP on port {}, and the client starts TLS: use http.", plain.port),
        detail: json!({}),
        chain: vec![
            case.symptom_step(
                "tls-failed",
                &format!("{} does not complete a TLS handshake", case.destination()),
                Vec::new(),
            ),
            Step::new("plain-http-only", fact, cite::probe(plain)),
        ],
        change: None,
        missing: Vec::new(),
    })
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_model::{Probe, Symptom};
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, answered, asking};

    pub(crate) const HTTPS: &str = "https://10.0.0.5:9200";

    pub(crate) fn failed() -> Probe {
        Probe { outcome: Symptom::TlsFailure, ..answered(200) }
    }

    pub(crate) fn fires() -> Picture {
        asking(HTTPS, Node::new(), vec![failed()])
    }
}

#[cfg(test)]
mod tests {
    use common_model::Probe;
    use controller_correlate::testing::{Node, asking, probe, tls};

    use super::fixture::{self, HTTPS, failed};
    use super::*;

    #[test]
    fn fires_when_plain_http_is_answered() {
        let verdict = crate::diagnose(&fixture::fires()).verdict;
        assert_eq!(
            (verdict.cause.as_str(), verdict.certainty),
            ("plain-http-only", Certainty::Certain),
            "{verdict:#?}"
        );
    }

    #[test]
    fn does_not_for_a_failed_handshake_alone() {
        let silent = Probe { connected: true, ..probe(Symptom::TlsFailure) };
        for other in [silent, Probe { tls: Some(tls()), ..failed() }] {
            let picture = asking(HTTPS, Node::new(), vec![other]);
            assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
        }
    }

    #[test]
    fn cannot_tell_without_a_connection() {
        let picture = asking(HTTPS, Node::new(), vec![probe(Symptom::Refused)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    }
}
