//! Correcting what the engine does not take: a line, a key, or the change that brought it.

use common_evidence::collectors::engine_config::{EngineConfig, Setting};
use controller_correlate::diff;

use super::Edit;
use crate::ask::{Ask, shown};

/// The yml before the change that brought the cause, where that is known and still stands.
pub(super) fn before(ask: &Ask<'_>, config: &EngineConfig) -> Option<EngineConfig> {
    let change = ask.change.filter(|change| change.diff.starts_with(&format!("--- {}\n", config.path)))?;
    Some(EngineConfig::from_text(&config.path, &diff::before(&change.diff, &config.text)?))
}

/// Undoes the change that brought it, if the engine can then read the file.
pub(super) fn taken_back(ask: &Ask<'_>, config: &EngineConfig) -> Option<Edit> {
    let before = before(ask, config).filter(|before| before.fatal.is_none() && !before.text.trim().is_empty())?;
    let change = ask.change?;
    let mut risk = "What else was meant by the change goes with it: ask whoever made it.".to_owned();
    if opens(config, &before) {
        risk.push_str(" It binds the engine to every network the machine is in: whoever reaches one that asks for no password can read and delete all data.");
    }
    let by = change.who.as_ref().map(|who| format!(" by {}", shown(who))).unwrap_or_default();
    Some(Edit {
        does: format!("Take back the change{by} of"),
        changes: common_yml::difference(&config.text, &before.text).ok().flatten().unwrap_or_default(),
        text: before.text.clone(),
        risk,
        unfinished: false,
        exposes: opens(config, &before),
    })
}

/// Whether the text before binds to every address, and the one now does not.
fn opens(config: &EngineConfig, before: &EngineConfig) -> bool {
    let is_open = |config: &EngineConfig| {
        let hosts = config.settings.iter().filter(|setting| setting.key.ends_with("host"));
        hosts.flat_map(|setting| &setting.values).any(|value| matches!(value.as_str(), "0" | "0.0.0.0" | "::"))
    };
    is_open(before) && !is_open(config)
}

/// The change taken back, or the faulty line put right.
pub(super) fn syntax(ask: &Ask<'_>, config: &EngineConfig) -> Vec<Edit> {
    taken_back(ask, config).into_iter().chain(mended(config)).collect()
}

/// The one line corrected, where a slip that is common makes it one the loader takes.
fn mended(config: &EngineConfig) -> Option<Edit> {
    let fault = config.fatal.as_ref()?;
    // Where secrets were hidden the text may be faulty elsewhere than the file is.
    let here = EngineConfig::from_text(&config.path, &config.text).fatal?;
    let at = fault.line.checked_sub(1).filter(|_| here.line == fault.line)?;
    let lines: Vec<&str> = config.text.split_inclusive('\n').collect();
    let (head, rest) = lines.split_at_checked(at)?;
    let (line, tail) = rest.split_first()?;
    let (does, text) = slips(line)
        .into_iter()
        .filter(|(_, mended)| mended != line)
        .map(|(does, mended)| (does, [&head.concat(), &mended, &tail.concat()].map(String::as_str).concat()))
        .find(|(_, text)| reads(config, text))?;
    Some(Edit {
        does: format!("{does} line {} of", fault.line),
        text,
        risk: "The loader takes the line then; make sure that it says what was meant.".to_owned(),
        changes: Vec::new(),
        unfinished: false,
        exposes: false,
    })
}

/// A line without each of the common slips, with what was done.
fn slips(line: &str) -> [(&'static str, String); 3] {
    let spaced = match line.split_once(':') {
        Some((key, value)) if !value.starts_with([' ', '\r', '\n']) => format!("{key}: {value}"),
        _ => line.to_owned(),
    };
    [
        ("Replace the tab by spaces in", line.replace('\t', "  ")),
        ("Put a space behind the colon in", spaced),
        ("Take away the space at the beginning of", line.trim_start_matches([' ', '\t']).to_owned()),
    ]
}

/// The key as the engine proposes it, else without the line; and the change taken back, if one brought it.
pub(super) fn unknown(ask: &Ask<'_>, config: &EngineConfig) -> Vec<Edit> {
    let setting = ask.detail("key").and_then(|key| config.get(key));
    let edit = setting.and_then(|setting| renamed(ask, config, setting).or_else(|| without(config, setting)));
    edit.into_iter().chain(taken_back(ask, config)).collect()
}

fn renamed(ask: &Ask<'_>, config: &EngineConfig, setting: &Setting) -> Option<Edit> {
    let key = proposed(ask.message()).filter(|key| config.get(key).is_none())?;
    let rename = common_yml::Edit::Rename { key: setting.key.parse().ok()?, to: key.parse().ok()? };
    let does = format!("Write {key} instead of {} in line {} of", shown(&setting.key), setting.line);
    let risk = format!("{key} is the engine's guess at what was meant; its value then takes effect.");
    Edit::of(config, does, vec![rename], risk)
}

fn without(config: &EngineConfig, setting: &Setting) -> Option<Edit> {
    let key: common_yml::Key = setting.key.parse().ok()?;
    let from = common_yml::current(&config.text, &key).ok()??;
    let does = format!("Take {} out, line {} of", shown(&setting.key), setting.line);
    let risk = "What it was set for has another name in this version, needs a plugin that is not there, or is no more: see the version's breaking changes.";
    Edit::of(config, does, vec![common_yml::Edit::Unset { key, from }], risk.to_owned())
}

fn reads(config: &EngineConfig, text: &str) -> bool {
    EngineConfig::from_text(&config.path, text).fatal.is_none()
}

/// The key of `did you mean [http.port]?`; none of several.
fn proposed(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("did you mean [")?;
    let (key, _) = rest.split_once("]?")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (!key.is_empty() && key.chars().all(plain)).then_some(key)
}
