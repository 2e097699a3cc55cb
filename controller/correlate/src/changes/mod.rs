//! The change log: what differs between two consecutive pieces of evidence, and what happened.

pub mod attribute;
mod clock;
mod coalesce;
mod config;
mod firewall;
mod host;
mod journal;
mod packages;
mod sockets;
mod sysctl;
mod unit;

use common_evidence::Evidence;
use common_model::change::{ChangedItem, Topic};
use common_model::text::{printable, printable_line};
use common_model::{Body, Change, Envelope, Timestamp};

pub use clock::Relived;
pub use coalesce::coalesce;

use crate::picture::NodePicture;

/// The changes that `next` shows against `previous`, the newest envelope of the same node, kind and subject before it (for
/// events: always none). The first envelope of a state ever seen changes nothing.
pub fn between(previous: Option<&Envelope>, next: &Envelope) -> Vec<Change> {
    let kinds: [fn(&Pair<'_>) -> Vec<Draft>; 11] = [
        config::changes,
        unit::changes,
        journal::changes,
        sysctl::live,
        sysctl::persisted,
        firewall::changes,
        packages::changes,
        sockets::changes,
        clock::set_back,
        host::boot,
        host::addresses,
    ];
    let pair = Pair { previous, next };
    let drafts = kinds.iter().flat_map(|changes| changes(&pair));
    drafts.enumerate().map(|(index, draft)| pair.change(index, draft)).collect()
}

/// The change log of a node as people read it: in order of time, each happening once, with who did it where the node's records tell.
pub fn timeline(node: &NodePicture) -> Vec<Change> {
    attribute::attributed(coalesce(node.changes.clone()), node)
}

/// Two consecutive envelopes of one node, kind and subject.
struct Pair<'a> {
    previous: Option<&'a Envelope>,
    next: &'a Envelope,
}

/// A change before it has a name.
struct Draft {
    at: Timestamp,
    topic: Topic,
    subject: String,
    what: String,
    diff: String,
    items: Vec<ChangedItem>,
}

impl Pair<'_> {
    /// The old and the new value, when the pair is of this kind and both were read; a subject that came or went is its default.
    fn states<T: Evidence + Default>(&self) -> Option<(T, T)> {
        let previous = self.previous?;
        if self.next.kind.as_str() != T::KIND {
            return None;
        }
        Some((value(previous)?, value(self.next)?))
    }

    /// The value of an event of this kind.
    fn event<T: Evidence + Default>(&self) -> Option<T> {
        let is_read = matches!(self.next.body, Body::Raw(_));
        (is_read && self.next.kind.as_str() == T::KIND).then(|| value(self.next)).flatten()
    }

    fn change(&self, index: usize, draft: Draft) -> Change {
        let next = self.next;
        let mut evidence: Vec<_> = self.previous.map(Envelope::id).into_iter().collect();
        evidence.push(next.id());
        let not_before = self.previous.map(|previous| previous.taken_at).filter(|before| *before <= draft.at);
        Change {
            id: format!("{:08x}-{}-{index}", next.incarnation.0 & 0xffff_ffff, next.seq),
            node: next.node.clone(),
            at: draft.at,
            not_before,
            topic: draft.topic,
            subject: printable_line(&draft.subject),
            what: printable_line(&draft.what),
            diff: printable(&draft.diff),
            items: draft.items,
            who: None,
            how: None,
            evidence,
        }
    }
}

fn value<T: Evidence + Default>(envelope: &Envelope) -> Option<T> {
    match &envelope.body {
        Body::Raw(raw) => Some(T::parse(raw, &envelope.subject, envelope.schema).value),
        Body::Gone => Some(T::default()),
        Body::Failed(_) => None,
    }
}

fn item(key: &str, old: Option<String>, new: Option<String>) -> ChangedItem {
    ChangedItem { key: key.to_owned(), old, new }
}

/// `key: old → new`, for one line of the log.
fn arrow(item: &ChangedItem) -> String {
    let shown = |value: &Option<String>| {
        value.as_deref().map_or("(unset)".to_owned(), |value| value.chars().take(120).collect())
    };
    format!("{}: {} → {}", item.key, shown(&item.old), shown(&item.new))
}

/// The first few of many, for one line of the log.
fn listed(parts: &[String]) -> String {
    const FEW: usize = 3;
    let mut line = parts.iter().take(FEW).cloned().collect::<Vec<_>>().join("; ");
    if parts.len() > FEW {
        line.push_str(&format!("; and {} more", parts.len() - FEW));
    }
    line
}

/// `- old` and `+ new` lines.
fn minus_plus(items: &[ChangedItem], separator: &str) -> String {
    let mut diff = String::new();
    for item in items {
        for (sign, value) in [('-', &item.old), ('+', &item.new)] {
            if let Some(value) = value {
                diff.push_str(&format!("{sign}{}{separator}{value}\n", item.key));
            }
        }
    }
    diff
}

#[cfg(test)]
mod tests;
