//! The engine's yml: by key, with the lines of the real file.

use std::collections::BTreeMap;

use common_evidence::collectors::engine_config::EngineConfig;
use common_model::Timestamp;
use common_model::change::{ChangedItem, Topic};

use super::{Draft, Pair, arrow, item, listed};
use crate::diff;

pub(super) fn changes(pair: &Pair<'_>) -> Vec<Draft> {
    let Some((old, new)) = pair.states::<EngineConfig>() else { return Vec::new() };
    if old.text == new.text || old.unreadable.is_some() || new.unreadable.is_some() {
        return Vec::new();
    }
    let path = pair.next.subject.clone();
    let items = items(&old, &new);
    let what = match (old.text.is_empty(), new.text.is_empty()) {
        (_, true) => format!("{path} was deleted"),
        (true, _) => format!("{path} was created"),
        _ if items.is_empty() => format!("comments or layout of {path}"),
        _ => listed(&items.iter().map(arrow).collect::<Vec<_>>()),
    };
    vec![Draft {
        at: written_at(pair, &new),
        topic: Topic::Config,
        diff: diff::unified(&path, &old.text, &new.text),
        subject: path,
        what,
        items,
    }]
}

/// The file's own time, unless it contradicts what was read before: a copy may keep an older one.
fn written_at(pair: &Pair<'_>, new: &EngineConfig) -> Timestamp {
    let modified = Timestamp(new.modified_ms);
    let before = pair.previous.map(|previous| previous.taken_at);
    let plausible = modified <= pair.next.taken_at && before.is_none_or(|before| modified >= before);
    if plausible { modified } else { pair.next.taken_at }
}

fn items(old: &EngineConfig, new: &EngineConfig) -> Vec<ChangedItem> {
    let (before, after) = (values(old), values(new));
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut items: Vec<ChangedItem> = keys
        .into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| item(key, before.get(key).cloned(), after.get(key).cloned()))
        .collect();
    let fatal = |config: &EngineConfig| {
        config.fatal.as_ref().map(|problem| format!("line {}: {}", problem.line, problem.message))
    };
    if fatal(old).is_some() != fatal(new).is_some() {
        items.push(item("syntax", fatal(old), fatal(new)));
    }
    items
}

/// The value in force of each key: the last in the file.
fn values(config: &EngineConfig) -> BTreeMap<String, String> {
    config.settings.iter().map(|setting| (setting.key.clone(), setting.values.join(", "))).collect()
}
