//! Listening sockets of engines that opened or closed.

use std::collections::BTreeMap;

use common_evidence::collectors::sockets::{Listener, Sockets};
use common_model::change::Topic;

use super::{Draft, Pair, item, listed};

pub(super) fn changes(pair: &Pair<'_>) -> Vec<Draft> {
    let Some((old, new)) = pair.states::<Sockets>() else { return Vec::new() };
    let (before, after) = (engines(&old), engines(&new));
    let mut owners: Vec<&String> = before.keys().chain(after.keys()).collect();
    owners.sort();
    owners.dedup();
    let none = Vec::new();
    owners
        .into_iter()
        .filter_map(|owner| {
            let (had, has) = (before.get(owner).unwrap_or(&none), after.get(owner).unwrap_or(&none));
            let gone = had
                .iter()
                .filter(|socket| !has.contains(socket))
                .map(|socket| item(socket, Some("open".to_owned()), None));
            let come = has
                .iter()
                .filter(|socket| !had.contains(socket))
                .map(|socket| item(socket, None, Some("open".to_owned())));
            let items: Vec<_> = gone.chain(come).collect();
            if items.is_empty() {
                return None;
            }
            let words: Vec<String> = items
                .iter()
                .map(|item| format!("{} {}", item.key, if item.new.is_some() { "opened" } else { "closed" }))
                .collect();
            let diff = items
                .iter()
                .map(|item| format!("{}{}\n", if item.new.is_some() { '+' } else { '-' }, item.key))
                .collect();
            let what = format!("{owner}: {}", listed(&words));
            Some(Draft { at: pair.next.taken_at, topic: Topic::Listener, subject: owner.clone(), what, diff, items })
        })
        .collect()
}

/// Sockets by their owner's unit, else command; only those an engine may own.
fn engines(sockets: &Sockets) -> BTreeMap<String, Vec<String>> {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for listener in &sockets.listeners {
        if let Some(owner) = engine_owner(listener) {
            owners.entry(owner).or_default().push(listener.shown());
        }
    }
    owners
}

fn engine_owner(listener: &Listener) -> Option<String> {
    let owner = listener.owner.as_ref()?;
    let unit = owner.unit.as_deref().unwrap_or_default();
    let named = ["elasticsearch", "opensearch", "wazuh-indexer"].iter().any(|name| unit.contains(name));
    if named {
        Some(unit.to_owned())
    } else {
        (owner.command == "java").then(|| if unit.is_empty() { owner.command.clone() } else { unit.to_owned() })
    }
}
