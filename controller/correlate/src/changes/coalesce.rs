//! One happening, seen in several kinds of evidence, is one entry of the log.

use common_model::Change;
use common_model::change::Topic;

/// The unit's state and systemd's lines about it are at most this far apart, and the reads of one firewall by several tools.
const SAME_MOMENT_MS: i64 = 5_000;

/// The entries in order of time, those that tell of the same start, stop, failure or rule made one. The one that tells most stays,
/// with the items and the evidence of the others.
pub fn coalesce(mut changes: Vec<Change>) -> Vec<Change> {
    changes.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    let mut kept: Vec<Change> = Vec::new();
    for change in changes {
        // Only the newest counts: a unit that has started since stops anew.
        let newest = kept.iter_mut().rfind(|other| is_about_the_same(other, &change));
        match newest.filter(|other| is_same(other, &change)) {
            Some(other) => merge(other, change),
            None => kept.push(change),
        }
    }
    kept
}

/// Whether two changes are about the same thing, as far as it can be told without their time and outcome.
fn is_about_the_same(a: &Change, b: &Change) -> bool {
    if a.node != b.node || a.topic != b.topic {
        return false;
    }
    match a.topic {
        Topic::Unit => a.subject == b.subject && is_transition(a) && is_transition(b),
        Topic::Firewall => a.subject != b.subject && rules(a) == rules(b),
        Topic::Package => a.subject == b.subject && a.what == b.what && a.at == b.at,
        _ => false,
    }
}

/// Whether a later change about the same thing tells of the same happening.
fn is_same(earlier: &Change, later: &Change) -> bool {
    let agree = earlier.topic != Topic::Unit || agree(state(earlier), state(later));
    agree && later.at.millis_since(earlier.at) <= SAME_MOMENT_MS
}

fn is_transition(change: &Change) -> bool {
    change.items.iter().any(|item| matches!(item.key.as_str(), "active-state" | "exit-status" | "signal"))
}

/// The state a change of a unit ends in; none for one that tells only how its process ended.
fn state(change: &Change) -> Option<&str> {
    change.items.iter().find(|item| item.key == "active-state").and_then(|item| item.new.as_deref())
}

fn agree(a: Option<&str>, b: Option<&str>) -> bool {
    // How a process ended belongs to the failure or the stop that follows, not to a start.
    match (a, b) {
        (Some(a), Some(b)) => a == b,
        (Some(state), None) | (None, Some(state)) => state != "active",
        (None, None) => true,
    }
}

/// The ports and verdicts a firewall change speaks of, whoever tells it.
fn rules(change: &Change) -> Option<(usize, usize)> {
    let added = change.items.iter().filter(|item| item.new.is_some()).count();
    let removed = change.items.iter().filter(|item| item.old.is_some()).count();
    Some((added.min(1), removed.min(1)))
}

fn merge(kept: &mut Change, other: Change) {
    if weight(&other) > weight(kept) {
        kept.what.clone_from(&other.what);
        kept.diff.clone_from(&other.diff);
        kept.subject.clone_from(&other.subject);
        kept.id.clone_from(&other.id);
    }
    for item in other.items {
        if !kept.items.iter().any(|held| held.key == item.key && held.new == item.new) {
            kept.items.push(item);
        }
    }
    for id in other.evidence {
        if !kept.evidence.contains(&id) {
            kept.evidence.push(id);
        }
    }
    kept.not_before = kept.not_before.max(other.not_before).filter(|before| *before <= kept.at);
    if let Some(what) = failure(kept) {
        kept.what = what;
    }
}

/// How much a change tells: the tool people use before the kernel's view of it, a transition before a process's end.
fn weight(change: &Change) -> u8 {
    match change.topic {
        Topic::Firewall if matches!(change.subject.as_str(), "ufw" | "firewalld") => 2,
        Topic::Firewall if change.subject == "iptables" => 1,
        Topic::Unit if state(change).is_some() => 1,
        _ => 0,
    }
}

/// A failure with how its process ended, in words.
fn failure(change: &Change) -> Option<String> {
    let of = |key: &str| change.items.iter().find(|item| item.key == key).and_then(|item| item.new.as_deref());
    if change.topic != Topic::Unit || of("active-state") != Some("failed") {
        return None;
    }
    match (of("exit-status"), of("signal")) {
        (Some(status), _) => Some(format!("{} failed with exit status {status}", change.subject)),
        (None, Some(signal)) => Some(format!("{} failed: killed by signal {signal}", change.subject)),
        (None, None) => None,
    }
}
