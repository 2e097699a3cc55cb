//! Editing the engine's yml: as little as will do, comments and order kept, shown as a diff against the real file.

mod address;
mod discovery;
mod owner;
mod repair;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use common_evidence::collectors::engine_config::EngineConfig;
use common_evidence::redact::HIDDEN;
use common_model::diagnosis::{Remedy, RemedyKind};
use common_yml::{Key, Setting};
use controller_correlate::diff;

use super::Action;
use crate::ask::Ask;

/// The entry.
pub(crate) static ACTION: Action = Action {
    id: "config-edit",
    causes: &[
        "bound-to-loopback",
        "bound-to-other-address",
        "port-differs",
        "bootstrap-check",
        "bind-address-not-local",
        "unknown-setting",
        "config-syntax",
        "setting-missing",
    ],
    propose,
};

/// A new text for the yml.
pub(crate) struct Edit {
    /// What it does, for the title, before the name of the file.
    does: String,
    text: String,
    risk: String,
    /// The settings it changes, where that is all it does.
    pub(crate) changes: Vec<common_yml::Edit>,
    /// Whether a person has to put something in first.
    unfinished: bool,
    /// Whether it opens an engine to others that nothing shows to ask for a password.
    pub(crate) exposes: bool,
}

impl Edit {
    /// Changes settings only.
    fn of(config: &EngineConfig, does: String, changes: Vec<common_yml::Edit>, risk: String) -> Option<Self> {
        let text = common_yml::apply(&config.text, &changes).ok()?;
        Some(Self { does, text, risk, changes, unfinished: false, exposes: false })
    }

    /// Sets one key.
    fn set(config: &EngineConfig, key: &str, to: Setting, risk: String) -> Option<Self> {
        let does = format!("Set {key}: {to} in");
        let key: Key = key.parse().ok()?;
        let from = common_yml::current(&config.text, &key).ok()?;
        Self::of(config, does, vec![common_yml::Edit::Set { key, from, to }], risk)
    }
}

/// Whether the file has to change; if not, a restart is what is needed.
pub(super) fn applies(ask: &Ask<'_>) -> bool {
    let edited = ask.engine.as_ref().and_then(controller_correlate::EngineView::edited_since_start);
    edited != Some(true) || !address::is_right(ask)
}

fn propose(ask: &Ask<'_>) -> Vec<Remedy> {
    proposed(ask).into_iter().map(|(remedy, _)| remedy).collect()
}

/// What is proposed, and by which edit.
pub(crate) fn proposed(ask: &Ask<'_>) -> Vec<(Remedy, Edit)> {
    let Some(config) = ask.config().filter(|_| applies(ask)) else { return Vec::new() };
    let edits = match ask.verdict.cause.as_str() {
        "config-syntax" => repair::syntax(ask, config),
        // A file that the engine refuses is not edited blindly.
        _ if config.fatal.is_some() => Vec::new(),
        "bound-to-loopback" => address::reachable(ask, config).into_iter().collect(),
        "bound-to-other-address" => address::also(ask, config).into_iter().collect(),
        "port-differs" => address::port(ask, config).into_iter().collect(),
        "bootstrap-check" => discovery::edits(ask, config),
        "bind-address-not-local" => {
            address::present(ask, config).into_iter().chain(repair::taken_back(ask, config)).collect()
        }
        "unknown-setting" => repair::unknown(ask, config),
        _ => repair::taken_back(ask, config).into_iter().collect(),
    };
    let mut texts = BTreeSet::new();
    let different = edits.into_iter().filter(|edit| texts.insert(edit.text.clone()));
    different.filter_map(|edit| Some((remedy(ask, config, &edit)?, edit))).collect()
}

fn remedy(ask: &Ask<'_>, config: &EngineConfig, edit: &Edit) -> Option<Remedy> {
    let kind = if edit.unfinished { RemedyKind::Manual } else { RemedyKind::PullRequest };
    let title = format!("{} {}{}, then restart", edit.does, config.path, ask.on_node());
    Some(Remedy {
        commands: ask.restart(),
        diff: Some(patch(config, &edit.text)?),
        risk: format!("{}{}", edit.risk, owner::warning(ask, config)),
        undo: "take the edit back and restart again".to_owned(),
        ..ACTION.remedy(kind, title)
    })
}

/// A diff that `patch` takes. A line whose value was hidden here is another on the node: as context it is left away, and what
/// changes one cannot be shown at all.
fn patch(config: &EngineConfig, text: &str) -> Option<String> {
    let path = config.path.trim_start_matches('/');
    let (old, new) = (format!("a/{path}"), format!("b/{path}"));
    [2, 0]
        .into_iter()
        .map(|context| diff::between(&old, &new, &config.text, text, context))
        .find(|diff| !diff.is_empty() && !diff.contains(HIDDEN))
}
