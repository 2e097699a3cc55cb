//! Settings in words, with the lines they stand on.

use common_evidence::settings::{Origin, ResolvedSetting};
use common_model::diagnosis::Citation;
use controller_correlate::EngineView;

use crate::cite;

/// The line, or the command line, that sets a setting; for a default the line that would.
pub(crate) fn setting(engine: &EngineView, set: &ResolvedSetting) -> Vec<Citation> {
    match (&set.origin, engine.config.known()) {
        (Origin::File { line, .. }, Some(config)) => cite::yml(&engine.node, config, &[*line]),
        (Origin::Default, Some(config)) => cite::yml_unset(&engine.node, config, &set.setting),
        (Origin::Environment(_), Some(config)) => match config.value.get(&set.setting) {
            Some(held) => cite::yml(&engine.node, config, &[held.line]),
            None => argument(engine, set),
        },
        (Origin::Argument, _) | (Origin::Environment(_), None) => argument(engine, set),
        (Origin::Unknown(_), _) | (_, None) => Vec::new(),
    }
}

fn argument(engine: &EngineView, set: &ResolvedSetting) -> Vec<Citation> {
    let Some(processes) = engine.processes.known() else { return Vec::new() };
    let excerpt = format!("-E{}={}", set.setting, set.values.join(","));
    let unit = engine.unit_name().unwrap_or(engine.engine.name.as_str());
    cite::evidence(&engine.node, processes, &excerpt, &format!("systemctl status {unit}"))
}

/// The value for `detail`: none for a default.
pub(crate) fn value(set: &ResolvedSetting) -> Option<String> {
    let is_set = matches!(set.origin, Origin::File { .. } | Origin::Argument | Origin::Environment(_));
    is_set.then(|| cite::shown(&set.values.join(", ")))
}

/// `network.host is 127.0.0.1 (FILE:LINE)`, `network.host is not set (default)`.
pub(crate) fn stands(set: &ResolvedSetting) -> String {
    match value(set) {
        Some(value) => format!("{} is {value} ({})", set.setting, set.origin),
        None => format!("{} is not set ({})", set.setting, set.origin),
    }
}
