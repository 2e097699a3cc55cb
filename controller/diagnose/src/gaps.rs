//! What is missing, in order: what would tell most comes first, and everything to be done stands there once.

use common_model::diagnosis::MissingEvidence;
use common_model::{Stage, Symptom};

/// Entries at most: one picture of one node has far fewer.
const MOST: usize = 32;

/// A rule's gap, with the stage its cause blocks.
pub(crate) type Gap = (Option<Stage>, MissingEvidence);

/// The stage that a symptom points to.
pub(crate) fn stage_of(symptom: Symptom) -> Option<Stage> {
    Some(match symptom {
        Symptom::Denied => Stage::Client,
        Symptom::Unresolved => Stage::Resolve,
        Symptom::Unreachable => Stage::Route,
        Symptom::Timeout => Stage::Filter,
        Symptom::Refused => Stage::Listen,
        Symptom::Reset | Symptom::Eof | Symptom::TlsFailure => Stage::Tls,
        Symptom::HttpError => Stage::Http,
        Symptom::Ok | Symptom::None => return None,
    })
}

/// Those of this stage first, else in the order of the catalogue.
pub(crate) fn ordered(mut gaps: Vec<Gap>, stage: Option<Stage>) -> Vec<MissingEvidence> {
    gaps.sort_by_key(|(of, _)| stage.is_some() && *of != stage);
    gaps.into_iter().map(|(_, missing)| missing).collect()
}

/// Gaps that are filled by the same steps, or by some of them, become one. At most [`MOST`].
pub(crate) fn merged(gaps: Vec<MissingEvidence>) -> Vec<MissingEvidence> {
    let mut kept: Vec<MissingEvidence> = Vec::new();
    for gap in gaps {
        let fills = |held: &&mut MissingEvidence| {
            covers(&held.how_to_get_it, &gap.how_to_get_it) || covers(&gap.how_to_get_it, &held.how_to_get_it)
        };
        let Some(held) = kept.iter_mut().find(fills) else {
            kept.push(gap);
            continue;
        };
        if !covers(&held.how_to_get_it, &gap.how_to_get_it) {
            held.how_to_get_it = gap.how_to_get_it;
        }
        if !held.evidence.contains(&gap.evidence) {
            held.evidence = format!("{}; {}", held.evidence, gap.evidence);
        }
    }
    kept.truncate(MOST);
    kept
}

/// Whether who does `whole` has done `part` as well: every step of it, at the same place.
fn covers(whole: &str, part: &str) -> bool {
    let ((at, whole), (there, part)) = (place(whole), place(part));
    at == there && part.split("; ").all(|step| whole.split("; ").any(|done| done == step))
}

/// `on es-1: sudo ss -ltnp` as its place and what is done there.
fn place(how: &str) -> (Option<&str>, &str) {
    match how.split_once(": ") {
        Some((place, steps)) if place.starts_with("on ") || place == "there" => (Some(place), steps),
        _ => (None, how),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::missing;

    #[test]
    fn what_the_symptom_points_to_comes_first() {
        let gaps = || {
            vec![
                (Some(Stage::Filter), missing("rules", "nft")),
                (None, missing("x", "y")),
                (Some(Stage::Listen), missing("sockets", "ss")),
            ]
        };
        let order = |stage| ordered(gaps(), stage).into_iter().map(|gap| gap.evidence).collect::<Vec<_>>();
        assert_eq!(order(stage_of(Symptom::Refused)), ["sockets", "rules", "x"]);
        assert_eq!(order(stage_of(Symptom::None)), ["rules", "x", "sockets"]);
    }

    #[test]
    fn one_thing_to_do_stands_there_once() {
        let gaps = vec![
            missing("what the log says", "on es-1: tail LOG"),
            missing("the address", "on es-1: cat YML"),
            missing("what it wrote", "on es-1: journalctl; tail LOG"),
            missing("the port", "on es-1: cat YML"),
            missing("the port", "on es-1: cat YML"),
            missing("the port of the other", "on es-2: cat YML"),
        ];
        let told: Vec<(String, String)> =
            merged(gaps).into_iter().map(|gap| (gap.evidence, gap.how_to_get_it)).collect();
        let expected = [
            ("what the log says; what it wrote", "on es-1: journalctl; tail LOG"),
            ("the address; the port", "on es-1: cat YML"),
            ("the port of the other", "on es-2: cat YML"),
        ];
        assert_eq!(told, expected.map(|(evidence, how)| (evidence.to_owned(), how.to_owned())));
    }
}
