//! Kernel settings, live and persisted.

use std::collections::BTreeMap;

use common_evidence::collectors::sysctl::Sysctls;
use common_evidence::collectors::sysctl_files::PersistedSysctls;
use common_model::change::{ChangedItem, Topic};

use super::{Draft, Pair, arrow, item, listed, minus_plus};

pub(super) fn live(pair: &Pair<'_>) -> Vec<Draft> {
    let Some((old, new)) = pair.states::<Sysctls>() else { return Vec::new() };
    differing(&old.values, &new.values)
        .into_iter()
        .map(|changed| Draft {
            at: pair.next.taken_at,
            topic: Topic::Sysctl,
            subject: changed.key.clone(),
            what: arrow(&changed),
            diff: minus_plus(std::slice::from_ref(&changed), " = "),
            items: vec![changed],
        })
        .collect()
}

pub(super) fn persisted(pair: &Pair<'_>) -> Vec<Draft> {
    let Some((old, new)) = pair.states::<PersistedSysctls>() else { return Vec::new() };
    let (before, after) = (by_file(&old), by_file(&new));
    let mut files: Vec<&String> = before.keys().chain(after.keys()).collect();
    files.sort();
    files.dedup();
    let none = BTreeMap::new();
    files
        .into_iter()
        .filter_map(|file| {
            let items = differing(before.get(file).unwrap_or(&none), after.get(file).unwrap_or(&none));
            if items.is_empty() {
                return None;
            }
            let what = format!("{file}: {}", listed(&items.iter().map(arrow).collect::<Vec<_>>()));
            let diff = format!("--- {file}\n+++ {file}\n{}", minus_plus(&items, " = "));
            Some(Draft { at: pair.next.taken_at, topic: Topic::Sysctl, subject: file.clone(), what, diff, items })
        })
        .collect()
}

fn by_file(persisted: &PersistedSysctls) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut files: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for entry in &persisted.entries {
        files.entry(entry.file.clone()).or_default().insert(entry.key.clone(), entry.value.clone());
    }
    files
}

fn differing(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<ChangedItem> {
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| item(key, old.get(key).cloned(), new.get(key).cloned()))
        .collect()
}
