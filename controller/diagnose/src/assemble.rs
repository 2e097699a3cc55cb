//! From the findings of all causes to one diagnosis.

use common_model::change::Change;
use common_model::diagnosis::{
    ChangeSeen, Citation, Diagnosis, EndpointSeen, Link, MissingEvidence, RuledOut, SCHEMA, Verdict,
};
use common_model::{CauseId, Certainty, Stage};
use controller_correlate::Resolution;

use crate::case::Case;
use crate::causes::{self, undetermined};
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support, missing};
use crate::gaps::{self, Gap};
use crate::path;

/// Pieces of evidence quoted at most.
const CITED: usize = 64;

/// A cause that applies, with its place in the catalogue.
pub(crate) struct Supported {
    /// The entry.
    pub(crate) cause: &'static Cause,
    /// What it says.
    pub(crate) support: Support,
}

/// All that the rules said.
#[derive(Default)]
struct Findings {
    supported: Vec<Supported>,
    ruled_out: Vec<RuledOut>,
    missing: Vec<Gap>,
    cited: Vec<Citation>,
}

/// Runs every rule and puts the answers together.
pub(crate) fn diagnosis(case: &Case<'_>) -> Diagnosis {
    let mut found = findings(case);
    let is_next = |supported: &Supported| supported.support.blocks == Blocks::Next;
    found.supported.sort_by_key(|supported| (is_next(supported), stage_order(supported.cause.stage)));
    let mut reasons = 0;
    found.supported.retain(|supported| {
        reasons += usize::from(supported.support.blocks == Blocks::Start);
        supported.support.blocks != Blocks::Start || reasons == 1
    });
    let first = found.supported.iter().position(|supported| !is_next(supported));
    let stage =
        first.map_or_else(|| gaps::stage_of(case.wire.symptom()), |index| found.supported.get(index)?.cause.stage);
    let gaps = gaps::ordered(std::mem::take(&mut found.missing), stage);
    let mut missing = Vec::new();
    let mut verdict = match first {
        Some(index) => found.supported.remove(index),
        None => undetermined::supported(case, gaps.first()),
    };
    cap(case, &mut verdict, &mut missing);
    if !verdict.cause.needs.is_empty() {
        missing.extend(case.clock_gaps());
    }
    missing.extend(verdict.support.missing.iter().cloned());
    if verdict.support.certainty != Certainty::Certain {
        missing.extend(gaps);
    }
    let path = path::stages(case, &verdict, &found.supported, &mut found.cited);
    let blockers: Vec<Supported> = found.supported.into_iter().filter(|behind| behind.cause.stage.is_some()).collect();
    let change = verdict.support.change.as_ref().map(|change| seen(case, change, &mut found.cited));
    let mut cited = Vec::new();
    let told = tell(&verdict, &mut cited);
    let behind = blockers.iter().map(|blocker| tell(blocker, &mut cited)).collect();
    cited.append(&mut found.cited);
    Diagnosis {
        schema: SCHEMA.to_owned(),
        endpoint: EndpointSeen {
            scheme: case.picture.endpoint.scheme,
            host: case.picture.endpoint.host.clone(),
            port: case.picture.endpoint.port,
            addresses: match &case.picture.resolution {
                Resolution::Addresses(addresses) => addresses.clone(),
                Resolution::NotTried | Resolution::Failed(_) => case.picture.endpoint.address().into_iter().collect(),
            },
        },
        symptom: case.wire.symptom(),
        verdict: told,
        blockers: behind,
        path,
        ruled_out: found.ruled_out,
        missing: gaps::merged(missing),
        evidence: unique(cited),
        change,
        remedies: Vec::new(),
        probes: case.picture.probes.clone(),
        elapsed_ms: 0,
    }
}

fn findings(case: &Case<'_>) -> Findings {
    let mut found = Findings::default();
    for cause in causes::ALL {
        match (cause.rule)(case) {
            Finding::Supported(support) => found.supported.push(Supported { cause, support: *support }),
            Finding::RuledOut { because, cites } => {
                let Ok(id) = cause.id.parse() else { continue };
                let evidence = cites.iter().map(|cite| cite.id.clone()).collect();
                found.ruled_out.push(RuledOut { cause: id, because, evidence });
                found.cited.extend(cites);
            }
            Finding::Unknown(missing) => found.missing.extend(missing.into_iter().map(|gap| (cause.stage, gap))),
        }
    }
    found
}

fn stage_order(stage: Option<Stage>) -> usize {
    stage.and_then(|stage| Stage::ALL.iter().position(|other| *other == stage)).unwrap_or(Stage::ALL.len())
}

/// Takes certainty away where the evidence is stale, or where something nearer to the client may stop it first.
fn cap(case: &Case<'_>, verdict: &mut Supported, missing: &mut Vec<MissingEvidence>) {
    let rests_on_node = !verdict.cause.needs.is_empty();
    if let Some(stale) = case.staleness().filter(|_| rests_on_node || verdict.support.certainty != Certainty::Certain) {
        missing.push(stale);
        if rests_on_node {
            verdict.support.certainty = verdict.support.certainty.min(Certainty::Likely);
        }
    }
    let is_certain = verdict.support.certainty == Certainty::Certain;
    let late = case.still_reading().filter(|_| rests_on_node || !is_certain);
    // What it sent before may tell of a start before the one that failed.
    if late.is_some() && verdict.support.blocks == Blocks::Start {
        verdict.support.certainty = verdict.support.certainty.min(Certainty::Likely);
    }
    missing.extend(late);
    let told_who = verdict.support.change.as_ref().is_some_and(|change| change.who.is_some());
    missing.extend(case.unread_journal().filter(|_| rests_on_node && !told_who));
    if let Some(guess) = case.guesses_node().filter(|_| rests_on_node) {
        verdict.support.certainty = verdict.support.certainty.min(Certainty::Likely);
        missing.push(guess);
    }
    // The connection stands, so the engine behind the other process may be one that is not seen here, as in a container.
    let names_holder = verdict.cause.id == "port-differs";
    if verdict.cause.stage == Some(Stage::Listen)
        && !names_holder
        && case.wire.connected().is_some()
        && case.is_taken_by_other()
    {
        verdict.support.certainty = verdict.support.certainty.min(Certainty::Likely);
        let port = case.picture.endpoint.port;
        missing.push(self::missing(
            format!("what another process does with connections to port {port}"),
            format!("on the node: sudo ss -ltnp 'sport = :{port}'"),
        ));
    }
    let behind_filter = verdict.cause.stage.is_some_and(|stage| stage > Stage::Filter);
    if behind_filter && case.wire.is_before_socket() {
        verdict.support.certainty = verdict.support.certainty.min(Certainty::Likely);
        missing.push(self::missing(
            format!("why {} does not refuse: a closed port would", case.destination()),
            "on the node: sudo nft list ruleset; in a cloud: the security group and network ACL",
        ));
    }
}

fn tell(supported: &Supported, cited: &mut Vec<Citation>) -> Verdict {
    let support = &supported.support;
    Verdict {
        cause: id(supported.cause.id),
        certainty: support.certainty,
        node: support.node.clone(),
        title: supported.cause.title.to_owned(),
        sentence: support.sentence.clone(),
        detail: support.detail.clone(),
        chain: support.chain.iter().map(|step| link(step, cited)).collect(),
    }
}

fn link(step: &Step, cited: &mut Vec<Citation>) -> Link {
    cited.extend(step.cites.iter().cloned());
    let mut evidence = Vec::new();
    for cite in &step.cites {
        if !evidence.contains(&cite.id) {
            evidence.push(cite.id.clone());
        }
    }
    Link { cause: step.cause.to_owned(), sentence: step.sentence.clone(), evidence }
}

/// An id of the catalogue; a test parses every one of them.
fn id(text: &str) -> CauseId {
    #[expect(clippy::expect_used, reason = "ids are constants, and a test parses each")]
    text.parse().expect("ids of the catalogue are valid")
}

fn seen(case: &Case<'_>, change: &Change, cited: &mut Vec<Citation>) -> ChangeSeen {
    if let Some(node) = case.node() {
        for id in &change.evidence {
            let held = node.evidence.iter().find(|envelope| envelope.id() == *id);
            let Some(envelope) = held else { continue };
            let source = if envelope.subject.is_empty() { change.subject.as_str() } else { envelope.subject.as_str() };
            let excerpt = match &change.how {
                Some(how) if envelope.kind.as_str() == "journal" => how.as_str(),
                _ => change.what.as_str(),
            };
            cited.extend(cite::by_id(&node.name, id, envelope.kind.as_str(), envelope.taken_at, excerpt, source));
        }
    }
    ChangeSeen {
        id: change.id.clone(),
        node: change.node.clone(),
        at: change.at,
        not_before: change.not_before,
        what: change.what.clone(),
        diff: change.diff.clone(),
        who: change.who.clone(),
        how: change.how.clone(),
        evidence: change.evidence.clone(),
    }
}

/// Without repetitions, in order; at most [`CITED`].
fn unique(items: Vec<Citation>) -> Vec<Citation> {
    let mut kept: Vec<Citation> = Vec::new();
    for item in items {
        if !kept.contains(&item) && kept.len() < CITED {
            kept.push(item);
        }
    }
    kept
}
