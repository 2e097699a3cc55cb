//! The kernel accepts the connection and the engine never answers: it is stopped by a signal, or busy with itself.

use common_evidence::collectors::processes::Process;
use common_model::probe::HttpAnswer;
use common_model::{Certainty, Stage, Symptom};
use controller_correlate::EngineView;
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support, missing};
use crate::start;

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "process-hung",
    title: "The engine accepts connections and does not answer",
    stage: Some(Stage::Listen),
    needs: &["engines", "processes", "sockets"],
    refuted_by: "any answer on the connection",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    let Some(probe) = case.wire.deciding() else {
        return Finding::unknown("what becomes of a request", format!("curl -v -m 5 http://{}/", case.destination()));
    };
    let silent = probe.connected
        && probe.outcome == Symptom::Timeout
        && probe.http.as_ref().is_none_or(|http| http.answer == HttpAnswer::Silence);
    let dropped = !probe.connected && probe.outcome == Symptom::Timeout && case.accept_queue_full();
    if !silent && !dropped || case.wire.tls_established().is_some() {
        return Finding::ruled_out("it is not that a connection stands in silence", cite::probe(probe));
    }
    let engine = match start::running(case) {
        Ok(engine) => engine,
        Err(finding) => return finding,
    };
    let port = case.picture.endpoint.port;
    let owned = engine.listeners().is_some_and(|listeners| listeners.iter().any(|listener| listener.port == port));
    if !owned {
        return Finding::ruled_out(format!("port {port} is not {}'s", engine.title()), Vec::new());
    }
    let stopped = engine.running_processes().iter().find(|process| process.state == "T");
    if stopped.is_none() && dropped {
        return Finding::ruled_out("no process of it is stopped", Vec::new());
    }
    supported(case, engine, stopped)
}

fn supported(case: &Case<'_>, engine: &EngineView, stopped: Option<&Process>) -> Finding {
    let port = case.picture.endpoint.port;
    let (because, fact) = match stopped {
        Some(process) => (
            "its process is stopped by a signal".to_owned(),
            format!("process {} is in state T (stopped)", process.pid),
        ),
        None => (
            "it is busy with itself or its threads are all taken".to_owned(),
            "the kernel accepts, the process does not answer".to_owned(),
        ),
    };
    let cites = match (stopped, engine.processes.known()) {
        (Some(process), Some(processes)) => {
            let how = format!("ps -o pid,stat,cmd -p {}", process.pid);
            cite::evidence(&engine.node, processes, &format!("pid {} state {}", process.pid, process.state), &how)
        }
        _ => engine
            .sockets
            .known()
            .map(|sockets| cite::listeners(&engine.node, sockets, &engine.listeners().unwrap_or_default(), port))
            .unwrap_or_default(),
    };
    let gaps = match stopped {
        Some(_) => Vec::new(),
        None => vec![missing(
            "what the engine is doing",
            format!("on {}: sudo jstack with its pid; the last lines of gc.log and of its log", engine.node),
        )],
    };
    Finding::supported(Support {
        certainty: if stopped.is_some() { Certainty::Certain } else { Certainty::Likely },
        blocks: Blocks::Now,
        node: Some(engine.node.clone()),
        sentence: format!(
            "{} on {} accepts connections on port {port} and does not answer: {because}.",
            engine.title(),
            engine.node
        ),
        detail: json!({ "pid": stopped.map(|process| process.pid), "state": stopped.map(|process| process.state.clone()) }),
        chain: vec![
            case.symptom_step("no-answer", &format!("a request to {} gets no answer", case.destination()), Vec::new()),
            Step::new("process-hung", fact, cites),
        ],
        change: None,
        missing: gaps,
    })
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_model::probe::HttpAnswer;
    use common_model::{Probe, Symptom};
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, STARTED, http, picture, probe};

    pub(crate) fn silence() -> Probe {
        Probe { connected: true, http: Some(http(HttpAnswer::Silence)), ..probe(Symptom::Timeout) }
    }

    pub(crate) fn fires() -> Picture {
        picture(Node::new().process_with(STARTED, &[], "T"), vec![silence()])
    }
}

#[cfg(test)]
mod tests {
    use controller_correlate::testing::{Node, answered, picture, probe};

    use super::fixture::{self, silence};
    use super::*;

    #[test]
    fn fires_for_a_stopped_process() {
        let verdict = crate::diagnose(&fixture::fires()).verdict;
        assert_eq!((verdict.cause.as_str(), verdict.certainty), ("process-hung", Certainty::Certain), "{verdict:#?}");
    }

    #[test]
    fn is_only_likely_when_the_process_may_just_be_busy() {
        let verdict = crate::diagnose(&picture(Node::new(), vec![silence()])).verdict;
        assert_eq!((verdict.cause.as_str(), verdict.certainty), ("process-hung", Certainty::Likely));
    }

    #[test]
    fn does_not_when_it_answers_or_never_connects() {
        for probe in [answered(200), probe(Symptom::Timeout)] {
            let picture = picture(Node::new(), vec![probe]);
            assert!(matches!(rule(&Case::of(&picture)), Finding::RuledOut { .. }));
        }
    }

    #[test]
    fn cannot_tell_whose_silence_it_is() {
        let node = Node::new().without::<common_evidence::collectors::engines::Engines>();
        let picture = picture(node, vec![silence()]);
        assert!(matches!(rule(&Case::of(&picture)), Finding::Unknown(_)));
    }
}
