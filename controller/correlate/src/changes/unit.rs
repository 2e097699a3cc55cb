//! The unit's state, and its definition.

use common_evidence::collectors::unit::{MainExit, Unit};
use common_model::change::{ChangedItem, Topic};

use super::{Draft, Pair, arrow, item, listed, minus_plus};

pub(super) fn changes(pair: &Pair<'_>) -> Vec<Draft> {
    let Some((old, new)) = pair.states::<Unit>() else { return Vec::new() };
    let mut drafts = Vec::new();
    drafts.extend(transition(pair, &old, &new));
    drafts.extend(definition(pair, &old, &new));
    drafts
}

fn transition(pair: &Pair<'_>, old: &Unit, new: &Unit) -> Option<Draft> {
    let subject = pair.next.subject.clone();
    let settled = matches!(new.active_state.as_str(), "active" | "inactive" | "failed");
    if !settled || old.active_state == new.active_state {
        return None;
    }
    let mut items = vec![item("active-state", some(&old.active_state), some(&new.active_state))];
    let what = match new.active_state.as_str() {
        "active" => format!("{subject} started"),
        "inactive" => format!("{subject} stopped"),
        _ => {
            items.push(item("result", None, some(&new.result)));
            match new.last_exit {
                Some(MainExit::Exited(status)) => {
                    items.push(item("exit-status", None, Some(status.to_string())));
                    format!("{subject} failed with exit status {status}")
                }
                Some(MainExit::Killed(signal)) => format!("{subject} failed: killed by signal {signal}"),
                None => format!("{subject} failed ({})", new.result),
            }
        }
    };
    let at = new.state_changed_at.unwrap_or(pair.next.taken_at);
    Some(Draft { at, topic: Topic::Unit, subject, what, diff: String::new(), items })
}

fn definition(pair: &Pair<'_>, old: &Unit, new: &Unit) -> Option<Draft> {
    // A unit that is not loaded shows defaults, not a definition.
    if old.load_state.is_empty() || new.load_state.is_empty() {
        return None;
    }
    let mut items: Vec<ChangedItem> = Vec::new();
    let mut compare = |key: &str, old: Option<String>, new: Option<String>| {
        if old != new {
            items.push(item(key, old, new));
        }
    };
    compare("load-state", some(&old.load_state), some(&new.load_state));
    compare("unit-file-state", some(&old.unit_file_state), some(&new.unit_file_state));
    compare("fragment", some(&old.fragment), some(&new.fragment));
    compare("drop-ins", some(&old.drop_ins.join(" ")), some(&new.drop_ins.join(" ")));
    compare("user", some(&old.user), some(&new.user));
    for (name, value) in &new.limits {
        let before = old.limits.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        compare(name, before, Some(value.clone()));
    }
    if items.is_empty() {
        return None;
    }
    let subject = pair.next.subject.clone();
    let what = format!("{subject}: {}", listed(&items.iter().map(arrow).collect::<Vec<_>>()));
    Some(Draft { at: pair.next.taken_at, topic: Topic::Unit, subject, what, diff: minus_plus(&items, "="), items })
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
