//! The endpoint's host name has no address where the client looks it up.

use common_model::{Certainty, Stage, Symptom};
use controller_correlate::Resolution;
use serde_json::json;

use crate::case::{Case, vantage};
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "name-unresolved",
    title: "The host name does not resolve",
    stage: Some(Stage::Resolve),
    needs: &[],
    refuted_by: "an address for the name on the client's machine",
    rule,
};

/// What the C libraries and our own probe say when no name server could be asked: then nothing is known of the name.
const SILENCE: [&str; 4] =
    ["Temporary failure in name resolution", "Try again", "no answer from the resolver", "the resolver did not answer"];

fn rule(case: &Case<'_>) -> Finding {
    let host = &case.picture.endpoint.host;
    if case.picture.endpoint.address().is_some() {
        return Finding::ruled_out(format!("{host} is an address"), Vec::new());
    }
    let probe = case.wire.deciding().filter(|probe| probe.outcome == Symptom::Unresolved);
    let says = match (&case.picture.resolution, probe) {
        (_, Some(probe)) => probe.message.clone(),
        (Resolution::Failed(says), None) => says.clone(),
        (Resolution::Addresses(_), None) => return Finding::ruled_out(format!("{host} resolves"), Vec::new()),
        (Resolution::NotTried, None) if case.wire.client() == Some(Symptom::Unresolved) => {
            "the client's own message".to_owned()
        }
        (Resolution::NotTried, None) => {
            return Finding::unknown(
                format!("what {host} resolves to"),
                format!("on the client: getent ahosts {host}"),
            );
        }
    };
    let place = probe.map_or("the vantage", |probe| vantage(&probe.vantage));
    let says = cite::shown(says.trim_start_matches(&format!("resolve {host}: ")).trim_end_matches('.'));
    let answered = !SILENCE.iter().any(|words| says.contains(words));
    let sentence = match answered {
        true => format!("{host} does not resolve on {place}: {says}."),
        false => format!("{host} does not resolve on {place}: no name server answers there ({says})."),
    };
    Finding::supported(Support {
        certainty: if case.wire.deciding().is_some() { Certainty::Certain } else { Certainty::Likely },
        blocks: Blocks::Now,
        node: None,
        sentence: sentence.clone(),
        detail: json!({ "host": host, "answered": answered }),
        chain: vec![Step::new("name-unresolved", sentence, probe.map(cite::probe).unwrap_or_default())],
        change: None,
        missing: Vec::new(),
    })
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_model::{Probe, Symptom};
    use controller_correlate::testing::{Node, asking, probe};
    use controller_correlate::{Picture, Resolution};

    pub(crate) fn fires() -> Picture {
        let probe = Probe {
            address: None,
            source: None,
            connected: false,
            message: "Name or service not known".to_owned(),
            ..probe(Symptom::Unresolved)
        };
        let resolution = Resolution::Failed("Name or service not known".to_owned());
        Picture { resolution, ..asking("http://es-9.example.org:9200", Node::new(), vec![probe]) }
    }
}

#[cfg(test)]
mod tests {
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, answered, asking};

    use super::fixture::fires as unresolved;
    use super::*;

    #[test]
    fn fires() {
        let verdict = crate::diagnose(&unresolved()).verdict;
        assert_eq!(
            (verdict.cause.as_str(), verdict.certainty),
            ("name-unresolved", Certainty::Certain),
            "{verdict:#?}"
        );
        assert_eq!(verdict.sentence, "es-9.example.org does not resolve on the controller: Name or service not known.");
    }

    #[test]
    fn tells_a_silent_resolver_from_an_unknown_name() {
        let mut picture = unresolved();
        picture.probes[0].message = "resolve es-9.example.org: Temporary failure in name resolution".to_owned();
        let verdict = crate::diagnose(&picture).verdict;
        assert_eq!(
            verdict.sentence,
            "es-9.example.org does not resolve on the controller: no name server answers there (Temporary failure in \
             name resolution)."
        );
        assert_eq!(verdict.detail["answered"], false);
    }

    #[test]
    fn does_not_for_a_name_that_resolves() {
        let picture = asking("http://es-1:9200", Node::new(), vec![answered(200)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
    }

    #[test]
    fn cannot_tell_when_nobody_looked_it_up() {
        let picture = Picture { resolution: Resolution::NotTried, ..asking("http://es-1:9200", Node::new(), vec![]) };
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    }
}
