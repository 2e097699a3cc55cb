//! ② The engine runs and listens, but only where its own machine can reach it.
//!
//! What the sockets say decides: the setting explains, and the file may be newer than the process.

#[cfg(test)]
mod tests;

use common_evidence::collectors::sockets::Listener;
use common_evidence::settings::{Loopback, Origin, ResolvedSetting};
use common_model::change::Topic;
use common_model::diagnosis::{Citation, MissingEvidence};
use common_model::{Certainty, Change, Stage, Timestamp};
use controller_correlate::engine_view::HTTP_BIND;
use controller_correlate::{EngineView, Running};
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support, missing};
use crate::quote;

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
    if !listeners.is_empty() {
        return supported(case, engine, listeners, quoted, None);
    }
    let unowned = engine.unattributed_listeners(port);
    if unowned.is_empty() {
        return Finding::ruled_out(format!("{} has no HTTP socket", engine.title()), quoted);
    }
    let owner = missing(
        format!("which process holds port {port}"),
        format!("on {}: sudo ss -ltnp 'sport = :{port}'", engine.node),
    );
    let fits = engine.settings().http.bind.is_loopback_only() == Some(true);
    if !fits || unowned.iter().any(|listener| !listener.is_loopback()) {
        return Finding::Unknown(vec![owner]);
    }
    let quoted = cite::listeners(&engine.node, sockets, &unowned, port);
    supported(case, engine, &unowned, quoted, Some(owner))
}

fn supported(
    case: &Case<'_>,
    engine: &EngineView,
    listeners: &[&Listener],
    sockets: Vec<Citation>,
    doubt: Option<MissingEvidence>,
) -> Finding {
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
        certainty: if case.addresses().is_empty() || doubt.is_some() { Certainty::Likely } else { Certainty::Certain },
        blocks: Blocks::Now,
        node: Some(engine.node.clone()),
        sentence,
        detail: json!({ "bound": bound, "setting": reason.setting, "value": reason.value, "source": reason.source }),
        chain,
        change: reason.change,
        missing: doubt.into_iter().chain(reason.missing).collect(),
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
    missing: Vec<MissingEvidence>,
}

fn reason(case: &Case<'_>, engine: &EngineView) -> Reason {
    let set = engine.settings().http.bind;
    let quoted = quote::setting(engine, &set);
    let started = engine.started_at();
    let mut reason = Reason {
        because: String::new(),
        setting: set.setting.clone(),
        value: quote::value(&set),
        source: set.origin.to_string(),
        steps: Vec::new(),
        change: case.newest_change(|change| explains(change, engine, started)),
        missing: Vec::new(),
    };
    if set.is_loopback_only() != Some(true) && engine.edited_since_start() == Some(true) {
        return not_restarted(case, engine, &set, quoted, reason);
    }
    match &set.origin {
        Origin::Unknown(why) => {
            "default".clone_into(&mut reason.source);
            let file = engine.engine.config_file();
            reason.missing = vec![missing(
                format!("the settings of {}: {why}", engine.title()),
                format!("on {}: sudo cat {file}", engine.node),
            )];
        }
        Origin::Default => {
            reason.because = format!(" because {} is not set (default)", set.setting);
            let fact =
                format!("{} is not set in {}; the default is loopback", set.setting, engine.engine.config_file());
            reason.steps = vec![Step::new("setting", fact, quoted)];
        }
        Origin::File { .. } | Origin::Argument | Origin::Environment(_) => {
            let stands = quote::stands(&set);
            reason.because = format!(" because {stands}");
            reason.steps = vec![Step::new("setting", stands, quoted)];
        }
    }
    reason
}

/// The file already says otherwise: the process was started before it was written.
fn not_restarted(
    case: &Case<'_>,
    engine: &EngineView,
    set: &ResolvedSetting,
    quoted: Vec<Citation>,
    reason: Reason,
) -> Reason {
    let says = quote::stands(set);
    let started = engine.started_at().map(|at| case.time(at)).unwrap_or_default();
    let edited = engine.config.known().map(|config| case.time(Timestamp(config.value.modified_ms))).unwrap_or_default();
    Reason {
        because: format!(
            " since it was started at {started}, before its configuration was changed at {edited}; now {says}, which takes effect with a restart"
        ),
        steps: vec![Step::new(
            "edited-not-restarted",
            format!("started at {started}; written at {edited}: {says}"),
            quoted,
        )],
        ..reason
    }
}

/// The engine is down; would it be reachable if it were started?
fn once_started(case: &Case<'_>, engine: &EngineView) -> Finding {
    let set = engine.settings().http.bind;
    let quoted = quote::setting(engine, &set);
    match set.is_loopback_only() {
        Some(true) => {}
        Some(false) => return Finding::ruled_out(quote::stands(&set), quoted),
        None => {
            let how = format!("on {}: sudo cat {}", engine.node, engine.engine.config_file());
            return Finding::unknown(format!("what {} would bind to", engine.title()), how);
        }
    }
    let why = quote::stands(&set);
    let sentence =
        format!("Once started, {} on {} would listen only on loopback because {why}.", engine.title(), engine.node);
    let started = Some(case.node_now());
    Finding::supported(Support {
        certainty: Certainty::Likely,
        blocks: Blocks::Next,
        node: Some(engine.node.clone()),
        sentence: sentence.clone(),
        detail: json!({ "bound": [], "setting": set.setting, "value": quote::value(&set), "source": set.origin.to_string() }),
        chain: vec![Step::new("bound-to-loopback", sentence, quoted)],
        change: case.newest_change(|change| explains(change, engine, started)),
        missing: Vec::new(),
    })
}

/// A change of this engine's file that narrowed the bind address, in force in the process that runs.
fn explains(change: &Change, engine: &EngineView, started: Option<Timestamp>) -> bool {
    let of_file = change.topic == Topic::Config && change.subject == engine.engine.config_file();
    let in_force = started.is_none_or(|started| change.at <= started);
    let narrows = change.items.iter().any(|item| {
        let open = |value: &Option<String>| value.as_deref().is_some_and(|value| Loopback::of(value) != Loopback::Yes);
        let closed =
            |value: &Option<String>| value.as_deref().is_some_and(|value| Loopback::of(value) == Loopback::Yes);
        HTTP_BIND.contains(&item.key.as_str()) && (closed(&item.new) || (item.new.is_none() && open(&item.old)))
    });
    of_file && in_force && narrows
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, STARTED};

    use crate::start::pictures::refused;

    const LOOPBACK: &[&str] = &["[::1]:9200", "[::ffff:127.0.0.1]:9200", "[::1]:9300", "[::ffff:127.0.0.1]:9300"];

    pub(crate) fn loopback(yml: &str) -> Node {
        Node::new().yml(yml, STARTED.plus_millis(-60_000)).listening(LOOPBACK)
    }

    pub(crate) fn fires() -> Picture {
        refused(loopback("cluster.name: es\n#network.host: 192.168.0.1\n"))
    }
}
