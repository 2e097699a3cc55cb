//! What holds for every picture: the same picture gives the same verdict, broken evidence breaks nothing, and less evidence never
//! makes another cause certain.

use std::collections::BTreeSet;

use common_evidence::collectors::sockets::Listener;
use common_model::{Body, Certainty, Diagnosis, Probe, Symptom};
use controller_correlate::testing::{AT, Node, STARTED, answered, foreign, picture, probe};
use controller_correlate::{Picture, Reading};

use crate::causes::{FIRES, by_id};
use crate::diagnose;

/// The pictures of the causes that are certain in theirs, by id.
fn scenes() -> Vec<(&'static str, Picture)> {
    let pictures = FIRES.iter().map(|(cause, fires)| (cause.id, fires()));
    pictures.filter(|(_, picture)| diagnose(picture).verdict.certainty == Certainty::Certain).collect()
}

/// Those of them that rest on evidence from the node; the wire alone decides the others.
fn of_nodes() -> Vec<(&'static str, Picture)> {
    let rests = |id: &str| by_id(id).is_some_and(|cause| !cause.needs.is_empty());
    scenes().into_iter().filter(|(cause, _)| rests(cause)).collect()
}

fn edited(picture: &Picture, edit: impl Fn(&mut Vec<common_model::Envelope>)) -> Picture {
    let mut picture = picture.clone();
    picture.nodes.values_mut().for_each(|node| edit(&mut node.evidence));
    picture
}

fn kinds(picture: &Picture) -> BTreeSet<(String, String)> {
    let envelopes = picture.nodes.values().flat_map(|node| &node.evidence);
    envelopes.map(|envelope| (envelope.kind.to_string(), envelope.subject.clone())).collect()
}

/// With less evidence the verdict may get weaker, never certain of something else.
fn weaker(cause: &str, diagnosis: &Diagnosis, without: &str) {
    let verdict = &diagnosis.verdict;
    let same = verdict.cause.as_str() == cause;
    assert!(same || verdict.certainty != Certainty::Certain, "{cause} without {without}: {verdict:#?}");
}

#[test]
fn the_same_picture_gives_the_same_answer() {
    for (cause, fires) in FIRES {
        let said = || serde_json::to_string(&diagnose(&fires())).unwrap();
        assert_eq!(said(), said(), "{}", cause.id);
    }
}

#[test]
fn every_id_that_is_cited_is_quoted() {
    for (cause, picture) in scenes() {
        let diagnosis = diagnose(&picture);
        let quoted: BTreeSet<&str> = diagnosis.evidence.iter().map(|cited| cited.id.as_str()).collect();
        let links = diagnosis.verdict.chain.iter().flat_map(|link| &link.evidence);
        let stages = diagnosis.path.iter().flat_map(|stage| &stage.evidence);
        let ruled_out = diagnosis.ruled_out.iter().flat_map(|out| &out.evidence);
        for id in links.chain(stages).chain(ruled_out) {
            assert!(quoted.contains(id.as_str()), "{cause}: {id}");
        }
        assert!(
            diagnosis.evidence.iter().all(|cited| !cited.excerpt.is_empty() && !cited.source.is_empty()),
            "{cause}"
        );
    }
}

#[test]
fn taking_evidence_away_never_makes_another_cause_certain() {
    for (cause, picture) in scenes() {
        let kinds: Vec<_> = kinds(&picture).into_iter().collect();
        for (kind, subject) in &kinds {
            let gone = |held: &common_model::Envelope| held.kind.as_str() == kind && held.subject == *subject;
            weaker(cause, &diagnose(&edited(&picture, |all| all.retain(|held| !gone(held)))), kind);
            for (other, of) in &kinds {
                let both =
                    |held: &common_model::Envelope| gone(held) || (held.kind.as_str() == other && held.subject == *of);
                weaker(
                    cause,
                    &diagnose(&edited(&picture, |all| all.retain(|held| !both(held)))),
                    &format!("{kind} and {other}"),
                );
            }
        }
        weaker(cause, &diagnose(&edited(&picture, Vec::clear)), "anything");
    }
}

#[test]
fn broken_evidence_breaks_nothing() {
    for (cause, picture) in scenes() {
        for (kind, subject) in kinds(&picture) {
            for broken in [&b""[..], b"{", b"\xff\xfe\x00", b"null", b"7"] {
                let garbled = edited(&picture, |all| {
                    for held in all.iter_mut().filter(|held| held.kind.as_str() == kind && held.subject == subject) {
                        held.body = Body::Raw(broken.to_vec());
                    }
                });
                weaker(cause, &diagnose(&garbled), &format!("{kind} garbled as {:?}", String::from_utf8_lossy(broken)));
            }
            let cut = edited(&picture, |all| {
                for held in all.iter_mut().filter(|held| held.kind.as_str() == kind) {
                    if let Body::Raw(raw) = &mut held.body {
                        raw.truncate(raw.len() / 2);
                    }
                }
            });
            weaker(cause, &diagnose(&cut), &format!("half of {kind}"));
        }
    }
}

#[test]
fn stale_evidence_is_never_certain_of_the_node() {
    for (cause, mut picture) in of_nodes() {
        for node in picture.nodes.values_mut() {
            node.agent.online = false;
            node.agent.confirmed_at = Some(AT.plus_millis(-600_000));
            node.agent.last_seen = node.agent.confirmed_at;
        }
        let diagnosis = diagnose(&picture);
        assert_ne!(diagnosis.verdict.certainty, Certainty::Certain, "{cause}");
        assert!(
            diagnosis.missing.iter().any(|missing| missing.evidence.contains("last heard")),
            "{cause}: {:?}",
            diagnosis.missing
        );
    }
}

#[test]
fn a_probe_that_answers_outweighs_every_static_rule() {
    for (cause, picture) in of_nodes() {
        let answered = Picture { probes: vec![answered(200)], ..picture };
        assert_eq!(diagnose(&answered).verdict.cause.as_str(), "healthy", "{cause}");
    }
}

#[test]
fn an_answer_of_another_engine_elsewhere_does_not_count_for_this_vantage() {
    let here = Probe { vantage: "here".to_owned(), source: Some("10.0.0.9".parse().unwrap()), ..answered(200) };
    let diagnosis = diagnose(&picture(Node::new().listening(&["[::1]:9200"]), vec![here, probe(Symptom::Refused)]));
    assert_ne!(diagnosis.verdict.cause.as_str(), "healthy", "{:#?}", diagnosis.verdict);
}

#[test]
fn hostile_text_reaches_no_sentence_unescaped() {
    let hostile = Listener { ..foreign("[::]:9200", "\u{1b}[2Jevil\u{202e}", "x\u{1b}]0;y.service") };
    let node = Node::new()
        .yml("network.host: 0.0.0.0\nhttp.port: \"9201\\u001b[2J\"\n", STARTED.plus_millis(-1000))
        .listeners(vec![hostile]);
    let diagnosis = diagnose(&picture(node, vec![probe(Symptom::Refused)]));
    let sentences = [&diagnosis.verdict.sentence].into_iter().chain(diagnosis.path.iter().map(|stage| &stage.sentence));
    let excerpts = diagnosis.evidence.iter().flat_map(|cited| [&cited.excerpt, &cited.source]);
    let ruled_out = diagnosis.ruled_out.iter().map(|out| &out.because);
    for text in sentences.chain(excerpts).chain(ruled_out) {
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    }
}

#[test]
fn a_source_that_could_not_be_read_is_a_gap_not_an_absence() {
    use common_evidence::collectors::sockets::Sockets;

    let node = Node::new().denied::<Sockets>("");
    assert!(matches!(node.evidence().iter().rev().map(|held| &held.body).next(), Some(Body::Failed(_))));
    let diagnosis = diagnose(&picture(node, vec![probe(Symptom::Refused)]));
    assert_eq!(diagnosis.verdict.certainty, Certainty::Undetermined, "{:#?}", diagnosis.verdict);
    let reading: Reading<Sockets> = Node::new().build().one("");
    assert!(reading.known().is_some());
}
