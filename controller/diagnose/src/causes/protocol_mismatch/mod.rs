//! Something answers, and it is not the engine's HTTP: its transport port, or another product.

use common_model::diagnosis::Citation;
use common_model::probe::HttpAnswer;
use common_model::{Certainty, Probe, Stage};
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support, missing};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "protocol-mismatch",
    title: "The port speaks another protocol",
    stage: Some(Stage::Http),
    needs: &[],
    refuted_by: "an HTTP answer of an engine on the same address and port",
    rule,
};

/// What an engine's plain transport port answers to HTTP.
const TRANSPORT: &str = "This is not an HTTP port";

fn rule(case: &Case<'_>) -> Finding {
    let Some(probe) = case.wire.deciding().filter(|probe| probe.connected) else {
        return Finding::Unknown(Vec::new());
    };
    let Some(http) = &probe.http else { return Finding::Unknown(Vec::new()) };
    if http.product.is_some() {
        return Finding::ruled_out("an engine answers HTTP", cite::probe(probe));
    }
    let port = probe.port;
    match http.answer {
        HttpAnswer::NotHttp if http.excerpt.contains(TRANSPORT) => {
            let sentence =
                format!("Port {port} is the engine's transport port, not its HTTP port: it answers \"{TRANSPORT}\".");
            supported(case, probe, Certainty::Certain, "transport", sentence, Vec::new())
        }
        HttpAnswer::NotHttp => {
            let sentence = format!("{} answers, but not HTTP: {}.", case.destination(), excerpt(probe));
            supported(case, probe, Certainty::Likely, "unknown", sentence, Vec::new())
        }
        HttpAnswer::Http => {
            let status = http.status.map(|status| status.to_string()).unwrap_or_default();
            let sentence = format!(
                "Something other than Elasticsearch or OpenSearch answers at {}: HTTP {status}, {}.",
                case.destination(),
                excerpt(probe)
            );
            let gaps = vec![missing(
                format!("what answers on port {port}: a proxy, a load balancer or another product"),
                format!("on the node: sudo ss -ltnp 'sport = :{port}'"),
            )];
            supported(case, probe, Certainty::Likely, "http", sentence, gaps)
        }
        HttpAnswer::Empty | HttpAnswer::Reset | HttpAnswer::Silence => {
            Finding::ruled_out("nothing is answered", cite::probe(probe))
        }
    }
}

fn excerpt(probe: &Probe) -> String {
    let text = probe.http.as_ref().map_or("", |http| http.excerpt.as_str());
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing that can be read");
    format!("\"{}\"", cite::shown(first))
}

fn supported(
    case: &Case<'_>,
    probe: &Probe,
    certainty: Certainty,
    speaks: &str,
    sentence: String,
    missing: Vec<common_model::diagnosis::MissingEvidence>,
) -> Finding {
    let mut quoted: Vec<Citation> = cite::probe(probe);
    for cite in &mut quoted {
        cite.excerpt = excerpt(probe);
    }
    Finding::supported(Support {
        certainty,
        blocks: Blocks::Now,
        node: case.node_name(),
        sentence: sentence.clone(),
        detail: json!({ "speaks": speaks }),
        chain: vec![
            case.symptom_step(
                "http-error",
                &format!("{} does not answer as an engine", case.destination()),
                Vec::new(),
            ),
            Step::new("protocol-mismatch", sentence, quoted),
        ],
        change: None,
        missing,
    })
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_model::probe::{HttpAnswer, HttpSeen};
    use common_model::{Probe, Symptom};
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, asking, http, probe};

    pub(crate) fn fires() -> Picture {
        let seen = HttpSeen { excerpt: super::TRANSPORT.to_owned(), ..http(HttpAnswer::NotHttp) };
        let probe = Probe { port: 9300, connected: true, http: Some(seen), ..probe(Symptom::HttpError) };
        asking("http://10.0.0.5:9300", Node::new(), vec![probe])
    }
}

#[cfg(test)]
mod tests {
    use common_model::Symptom;
    use controller_correlate::testing::{Node, answered, asking, probe};

    use super::*;

    #[test]
    fn fires_for_the_transport_port() {
        let verdict = crate::diagnose(&fixture::fires()).verdict;
        assert_eq!(
            (verdict.cause.as_str(), verdict.certainty),
            ("protocol-mismatch", Certainty::Certain),
            "{verdict:#?}"
        );
    }

    #[test]
    fn does_not_when_the_engine_answers() {
        let picture = asking("http://10.0.0.5:9200", Node::new(), vec![answered(503)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
    }

    #[test]
    fn cannot_tell_without_a_connection() {
        let picture = asking("http://10.0.0.5:9200", Node::new(), vec![probe(Symptom::Refused)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    }
}
