//! The stages of the path, each passed, failed, unknown or not reached.

use common_evidence::firewall::Fate;
use common_model::diagnosis::{Citation, PathStage, StageState};
use common_model::probe::HttpAnswer;
use common_model::{Probe, Scheme, Stage, Symptom};
use controller_correlate::Resolution;

use crate::assemble::Supported;
use crate::case::{Case, vantage};
use crate::cite;
use crate::packet;

struct Told {
    state: StageState,
    sentence: String,
    cites: Vec<Citation>,
}

fn told(state: StageState, sentence: impl Into<String>, cites: Vec<Citation>) -> Told {
    Told { state, sentence: sentence.into(), cites }
}

/// Every stage in order. What is quoted is added to `cited`.
pub(crate) fn stages(
    case: &Case<'_>,
    verdict: &Supported,
    behind: &[Supported],
    cited: &mut Vec<Citation>,
) -> Vec<PathStage> {
    let failing =
        |stage: Stage| std::iter::once(verdict).chain(behind).find(|supported| supported.cause.stage == Some(stage));
    let first_failure = Stage::ALL.into_iter().find(|stage| failing(*stage).is_some());
    Stage::ALL
        .into_iter()
        .map(|stage| {
            let told = match failing(stage) {
                Some(supported) => {
                    let cites = supported.support.chain.iter().flat_map(|step| step.cites.iter().cloned()).collect();
                    told(StageState::Fail, supported.support.sentence.clone(), cites)
                }
                None => {
                    observed(case, stage).unwrap_or_else(|| silent(first_failure.is_some_and(|first| first < stage)))
                }
            };
            let mut evidence = Vec::new();
            for cite in &told.cites {
                if !evidence.contains(&cite.id) {
                    evidence.push(cite.id.clone());
                }
            }
            cited.extend(told.cites);
            PathStage { stage, state: told.state, sentence: told.sentence, evidence }
        })
        .collect()
}

fn silent(behind_failure: bool) -> Told {
    if behind_failure {
        told(StageState::NotReached, "not reached", Vec::new())
    } else {
        told(StageState::Unknown, "not known", Vec::new())
    }
}

/// What the wire and the node's state show of a stage that no cause blocks.
fn observed(case: &Case<'_>, stage: Stage) -> Option<Told> {
    let probe = case.wire.deciding();
    match stage {
        Stage::Client => client(probe?),
        Stage::Resolve => resolve(case),
        Stage::Route => route(case, probe?),
        Stage::Filter => filter(case, probe?),
        Stage::Listen => listen(case, probe),
        Stage::Tls => tls(case, probe?),
        Stage::Http => http(probe?),
        Stage::Cluster => None,
    }
}

fn client(probe: &Probe) -> Option<Told> {
    let sent = !matches!(probe.outcome, Symptom::Denied | Symptom::Unresolved | Symptom::None);
    sent.then(|| told(StageState::Pass, format!("{} can send", vantage(&probe.vantage)), Vec::new()))
}

fn resolve(case: &Case<'_>) -> Option<Told> {
    let host = &case.picture.endpoint.host;
    match &case.picture.resolution {
        Resolution::Addresses(_) if case.picture.endpoint.address().is_some() => {
            Some(told(StageState::Pass, format!("{host} is an address"), Vec::new()))
        }
        Resolution::Addresses(addresses) => {
            let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            Some(told(StageState::Pass, format!("{host} is {}", list.join(", ")), Vec::new()))
        }
        Resolution::NotTried | Resolution::Failed(_) => None,
    }
}

fn route(case: &Case<'_>, probe: &Probe) -> Option<Told> {
    if probe.connected || probe.outcome == Symptom::Refused {
        let sentence = format!("packets from {} get an answer", vantage(&probe.vantage));
        return Some(told(StageState::Pass, sentence, cite::probe(probe)));
    }
    // The filter is behind the way to the host: when it decided as seen, the packets arrived.
    matches!(packet::fate(case, probe), Some(Fate::Blocked(_)))
        .then(|| told(StageState::Pass, "the host is up", Vec::new()))
}

fn filter(case: &Case<'_>, probe: &Probe) -> Option<Told> {
    if probe.connected && !packet::is_silenced(case, probe) {
        return Some(told(StageState::Pass, "no filter stops the connection", cite::probe(probe)));
    }
    match packet::fate(case, probe)? {
        Fate::Passes => {
            let source = probe.source?;
            let sentence = format!("the node's rules let {source} reach port {}", probe.port);
            Some(told(StageState::Pass, sentence, packet::quote_none(case)))
        }
        Fate::Blocked(_) | Fate::Unclear(_) => None,
    }
}

fn listen(case: &Case<'_>, probe: Option<&Probe>) -> Option<Told> {
    if let Some(probe) = probe.filter(|probe| probe.connected) {
        return Some(told(StageState::Pass, format!("{} accepts connections", case.destination()), cite::probe(probe)));
    }
    let engine = case.engine().ok()?;
    let port = case.picture.endpoint.port;
    let sockets = engine.sockets.known()?;
    let accepting: Vec<_> = engine
        .listeners()?
        .into_iter()
        .filter(|listener| listener.port == port && case.addresses().iter().any(|address| listener.accepts(*address)))
        .collect();
    let first = accepting.first()?;
    let sentence = format!("{} listens on {}", engine.title(), first.shown());
    Some(told(StageState::Pass, sentence, cite::listeners(&engine.node, sockets, &accepting, port)))
}

fn tls(case: &Case<'_>, probe: &Probe) -> Option<Told> {
    let answered = probe.http.as_ref().filter(|http| http.answer == HttpAnswer::Http)?;
    let sentence = match (case.picture.endpoint.scheme, answered.over_tls) {
        (Some(Scheme::Https), true) => "the TLS handshake completes",
        (Some(Scheme::Http) | None, false) => "plain HTTP, as asked",
        _ => return None,
    };
    Some(told(StageState::Pass, sentence, cite::probe(probe)))
}

fn http(probe: &Probe) -> Option<Told> {
    if probe.outcome != Symptom::Ok {
        return None;
    }
    let http = probe.http.as_ref()?;
    let status = http.status.map(|status| format!(" {status}")).unwrap_or_default();
    let who = http.product.map_or("it", common_model::probe::Product::title);
    Some(told(StageState::Pass, format!("{who} answers HTTP{status}"), cite::probe(probe)))
}
