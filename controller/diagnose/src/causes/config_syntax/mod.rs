//! The engine's yml cannot be read, so the engine does not start: a tab, a missing space, a key set twice, an empty value.
//!
//! These come before logging exists: they are in the journal and never in the engine's log.

use common_evidence::collectors::engine_config::SyntaxProblem;
use common_model::change::Topic;
use common_model::diagnosis::Citation;
use common_model::{Certainty, Change, Stage, Timestamp};
use controller_correlate::EngineView;
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Cause, Finding};
use crate::start::{self, Start, Told};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "config-syntax",
    title: "The engine's yml cannot be read",
    stage: Some(Stage::Listen),
    needs: &["engines", "unit", "journal", "engine-config"],
    refuted_by: "a yml that the engine's loader takes, unchanged since the failed start",
    rule,
};

const WORDS: &[&str] = &[
    "Failed to load settings from",
    "mapping values are not allowed here",
    "found character '\\t(TAB)'",
    "null-valued setting found for key",
    "duplicate settings key",
    "Duplicate field '",
    "malformed, expected end of settings",
    "expecting token of type [START_OBJECT]",
];

fn rule(case: &Case<'_>) -> Finding {
    let start = match Start::failed(case) {
        Ok(start) => start,
        Err(finding) => return finding,
    };
    let engine = start.engine;
    let config = engine.config.known();
    let says = start.find(WORDS);
    let fault = config.and_then(|config| config.value.fatal.clone());
    let was_there = config.is_some_and(|config| engine.was_before_last_start(Timestamp(config.value.modified_ms)));
    let certainty = match (&says, &fault) {
        (Some(_), _) => Certainty::Certain,
        (None, Some(_)) if was_there && start.failed.is_some() => Certainty::Likely,
        (None, Some(_)) => {
            return Finding::unknown(
                "a start since the yml was changed",
                format!("on {}: systemctl status {}", engine.node, engine.engine.name),
            );
        }
        (None, None) if config.is_none() => return start.silent(),
        (None, None) => return Finding::ruled_out(format!("{} can be read", engine.engine.config_file()), Vec::new()),
    };
    let cites: Vec<Citation> =
        says.iter().flat_map(|says| says.cites.clone()).chain(quoted(engine, fault.as_ref())).collect();
    let place = fault.as_ref().map(|fault| format!("{}:{}", engine.engine.config_file(), fault.line));
    let message = fault.as_ref().map(|fault| cite::shown(&fault.message));
    let message =
        message.or_else(|| says.as_ref().map(|says| start::line_with(&says.message, WORDS))).unwrap_or_default();
    let fact = match &place {
        Some(place) => format!("{place} cannot be read: {message}"),
        None => format!("{} could not be read: {message}", engine.engine.config_file()),
    };
    start.because(
        case,
        Told {
            cause: CAUSE.id,
            certainty,
            sentence: format!("{} on {} does not start because {fact}.", engine.title(), engine.node),
            fact,
            cites,
            roots: Vec::new(),
            detail: json!({
                "file": engine.engine.config_file(),
                "line": fault.as_ref().map(|fault| fault.line),
                "column": fault.as_ref().and_then(|fault| fault.column),
                "key": fault.as_ref().and_then(|fault| fault.key.clone()),
            }),
            change: case.newest_change(|change| explains(change, engine)),
        },
    )
}

fn quoted(engine: &EngineView, fault: Option<&SyntaxProblem>) -> Vec<Citation> {
    match (engine.config.known(), fault) {
        (Some(config), Some(fault)) => cite::yml(&engine.node, config, &[fault.line]),
        _ => Vec::new(),
    }
}

/// The edit after which the file could no longer be read.
fn explains(change: &Change, engine: &EngineView) -> bool {
    let of_file = change.topic == Topic::Config && change.subject == engine.engine.config_file();
    of_file
        && start::before_last_start(change, engine)
        && change.items.iter().any(|item| item.key == "syntax" && item.new.is_some())
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, STARTED};

    use crate::start::pictures::{failing, refused};

    const BROKEN: &str = "cluster.name: es\nnetwork.host: 0.0.0.0\n http.port: 9200\n";
    const SAYS: &str = "Exception in thread \"main\" SettingsException[Failed to load settings from [elasticsearch.yml]]; nested: MarkedYAMLException[mapping values are not allowed here";

    pub(crate) fn broken(node: Node) -> Node {
        node.yml(BROKEN, STARTED.plus_millis(-60_000))
    }

    pub(crate) fn fires() -> Picture {
        refused(broken(failing(&[SAYS], 1)))
    }
}

#[cfg(test)]
mod tests {
    use common_model::Symptom;
    use controller_correlate::testing::{Node, YML, picture, probe};

    use super::fixture::{self, broken};
    use super::*;
    use crate::start::pictures::failing;

    #[test]
    fn fires_with_the_line() {
        let verdict = crate::diagnose(&fixture::fires()).verdict;
        assert_eq!((verdict.cause.as_str(), verdict.certainty), ("config-syntax", Certainty::Certain), "{verdict:#?}");
        assert_eq!((verdict.detail["file"].as_str(), verdict.detail["line"].as_u64()), (Some(YML), Some(3)));
    }

    #[test]
    fn is_likely_by_the_file_alone() {
        let verdict = crate::diagnose(&picture(broken(failing(&[], 1)), vec![probe(Symptom::Refused)])).verdict;
        assert_eq!((verdict.cause.as_str(), verdict.certainty), ("config-syntax", Certainty::Likely), "{verdict:#?}");
    }

    #[test]
    fn does_not_while_the_engine_runs_or_the_file_is_fine() {
        for node in [broken(Node::new()), failing(&["java.lang.Error: something else"], 1)] {
            let picture = picture(node, vec![probe(Symptom::Refused)]);
            assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
        }
    }

    #[test]
    fn cannot_tell_without_journal_and_file() {
        let node = failing(&[], 1).without::<common_evidence::collectors::engine_config::EngineConfig>();
        let picture = picture(node, vec![probe(Symptom::Refused)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    }
}
