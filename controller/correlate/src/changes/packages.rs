//! What a package manager did.

use common_evidence::collectors::packages::{PackageAction, Packages};
use common_model::change::Topic;

use super::{Draft, Pair, item};

pub(super) fn changes(pair: &Pair<'_>) -> Vec<Draft> {
    let Some((old, new)) = pair.states::<Packages>() else { return Vec::new() };
    // The log is cut from its start, so what is in both is not new.
    let newest = old.history.last().map(|action| action.at);
    let is_new =
        |action: &&PackageAction| newest.is_none_or(|newest| action.at >= newest) && !old.history.contains(action);
    new.history
        .iter()
        .filter(is_new)
        .map(|action| {
            let versions = match (&action.old, &action.new) {
                (Some(old), Some(new)) => format!(" {old} → {new}"),
                (None, Some(version)) | (Some(version), None) => format!(" {version}"),
                (None, None) => String::new(),
            };
            Draft {
                at: action.at,
                topic: Topic::Package,
                subject: action.package.clone(),
                what: format!("{} {}{versions}", action.action, action.package),
                diff: String::new(),
                items: vec![item("version", action.old.clone(), action.new.clone())],
            }
        })
        .collect()
}
