//! There is no engine on the node.

use common_evidence::collectors::engines::Engines;
use common_evidence::collectors::sockets::Sockets;
use common_model::{Certainty, Stage, Symptom};
use controller_correlate::FoundBy;
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support, missing};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "not-installed",
    title: "No engine is installed on the node",
    stage: Some(Stage::Listen),
    needs: &["engines", "sockets"],
    refuted_by: "a unit, package, process or configuration of an engine",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    if let Some(finding) = case.accepted() {
        return finding;
    }
    let Some(found) = case.found() else { return Finding::Unknown(case.engine().err().unwrap_or_default()) };
    let node = &found.node.name;
    let reading = found.node.one::<Engines>("");
    let Some(engines) = reading.known() else {
        return Finding::unknown(format!("which engines are on {node}"), "update or restart its agent");
    };
    let left: Vec<&str> = engines
        .value
        .engines
        .iter()
        .filter(|engine| engine.found_by == ["config"])
        .map(|engine| engine.config_dir.as_str())
        .collect();
    if let Some(engine) = engines.value.engines.iter().find(|engine| engine.found_by != ["config"]) {
        let by = engine.found_by.join(", ");
        return Finding::ruled_out(
            format!("{} is there ({by})", engine.name),
            cite::evidence(node, engines, &engine.name, "systemctl list-unit-files"),
        );
    }
    let port = case.picture.endpoint.port;
    let sockets = found.node.one::<Sockets>("");
    let taken =
        sockets.known().is_some_and(|sockets| sockets.value.listeners.iter().any(|listener| listener.port == port));
    if taken {
        return Finding::unknown(
            format!("what listens on port {port} of {node}"),
            format!("on {node}: sudo ss -ltnp 'sport = :{port}'"),
        );
    }
    let searched_all = engines.value.problems.is_empty() && sockets.known().is_some();
    let fits = case.wire.symptom() == Symptom::Refused
        && matches!(found.by, FoundBy::Address | FoundBy::Here)
        && left.is_empty();
    let rest =
        if left.is_empty() { String::new() } else { format!("; only configuration is left in {}", left.join(", ")) };
    let fact = format!("no unit, package or process of Elasticsearch or OpenSearch was found{rest}");
    let gaps = engines
        .value
        .problems
        .iter()
        .map(|problem| missing(cite::shown(problem), format!("on {node}: systemctl list-units '*search*'")));
    let mut cites = cite::evidence(node, engines, &fact, "systemctl list-unit-files '*search*'; dpkg -l '*search*'");
    cites.extend(sockets.known().map(|sockets| cite::listeners(node, sockets, &[], port)).unwrap_or_default());
    Finding::supported(Support {
        certainty: if searched_all && fits { Certainty::Certain } else { Certainty::Likely },
        blocks: Blocks::Now,
        node: Some(node.clone()),
        sentence: format!("There is no Elasticsearch or OpenSearch on {node}: {fact}."),
        detail: json!({}),
        chain: vec![
            case.symptom_step("port-closed", &format!("nothing listens on port {port}"), Vec::new()),
            Step::new("not-installed", fact, cites),
        ],
        change: None,
        missing: gaps.collect(),
    })
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_model::Symptom;
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, picture, probe};

    pub(crate) fn fires() -> Picture {
        picture(Node::bare().engines(Vec::new()).listening(&[]), vec![probe(Symptom::Refused)])
    }
}

#[cfg(test)]
mod tests {
    use controller_correlate::testing::{Node, picture, probe};

    use super::*;

    #[test]
    fn fires_on_a_node_without_an_engine() {
        let verdict = crate::diagnose(&fixture::fires()).verdict;
        assert_eq!((verdict.cause.as_str(), verdict.certainty), ("not-installed", Certainty::Certain), "{verdict:#?}");
    }

    #[test]
    fn does_not_where_there_is_one() {
        let picture = picture(Node::new(), vec![probe(Symptom::Refused)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
    }

    #[test]
    fn cannot_tell_where_nobody_looked() {
        let picture = picture(Node::bare().listening(&[]), vec![probe(Symptom::Refused)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    }
}
