//! What holds for every picture: the same picture gives the same verdict, broken evidence breaks nothing, and less evidence never
//! makes another cause certain.

use std::collections::BTreeSet;

use common_evidence::collectors::sockets::Listener;
use common_model::change::{ChangedItem, Topic};
use common_model::{Body, Certainty, Change, Diagnosis, Probe, Symptom, Timestamp};
use controller_correlate::testing::{AT, Node, STARTED, YML, answered, foreign, picture, probe};
use controller_correlate::{Picture, Reading};

use crate::causes::{FIRES, by_id};
use crate::diagnose;
use crate::start::pictures::FAILED_AT;

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
fn an_agent_that_is_connected_but_confirms_nothing_is_not_called_down() {
    let (cause, mut picture) = of_nodes().swap_remove(0);
    for node in picture.nodes.values_mut() {
        node.agent.confirmed_at = Some(AT.plus_millis(-600_000));
    }
    let diagnosis = diagnose(&picture);
    assert_eq!((diagnosis.verdict.cause.as_str(), diagnosis.verdict.certainty), (cause, Certainty::Likely));
    assert!(says(&diagnosis, &["is connected but has not confirmed", "10 min old"]), "{:?}", diagnosis.missing);
    let how: Vec<&str> = diagnosis.missing.iter().map(|missing| missing.how_to_get_it.as_str()).collect();
    assert!(how.iter().any(|how| how.contains("df /var/lib/dialtone-agent")), "{how:?}");
}

/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;

fn says(diagnosis: &Diagnosis, words: &[&str]) -> bool {
    diagnosis.missing.iter().any(|missing| words.iter().all(|word| missing.evidence.contains(word)))
}

#[test]
fn a_clock_that_is_a_day_off_is_named_and_changes_no_verdict() {
    for (cause, right) in of_nodes() {
        for (off, words) in [(DAY_MS, "24 h ahead of"), (-DAY_MS, "24 h behind")] {
            // The node dates everything by its own clock: seen from it, it is the picture that was taken at another time.
            let mut skewed = Picture { at: right.at.plus_millis(-off), ..right.clone() };
            for node in skewed.nodes.values_mut() {
                node.agent.clock_offset_ms = off;
                node.agent.confirmed_at = Some(skewed.at);
                node.agent.last_seen = Some(skewed.at);
                // This the controller dates.
                node.cloud.iter_mut().for_each(|cloud| cloud.taken_at = skewed.at);
            }
            let (right, skewed) = (diagnose(&right), diagnose(&skewed));
            assert!(says(&skewed, &["es-1's", words, "the controller's"]), "{cause}: {:?}", skewed.missing);
            assert_eq!((&skewed.verdict, &skewed.change), (&right.verdict, &right.change));
        }
    }
}

/// An entry of the log: port 9201 was set in the yml.
fn port_changed(at: Timestamp) -> Change {
    Change {
        id: "c1".to_owned(),
        node: "es-1".parse().unwrap(),
        at,
        not_before: None,
        topic: Topic::Config,
        subject: YML.to_owned(),
        what: "http.port: (unset) → 9201".to_owned(),
        diff: String::new(),
        items: vec![ChangedItem { key: "http.port".to_owned(), old: None, new: Some("9201".to_owned()) }],
        who: None,
        how: None,
        evidence: Vec::new(),
    }
}

/// An entry of the log: the clock, which was a day ahead, was set right then.
fn set_back(to: Timestamp) -> Change {
    let item = ChangedItem {
        key: "clock".to_owned(),
        old: Some(to.plus_millis(DAY_MS).to_string()),
        new: Some(to.to_string()),
    };
    let what = "the clock was set back by 24 h".to_owned();
    Change { at: to, topic: Topic::Clock, items: vec![item], what, ..port_changed(to) }
}

#[test]
fn what_may_have_come_later_is_not_blamed_after_a_clock_was_set_back() {
    let moved = |yml_written| {
        Node::new().yml("network.host: 0.0.0.0\nhttp.port: 9201\n", yml_written).listening(&["[::]:9201", "[::]:9300"])
    };
    let asked = |node: Node| diagnose(&picture(node, vec![probe(Symptom::Refused)]));
    // An edit well before the start is blamed, also when the clock was set back long before.
    let edit = STARTED.plus_millis(-600_000);
    let long_ago = set_back(STARTED.plus_millis(-10 * DAY_MS));
    let blamed = asked(moved(edit).change(long_ago).change(port_changed(edit)));
    assert_eq!(blamed.change.as_ref().map(|change| change.at), Some(edit), "{blamed:#?}");
    assert!(!says(&blamed, &["twice"]));

    // The same edit, in the day that the clock went through twice.
    let twice = asked(moved(edit).change(set_back(edit.plus_millis(-3_600_000))).change(port_changed(edit)));
    assert_eq!((twice.verdict.cause.as_str(), &twice.change), ("port-differs", &None), "{twice:#?}");
    assert!(says(&twice, &["es-1", "twice", "set back by 24 h"]), "{:?}", twice.missing);
}

#[test]
fn an_agent_that_still_reads_is_named_where_the_verdict_rests_on_it() {
    let gaps = |node: Node| {
        let diagnosis = diagnose(&picture(node, vec![probe(Symptom::Refused)]));
        diagnosis.missing.iter().filter(|missing| missing.evidence.contains("what es-1 reads at this moment")).count()
    };
    assert_eq!((gaps(Node::new().stopped(FAILED_AT).late()), gaps(Node::new().stopped(FAILED_AT))), (1, 0));
    let healthy = diagnose(&picture(Node::new().late(), vec![answered(200)]));
    assert_eq!(healthy.missing, Vec::new());
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

/// Every string of a JSON value.
fn strings(value: &serde_json::Value) -> Vec<&str> {
    match value {
        serde_json::Value::String(text) => vec![text],
        serde_json::Value::Array(items) => items.iter().flat_map(strings).collect(),
        serde_json::Value::Object(fields) => fields.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_hostile_line_of_the_journal_acts_on_nothing_that_shows_it() {
    let line = "java.net.BindException: Address already in use\u{1b}]0;owned\u{7}\u{1b}[2J\r\u{9b}31m\u{202e}\u{200b}";
    let node = Node::new()
        .starting(FAILED_AT.plus_millis(-5000))
        .stderr(FAILED_AT.plus_millis(-100), line)
        .failed(FAILED_AT, 1);
    let log: Vec<Change> =
        node.evidence().iter().flat_map(|held| controller_correlate::changes::between(None, held)).collect();
    let diagnosis = diagnose(&picture(node, vec![probe(Symptom::Refused)]));
    assert_eq!(diagnosis.verdict.cause.as_str(), "port-taken", "{:#?}", diagnosis.verdict);
    assert!(diagnosis.evidence.iter().any(|cited| cited.excerpt.contains("\\u{1b}[2J")), "{:#?}", diagnosis.evidence);
    for shown in [serde_json::to_value(&diagnosis).unwrap(), serde_json::to_value(&log).unwrap()] {
        for text in strings(&shown) {
            assert_eq!(common_model::text::printable(text), text);
        }
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
