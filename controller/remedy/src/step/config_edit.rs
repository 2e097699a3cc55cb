//! An edit of the engine's yml, made in the repository that the file comes from.

use common_evidence::collectors::engine_config::EngineConfig;
use common_evidence::redact;
use common_model::diagnosis::{Remedy, RemedyKind};
use common_plan::{ConfigEdit, Digest, Step};
use common_yml::{Edit, Setting};

use super::Planned;
use crate::actions::config_edit::proposed;
use crate::ask::Ask;
use crate::plan::{Means, RepositoryFile};

/// Names of differing settings shown at most.
const MAX_NAMED: usize = 4;
/// What switches an engine's security off, by key and value.
const WEAKENING: [(&str, &str); 7] = [
    ("xpack.security.enabled", "false"),
    ("xpack.security.http.ssl.enabled", "false"),
    ("xpack.security.transport.ssl.enabled", "false"),
    ("plugins.security.disabled", "true"),
    ("plugins.security.ssl_only", "true"),
    ("plugins.security.ssl.http.enabled", "false"),
    ("bootstrap.system_call_filter", "false"),
];

/// Whether a remedy is an edit that a repository can be asked for.
pub(crate) fn is_one(ask: &Ask<'_>, remedy: &Remedy) -> bool {
    remedy.action == "config-edit"
        && remedy.kind == RemedyKind::PullRequest
        && crate::actions::config_edit::ACTION.causes.contains(&ask.verdict.cause.as_str())
}

/// None where nothing is known of the file's repository, so that nothing is to be said of it.
pub(super) fn planned(ask: &Ask<'_>, remedy: &Remedy, means: &Means) -> Option<Result<Planned, String>> {
    if !is_one(ask, remedy) {
        return None;
    }
    let (node, config) = (ask.node?, ask.config()?);
    let file = means.files.get(&node.name)?;
    // The title says all that an edit does.
    let (_, edit) = proposed(ask).into_iter().find(|(proposed, _)| proposed.title == remedy.title)?;
    Some(file.clone().and_then(|file| {
        if edit.exposes && !file.allow_without_password {
            return Err(format!(
                "it would open an engine that nothing shows to ask for a password; allow_without_password: true for {} in \
                 controller.yaml lets it be proposed all the same",
                file.repository
            ));
        }
        let step = step(&file, &edit.changes, node.name.as_str())?;
        let undo = "close the pull request; once it is merged, revert its commit and roll that out".to_owned();
        Ok(Planned { step: Step::ConfigEdit(step), risk: format!("{}{}", remedy.risk, drift(&file, config)), undo })
    }))
}

fn step(file: &RepositoryFile, changes: &[Edit], node: &str) -> Result<ConfigEdit, String> {
    let RepositoryFile { repository, branch, path, text, .. } = file;
    if changes.is_empty() {
        return Err("it changes more than settings, which is left to people".to_owned());
    }
    if let Some(key) = changes.iter().find_map(weakened) {
        return Err(format!("it would switch security off by {key}, which is never proposed"));
    }
    let in_file = |error: common_yml::EditError| format!("{path} in {repository}: {error}");
    let edits = changes.iter().filter_map(|edit| aimed(edit, text).transpose());
    let edits = edits.collect::<Result<Vec<_>, _>>().map_err(in_file)?;
    if edits.is_empty() {
        return Err(format!("{path} in {repository} has it already: branch {branch} was not rolled out to {node}"));
    }
    let after = common_yml::apply(text, &edits).map_err(in_file)?;
    Ok(ConfigEdit {
        repository: repository.clone(),
        branch: branch.clone(),
        path: path.clone(),
        from: Digest::of(text.as_bytes()),
        edits,
        to: Digest::of(after.as_bytes()),
    })
}

/// The edit as the repository's file needs it; none where that has it already.
fn aimed(edit: &Edit, text: &str) -> Result<Option<Edit>, common_yml::EditError> {
    let found = common_yml::current(text, edit.key())?;
    Ok(match edit {
        Edit::Set { to, .. } if found.as_ref() == Some(to) => None,
        Edit::Set { key, to, .. } => Some(Edit::Set { key: key.clone(), from: found, to: to.clone() }),
        Edit::Unset { key, .. } => found.map(|from| Edit::Unset { key: key.clone(), from }),
        Edit::Rename { key, to } if found.is_some() => Some(Edit::Rename { key: key.clone(), to: to.clone() }),
        Edit::Rename { .. } => None,
    })
}

/// The key by which an edit would switch security off, if it does.
fn weakened(edit: &Edit) -> Option<&str> {
    let Edit::Set { key, to: Setting::One(to), .. } = edit else { return None };
    let weakens = WEAKENING.iter().any(|(name, value)| key.as_str() == *name && to.eq_ignore_ascii_case(value));
    weakens.then_some(key.as_str())
}

/// What else is rolled out with the edit, where the repository is not what the node has.
fn drift(file: &RepositoryFile, config: &EngineConfig) -> String {
    let there = redact::yml(&file.text);
    if there == config.text {
        return String::new();
    }
    let named = match common_yml::difference(&config.text, &there) {
        Ok(Some(edits)) if edits.is_empty() => ", in comments or form only".to_owned(),
        Ok(Some(edits)) => {
            let keys: Vec<&str> = edits.iter().map(|edit| edit.key().as_str()).take(MAX_NAMED).collect();
            let more = if edits.len() > MAX_NAMED { ", …" } else { "" };
            format!(" in {}{more}", keys.join(", "))
        }
        Ok(None) | Err(_) => String::new(),
    };
    format!(" {} in {} is not what the node has{named}: rolling it out brings that, too.", file.path, file.repository)
}

#[cfg(test)]
mod tests;
