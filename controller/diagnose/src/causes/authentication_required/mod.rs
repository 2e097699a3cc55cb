//! The client reaches the engine and is not let in: its own message says so.
//!
//! A probe carries no credentials, so a 401 it gets says only that the engine asks for them.

use common_model::{Certainty, Stage};
use serde_json::json;

use crate::case::Case;
use crate::finding::{Blocks, Cause, Finding, Step, Support};
use crate::{cite, client_error};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "authentication-required",
    title: "The engine asks for credentials that the client does not give",
    stage: Some(Stage::Http),
    needs: &[],
    refuted_by: "the client's own message being another",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    let Some(message) = &case.picture.client_error else {
        return Finding::ruled_out("the client reports no failed login", Vec::new());
    };
    if !client_error::wants_credentials(message) {
        return Finding::ruled_out("the client's message is another", Vec::new());
    }
    let probe = case.wire.deciding();
    let status = probe.and_then(|probe| probe.http.as_ref()).and_then(|http| http.status);
    let asks = status == Some(401);
    if probe.is_some() && !asks {
        return Finding::unknown(
            "an attempt that is asked for credentials, as the client was",
            "curl -v with the client's URL",
        );
    }
    let who = case.node_name().map_or_else(|| case.destination(), |node| node.to_string());
    let sentence = format!("The client reaches {who} and is refused for want of valid credentials (HTTP 401).");
    Finding::supported(Support {
        certainty: if asks { Certainty::Certain } else { Certainty::Likely },
        blocks: Blocks::Now,
        node: case.node_name(),
        sentence: sentence.clone(),
        detail: json!({}),
        chain: vec![Step::new("authentication-required", sentence, probe.map(cite::probe).unwrap_or_default())],
        change: None,
        missing: Vec::new(),
    })
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_model::{Probe, Symptom};
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, answered, picture};

    pub(crate) fn complaining(probes: Vec<Probe>) -> Picture {
        let message = "AuthenticationException(401, 'security_exception', 'missing authentication credentials for REST request [/]')";
        Picture { client_error: Some(message.to_owned()), ..picture(Node::new(), probes) }
    }

    pub(crate) fn fires() -> Picture {
        complaining(vec![Probe { outcome: Symptom::Ok, ..answered(401) }])
    }
}

#[cfg(test)]
mod tests {
    use common_model::{Probe, Symptom};
    use controller_correlate::testing::{Node, answered, picture, probe};

    use super::fixture::{self, complaining};
    use super::*;

    #[test]
    fn fires_when_client_and_wire_agree() {
        let verdict = crate::diagnose(&fixture::fires()).verdict;
        assert_eq!(
            (verdict.cause.as_str(), verdict.certainty),
            ("authentication-required", Certainty::Certain),
            "{verdict:#?}"
        );
    }

    #[test]
    fn does_not_for_a_401_alone() {
        let picture = picture(Node::new(), vec![Probe { outcome: Symptom::Ok, ..answered(401) }]);
        assert_eq!(crate::diagnose(&picture).verdict.cause.as_str(), "healthy");
    }

    #[test]
    fn cannot_tell_when_the_wire_disagrees() {
        let picture = complaining(vec![probe(Symptom::Refused)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    }
}
