//! ② The engine runs and listens, but only where its own machine can reach it.
//!
//! What the sockets say decides: the setting explains, and the file may be newer than the process.

#[cfg(test)]
mod tests;

use common_evidence::collectors::sockets::Listener;
use common_model::change::Topic;
use common_model::diagnosis::Citation;
use common_model::{Certainty, Change, Stage, Timestamp};
use controller_correlate::engine_view::{Effective, HTTP_BIND, Origin, is_loopback_value};
use controller_correlate::{EngineView, Running};
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support, missing};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "bound-to-loopback",
    title: "The engine listens on loopback only",
    stage: Some(Stage::Listen),
    needs: &["engines", "sockets"],
    refuted_by: "an HTTP socket of the engine that takes connections to the address the client uses",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    if let Some(finding) = case.accepted() {
        return finding;
    }
    let engine = match case.engine() {
        Ok(engine) => engine,
        Err(missing) => return Finding::Unknown(missing),
    };
    if !case.addresses().is_empty() && case.addresses().iter().all(|address| address.is_loopback()) {
        return Finding::ruled_out("the client is on the machine itself", Vec::new());
    }
    match engine.running() {
        Running::No => return once_started(case, engine),
        Running::Unknown => {
            let how = format!("on {}: systemctl status {}", engine.node, engine.engine.name);
            return Finding::unknown(format!("whether {} runs", engine.title()), how);
        }
        Running::Yes(_) => {}
    }
    let listeners = match case.http_listeners(engine) {
        Ok(listeners) => listeners,
        Err(missing) => return Finding::Unknown(missing),
    };
    judge(case, engine, &listeners)
}

fn judge(case: &Case<'_>, engine: &EngineView, listeners: &[&Listener]) -> Finding {
    let port = case.picture.endpoint.port;
    let Some(sockets) = engine.sockets.known() else { return Finding::Unknown(Vec::new()) };
    let quoted = cite::listeners(&engine.node, sockets, listeners, port);
    let accepts = |listener: &&Listener| case.addresses().iter().any(|address| listener.accepts(*address));
    if let Some(open) = listeners.iter().find(|listener| accepts(listener) || !listener.is_loopback()) {
        return Finding::ruled_out(format!("{} listens on {}", engine.title(), open.shown()), quoted);
    }
    if let Some(other) = engine.foreign_listeners(port).into_iter().find(|listener| accepts(listener)) {
        let who = other.owner.as_ref().map_or("another process", |owner| owner.command.as_str());
        return Finding::ruled_out(format!("{} takes connections to {}", cite::shown(who), other.shown()), quoted);
    }
    if listeners.is_empty() {
        if engine.unattributed_listeners(port).is_empty() {
            return Finding::ruled_out(format!("{} has no HTTP socket", engine.title()), quoted);
        }
        let how = format!("on {}: sudo ss -ltnp 'sport = :{port}'", engine.node);
        return Finding::unknown(format!("which process holds port {port}"), how);
    }
    supported(case, engine, listeners, quoted)
}

fn supported(case: &Case<'_>, engine: &EngineView, listeners: &[&Listener], sockets: Vec<Citation>) -> Finding {
    let bound: Vec<String> = listeners.iter().map(|listener| listener.shown()).collect();
    let list = bound.join(", ");
    let reason = reason(case, engine);
    let sentence =
        format!("{} on {} listens only on loopback ({list}){}.", engine.title(), engine.node, reason.because);
    let mut chain = vec![
        case.symptom_step("port-closed", &format!("nothing accepts connections to {}", case.destination()), Vec::new()),
        Step::new("bound-to-loopback", format!("{} listens only on {list}", engine.title()), sockets),
    ];
    chain.extend(reason.steps);
    Finding::supported(Support {
        certainty: if case.addresses().is_empty() { Certainty::Likely } else { Certainty::Certain },
        blocks: Blocks::Now,
        node: Some(engine.node.clone()),
        sentence,
        detail: json!({ "bound": bound, "setting": reason.setting, "value": reason.value, "source": reason.source }),
        chain,
        change: reason.change,
        missing: reason.missing,
    })
}

/// Why the engine binds as it does.
struct Reason {
    because: String,
    setting: String,
    value: Option<String>,
    source: String,
    steps: Vec<Step>,
    change: Option<Change>,
    missing: Vec<common_model::diagnosis::MissingEvidence>,
}

fn reason(case: &Case<'_>, engine: &EngineView) -> Reason {
    let Some(set) = engine.effective(&HTTP_BIND) else {
        let file = engine.engine.config_file();
        return Reason {
            because: String::new(),
            setting: "network.host".to_owned(),
            value: None,
            source: "default".to_owned(),
            steps: Vec::new(),
            change: None,
            missing: vec![missing(
                format!("the settings of {}", engine.title()),
                format!("on {}: sudo cat {file}", engine.node),
            )],
        };
    };
    let quoted = quote(engine, &set);
    let started = engine.started_at();
    let change = case.newest_change(|change| explains(change, engine, started));
    if !is_loopback(&set) && engine.edited_since_start() == Some(true) {
        return not_restarted(case, engine, &set, quoted, change);
    }
    let (because, fact) = match set.value() {
        None => (
            format!(" because {} is not set (default)", set.key),
            format!("{} is not set in {}; the default is loopback", set.key, engine.engine.config_file()),
        ),
        Some(value) => {
            let stands = format!("{} is {} ({})", set.key, cite::shown(&value), set.shown_source());
            (format!(" because {stands}"), stands)
        }
    };
    Reason {
        because,
        setting: set.key.clone(),
        value: set.value(),
        source: set.shown_source(),
        steps: vec![Step::new("setting", fact, quoted)],
        change,
        missing: Vec::new(),
    }
}

/// The file already says otherwise: the process was started before it was written.
fn not_restarted(
    case: &Case<'_>,
    engine: &EngineView,
    set: &Effective,
    quoted: Vec<Citation>,
    change: Option<Change>,
) -> Reason {
    let value = cite::shown(&set.value().unwrap_or_default());
    let started = engine.started_at().map(|at| case.time(at)).unwrap_or_default();
    let edited = engine.config.known().map(|config| case.time(Timestamp(config.value.modified_ms))).unwrap_or_default();
    let stands = format!("{} already says {}: {value}, written at {edited}", set.shown_source(), set.key);
    Reason {
        because: format!(
            ": it was started at {started}, before its configuration was changed at {edited}; the file now says {}: {value} and takes effect with a restart",
            set.key
        ),
        setting: set.key.clone(),
        value: set.value(),
        source: set.shown_source(),
        steps: vec![Step::new("edited-not-restarted", format!("started at {started}; {stands}"), quoted)],
        change,
        missing: Vec::new(),
    }
}

/// The engine is down; would it be reachable if it were started?
fn once_started(case: &Case<'_>, engine: &EngineView) -> Finding {
    let Some(set) = engine.effective(&HTTP_BIND) else {
        let how = format!("on {}: sudo cat {}", engine.node, engine.engine.config_file());
        return Finding::unknown(format!("the settings of {}", engine.title()), how);
    };
    let quoted = quote(engine, &set);
    if !is_loopback(&set) {
        return Finding::ruled_out(format!("{} is {}", set.key, cite::shown(&set.value().unwrap_or_default())), quoted);
    }
    let why = match set.value() {
        None => format!("{} is not set (default)", set.key),
        Some(value) => format!("{} is {} ({})", set.key, cite::shown(&value), set.shown_source()),
    };
    let sentence =
        format!("Once started, {} on {} would listen only on loopback because {why}.", engine.title(), engine.node);
    let started = Some(case.node_now());
    Finding::supported(Support {
        certainty: Certainty::Likely,
        blocks: Blocks::Next,
        node: Some(engine.node.clone()),
        sentence: sentence.clone(),
        detail: json!({ "bound": [], "setting": set.key, "value": set.value(), "source": set.shown_source() }),
        chain: vec![Step::new("bound-to-loopback", sentence, quoted)],
        change: case.newest_change(|change| explains(change, engine, started)),
        missing: Vec::new(),
    })
}

fn quote(engine: &EngineView, set: &Effective) -> Vec<Citation> {
    match (&set.source, engine.config.known()) {
        (Origin::File { line, .. }, Some(config)) => cite::yml(&engine.node, config, &[*line]),
        (Origin::Default, Some(config)) => cite::yml_unset(&engine.node, config, &set.key),
        (Origin::Argument(_), _) => engine
            .processes
            .known()
            .map(|processes| {
                let excerpt = format!("-E{}={}", set.key, set.values.join(","));
                cite::evidence(&engine.node, processes, &excerpt, &format!("systemctl cat {}", engine.engine.name))
            })
            .unwrap_or_default(),
        (_, None) => Vec::new(),
    }
}

/// Whether a setting as a whole binds loopback only.
fn is_loopback(set: &Effective) -> bool {
    set.values.iter().all(|value| is_loopback_value(value) == Some(true))
}

/// A change of this engine's file that narrowed the bind address, in force in the process that runs.
fn explains(change: &Change, engine: &EngineView, started: Option<Timestamp>) -> bool {
    let of_file = change.topic == Topic::Config && change.subject == engine.engine.config_file();
    let in_force = started.is_none_or(|started| change.at <= started);
    let narrows = change.items.iter().any(|item| {
        let open =
            |value: &Option<String>| value.as_deref().is_some_and(|value| is_loopback_value(value) != Some(true));
        let closed =
            |value: &Option<String>| value.as_deref().is_some_and(|value| is_loopback_value(value) == Some(true));
        HTTP_BIND.contains(&item.key.as_str()) && (closed(&item.new) || (item.new.is_none() && open(&item.old)))
    });
    of_file && in_force && narrows
}
