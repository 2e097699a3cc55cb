//! More connections wait on the socket than it holds, so the kernel drops new ones: a time-out without any firewall.

use common_evidence::collectors::sockets::Listener;
use common_model::{Certainty, Stage, Symptom};
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support};
use crate::start;

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "accept-queue-full",
    title: "The engine's queue of new connections is full",
    stage: Some(Stage::Listen),
    needs: &["engines", "sockets"],
    refuted_by: "a queue with room, or a connection that stands",
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
    let (Some(sockets), Some(listeners)) = (engine.sockets.known(), engine.listeners()) else {
        return Finding::unknown(
            format!("the listening sockets of {}", engine.node),
            format!("on {}: sudo ss -ltnp", engine.node),
        );
    };
    let port = case.picture.endpoint.port;
    let full: Vec<&Listener> =
        listeners.into_iter().filter(|listener| listener.port == port && listener.backlog_full).collect();
    let quoted = cite::listeners(&engine.node, sockets, &full, port);
    let Some(first) = full.first() else {
        return Finding::ruled_out("its queue of new connections has room", Vec::new());
    };
    let limit = first.backlog_limit;
    let fits = case.wire.symptom() == Symptom::Timeout;
    Finding::supported(Support {
        certainty: if fits { Certainty::Certain } else { Certainty::Likely },
        blocks: if fits { Blocks::Now } else { Blocks::Next },
        node: Some(engine.node.clone()),
        sentence: format!(
            "{} on {} does not take the connections that wait on {}: its queue of {limit} is full, and the kernel drops new ones.",
            engine.title(),
            engine.node,
            first.shown()
        ),
        detail: json!({ "socket": first.shown(), "limit": limit }),
        chain: vec![
            case.symptom_step("no-answer", &format!("{} does not answer", case.destination()), Vec::new()),
            Step::new("accept-queue-full", format!("the queue of {} (at most {limit}) is full", first.shown()), quoted),
        ],
        change: None,
        missing: Vec::new(),
    })
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_evidence::collectors::sockets::{Listener, Owner};
    use common_model::Symptom;
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, PID, listener, picture, probe};

    pub(crate) fn crowded(full: bool) -> Node {
        let owner = Owner { pid: PID, command: "java".to_owned(), unit: Some("elasticsearch.service".to_owned()) };
        Node::new().listeners(vec![Listener { backlog_full: full, ..listener("[::]:9200", 113, Some(owner)) }])
    }

    pub(crate) fn fires() -> Picture {
        picture(crowded(true), vec![probe(Symptom::Timeout)])
    }
}

#[cfg(test)]
mod tests {
    use common_evidence::collectors::sockets::Sockets;
    use controller_correlate::testing::{Node, picture, probe};

    use super::fixture::{self, crowded};
    use super::*;

    #[test]
    fn fires_before_a_firewall_is_blamed() {
        let verdict = crate::diagnose(&fixture::fires()).verdict;
        assert_eq!(verdict.cause.as_str(), "accept-queue-full", "{verdict:#?}");
    }

    #[test]
    fn does_not_with_room() {
        let picture = picture(crowded(false), vec![probe(Symptom::Timeout)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
    }

    #[test]
    fn cannot_tell_without_sockets() {
        let picture = picture(Node::new().without::<Sockets>(), vec![probe(Symptom::Timeout)]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    }
}
