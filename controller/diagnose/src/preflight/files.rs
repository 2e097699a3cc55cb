//! What is written: the yml, and the unit as systemd has it.

use common_evidence::settings::ResolvedSetting;
use common_model::preflight::{Answer, Check, Question};
use common_model::text::printable_line;
use controller_correlate::{Reading, Running};

use super::{Ask, check};

/// Keys that stop a start since this version of Elasticsearch: what a file kept over an upgrade still says.
const REMOVED: [(&str, (u32, u32)); 4] = [
    ("http.enabled", (7, 0)),
    ("transport.tcp.port", (8, 0)),
    ("node.max_local_storage_nodes", (8, 0)),
    ("bootstrap.system_call_filter", (8, 2)),
];
const INITIAL: [&str; 2] = ["cluster.initial_master_nodes", "cluster.initial_cluster_manager_nodes"];

pub(super) fn checks(ask: &Ask<'_>) -> Vec<Check> {
    let mut checks = vec![last_start(ask), syntax(ask)];
    checks.extend(removed(ask));
    checks.extend(contradiction(ask));
    checks.extend(notes(ask));
    checks
}

/// Of an engine that is down because its last start failed, more is to be asked than whether the files look well.
fn last_start(ask: &Ask<'_>) -> Check {
    let node = &ask.node.name;
    let about =
        |passes, sentence: String, source: String| check("last-start", Question::Start, passes, sentence, source);
    let shown = |unit: &str| format!("systemctl status {unit}");
    match (&ask.engine.unit, ask.engine.unit_name()) {
        (Reading::Known(unit), Some(name))
            if unit.value.load_state == "masked" || unit.value.unit_file_state == "masked" =>
        {
            about(Answer::No, format!("{name} is masked"), shown(name))
        }
        (Reading::Known(unit), Some(name)) if unit.value.active_state == "failed" => about(
            Answer::Unknown,
            format!("its last start failed ({}); dialtone diagnose {node} says why", unit.value.result),
            shown(name),
        ),
        (Reading::Known(unit), Some(name)) => {
            about(Answer::Yes, format!("{name} is {}", unit.value.active_state), shown(name))
        }
        (_, Some(name)) => {
            about(Answer::Unknown, format!("the state of {name} is not known"), format!("on {node}: {}", shown(name)))
        }
        (_, None) => match ask.engine.running() {
            Running::Yes(_) => about(
                Answer::Unknown,
                "it has no systemd unit: how it is started is not known".to_owned(),
                format!("on {node}: ps -ef"),
            ),
            _ => about(
                Answer::Unknown,
                "it has no systemd unit, and does not run".to_owned(),
                format!("on {node}: ps -ef"),
            ),
        },
    }
}

fn syntax(ask: &Ask<'_>) -> Check {
    let yml = ask.yml();
    let about =
        |passes, sentence: String, source: String| check("config-syntax", Question::Start, passes, sentence, source);
    let Some(config) = ask.config else {
        return about(Answer::Unknown, format!("{yml} is not known"), format!("on {}: cat {yml}", ask.node.name));
    };
    if let Some(why) = &config.unreadable {
        return about(
            Answer::Unknown,
            format!("{yml} could not be read: {why}"),
            format!("on {}: ls -l {yml}", ask.node.name),
        );
    }
    let twice = || {
        let old = ask.is_elasticsearch() && ask.version().is_some_and(|version| version < (7, 0));
        old.then(|| config.set_twice()).flatten()
    };
    match config.fatal.clone().or_else(twice) {
        Some(fault) => {
            about(Answer::No, format!("{yml} cannot be read: {}", fault.message), format!("{yml}:{}", fault.line))
        }
        None if config.cut => about(Answer::Unknown, format!("{yml} was not read to its end"), yml),
        None => about(Answer::Yes, format!("{yml} can be read"), yml),
    }
}

fn removed(ask: &Ask<'_>) -> Option<Check> {
    let version = ask.version().filter(|_| ask.is_elasticsearch())?;
    let (key, set) =
        REMOVED.iter().filter(|(_, since)| version >= *since).find_map(|(key, _)| Some((key, ask.get(key)?)))?;
    let said = format!("Elasticsearch {}.{} does not know {key} any more and stops at it", version.0, version.1);
    Some(check("unknown-setting", Question::Start, Answer::No, said, set.origin.to_string()))
}

/// Two settings that exclude each other (`ClusterBootstrapService`).
fn contradiction(ask: &Ask<'_>) -> Option<Check> {
    let discovery = &ask.settings.discovery_type;
    if discovery.shown().as_deref() != Some("single-node") || !discovery.origin.is_known() {
        return None;
    }
    let set: ResolvedSetting = INITIAL.iter().find_map(|key| ask.get(key)).filter(|set| !set.values.is_empty())?;
    let said = format!("{} is not allowed with discovery.type single-node", set.setting);
    Some(check("setting-missing", Question::Start, Answer::No, said, set.origin.to_string()))
}

/// What a restart takes into force.
fn notes(ask: &Ask<'_>) -> Vec<Check> {
    let mut notes = Vec::new();
    if ask.engine.edited_since_start() == Some(true) {
        let said = format!("{} was edited since the engine started: a restart takes the edit into force", ask.yml());
        notes.push(check("edited", Question::Note, Answer::Unknown, said, ask.yml()));
    }
    if let (Reading::Known(unit), Some(name)) = (&ask.engine.unit, ask.engine.unit_name())
        && unit.value.needs_reload
    {
        let said =
            format!("the files of {} changed: a restart uses them only after a daemon-reload", printable_line(name));
        notes.push(check("daemon-reload", Question::Note, Answer::Unknown, said, "systemctl daemon-reload"));
    }
    notes
}
