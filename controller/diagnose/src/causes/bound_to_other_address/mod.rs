//! The engine runs and listens on some of the machine's addresses, and not on the one the client uses.

use common_evidence::collectors::sockets::Listener;
use common_model::Stage;
use common_model::diagnosis::Citation;
use controller_correlate::EngineView;
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support, missing};
use crate::quote;
use crate::start;

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "bound-to-other-address",
    title: "The engine listens on another address",
    stage: Some(Stage::Listen),
    needs: &["engines", "sockets"],
    refuted_by: "an HTTP socket of the engine that takes connections to the address the client uses",
    rule,
};

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
    if case.addresses().is_empty() {
        return Finding::Unknown(vec![missing(
            "the address the client uses",
            "on the client: getent ahosts with the host name",
        )]);
    }
    let port = case.picture.endpoint.port;
    let accepts = |listener: &&Listener| case.addresses().iter().any(|address| listener.accepts(*address));
    if let Some(open) = listeners.iter().find(|listener| accepts(listener)) {
        return Finding::ruled_out(
            format!("{} listens on {}", engine.title(), open.shown()),
            sockets(engine, &listeners, port),
        );
    }
    let from_elsewhere = case.addresses().iter().any(|address| !address.is_loopback());
    let only_loopback = listeners.iter().all(|listener| listener.is_loopback());
    if listeners.is_empty() || (only_loopback && from_elsewhere) {
        return Finding::ruled_out(
            format!("{} listens on no other address than loopback", engine.title()),
            sockets(engine, &listeners, port),
        );
    }
    supported(case, engine, &listeners)
}

fn sockets(engine: &EngineView, listeners: &[&Listener], port: u16) -> Vec<Citation> {
    engine.sockets.known().map(|cited| cite::listeners(&engine.node, cited, listeners, port)).unwrap_or_default()
}

fn supported(case: &Case<'_>, engine: &EngineView, listeners: &[&Listener]) -> Finding {
    let bound: Vec<String> = listeners.iter().map(|listener| listener.shown()).collect();
    let set = engine.settings().http.bind;
    let wanted: Vec<String> = case.addresses().iter().map(ToString::to_string).collect();
    let wanted = wanted.join(", ");
    Finding::supported(Support {
        certainty: case.fits_refusal(),
        blocks: Blocks::Now,
        node: Some(engine.node.clone()),
        sentence: format!(
            "{} on {} listens on {}, not on {wanted}, because {}.",
            engine.title(),
            engine.node,
            bound.join(", "),
            quote::stands(&set)
        ),
        detail: json!({ "bound": bound, "setting": set.setting, "value": quote::value(&set), "source": set.origin.to_string() }),
        chain: vec![
            case.symptom_step(
                "port-closed",
                &format!("nothing accepts connections to {}", case.destination()),
                Vec::new(),
            ),
            Step::new(
                "bound-to-other-address",
                format!("{} listens on {}", engine.title(), bound.join(", ")),
                sockets(engine, listeners, case.picture.endpoint.port),
            ),
            Step::new("setting", quote::stands(&set), quote::setting(engine, &set)),
        ],
        change: None,
        missing: Vec::new(),
    })
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_model::Symptom;
    use controller_correlate::Picture;
    use controller_correlate::testing::{AT, Node, picture, probe};

    pub(crate) fn elsewhere() -> Node {
        Node::new()
            .yml("network.host: 10.9.0.5\n", AT.plus_millis(-86_400_000))
            .listening(&["10.9.0.5:9200", "10.9.0.5:9300"])
    }

    pub(crate) fn fires() -> Picture {
        picture(elsewhere(), vec![probe(Symptom::Refused)])
    }
}

#[cfg(test)]
mod tests {
    use common_evidence::collectors::sockets::Sockets;
    use common_model::{Certainty, Symptom};
    use controller_correlate::testing::{Node, asking, picture, probe};

    use super::fixture::{self, elsewhere};
    use super::*;

    #[test]
    fn fires_for_another_interface() {
        let verdict = crate::diagnose(&fixture::fires()).verdict;
        assert_eq!(
            (verdict.cause.as_str(), verdict.certainty),
            ("bound-to-other-address", Certainty::Certain),
            "{verdict:#?}"
        );
        assert_eq!(verdict.detail["bound"][0], "10.9.0.5:9200");
        assert_eq!(verdict.detail["setting"], "network.host");
    }

    #[test]
    fn fires_for_a_client_on_the_machine() {
        let mut picture = asking("http://127.0.0.1:9200", elsewhere(), vec![]);
        picture.here = Some("es-1".parse().unwrap());
        assert_eq!(crate::diagnose(&picture).verdict.cause.as_str(), "bound-to-other-address");
    }

    #[test]
    fn does_not_for_loopback_or_everything() {
        for sockets in [["[::1]:9200", "[::1]:9300"], ["[::]:9200", "[::]:9300"]] {
            let picture = picture(Node::new().listening(&sockets), vec![probe(Symptom::Refused)]);
            assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }), "{sockets:?}");
        }
    }

    #[test]
    fn cannot_tell_without_sockets() {
        let picture = picture(elsewhere().without::<Sockets>(), vec![probe(Symptom::Refused)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    }
}
