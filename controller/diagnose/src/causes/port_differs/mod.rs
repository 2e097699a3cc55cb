//! ③ The engine speaks HTTP on another port than the client was told.
//!
//! The sockets' owner decides. Another program may hold the port the client uses, and the engine's transport port is no HTTP port.

#[cfg(test)]
mod tests;

use common_evidence::collectors::sockets::Listener;
use common_model::change::Topic;
use common_model::{Certainty, Change, Stage, Timestamp};
use controller_correlate::{EngineView, Running};
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support};
use crate::quote;

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "port-differs",
    title: "The engine listens on another port",
    stage: Some(Stage::Listen),
    needs: &["engines", "sockets"],
    refuted_by: "an HTTP socket of the engine on the port the client uses",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    if let Some(probe) = case.wire.answered() {
        return Finding::ruled_out(format!("{} answers", case.destination()), cite::probe(probe));
    }
    let engine = match case.engine() {
        Ok(engine) => engine,
        Err(missing) => return Finding::Unknown(missing),
    };
    let port = case.picture.endpoint.port;
    match engine.running() {
        Running::No => return once_started(case, engine, port),
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
    let all = engine.listeners().unwrap_or_default();
    if all.iter().any(|listener| listener.port == port) {
        return Finding::ruled_out(format!("{} listens on port {port}", engine.title()), sockets(engine, &all, port));
    }
    if listeners.is_empty() {
        return Finding::ruled_out(format!("{} has no HTTP socket", engine.title()), sockets(engine, &all, port));
    }
    if !engine.unattributed_listeners(port).is_empty() {
        let how = format!("on {}: sudo ss -ltnp 'sport = :{port}'", engine.node);
        return Finding::unknown(format!("which process holds port {port}"), how);
    }
    supported(case, engine, &listeners, port)
}

fn sockets(engine: &EngineView, listeners: &[&Listener], port: u16) -> Vec<common_model::diagnosis::Citation> {
    engine.sockets.known().map(|cited| cite::listeners(&engine.node, cited, listeners, port)).unwrap_or_default()
}

fn supported(case: &Case<'_>, engine: &EngineView, listeners: &[&Listener], port: u16) -> Finding {
    let set = engine.settings().http.port;
    let mut ports: Vec<u16> = listeners.iter().map(|listener| listener.port).collect();
    ports.sort_unstable();
    ports.dedup();
    let list = ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let foreign = engine.foreign_listeners(port);
    let holder = foreign.first().map(|listener| holder(listener));
    let why = match (&quote::value(&set), &holder) {
        (None, Some(holder)) => {
            format!("{} is not set (default), and {port} was taken: {holder} holds it", set.setting)
        }
        (None, None) => format!("{} is not set (default), so it took the first free port from 9200 on", set.setting),
        (Some(_), _) => quote::stands(&set),
    };
    let mut held: Vec<&Listener> = listeners.to_vec();
    held.extend(foreign);
    let wanted = match &holder {
        Some(holder) => format!("{holder} holds port {port}, not {}", engine.title()),
        None => format!("nothing listens on port {port}"),
    };
    let elsewhere = format!("{} listens on {list}", engine.title());
    let started = engine.started_at();
    Finding::supported(Support {
        certainty: Certainty::Certain,
        blocks: Blocks::Now,
        node: Some(engine.node.clone()),
        sentence: format!(
            "{} on {} listens on port {list}, not on {port}, because {why}.",
            engine.title(),
            engine.node
        ),
        detail: json!({
            "wanted": port,
            "listening": ports,
            "setting": set.setting,
            "source": set.origin.to_string(),
            "holder": holder,
        }),
        chain: vec![
            case.symptom_step("port-closed", &wanted, Vec::new()),
            Step::new("port-differs", elsewhere, sockets(engine, &held, port)),
            Step::new("setting", why, quote::setting(engine, &set)),
        ],
        change: case.newest_change(|change| explains(change, engine, port, started)),
        missing: Vec::new(),
    })
}

/// Who holds a socket, in words.
fn holder(listener: &Listener) -> String {
    match &listener.owner {
        Some(owner) => {
            let unit = owner.unit.as_deref().map(|unit| format!(", {}", cite::shown(unit))).unwrap_or_default();
            format!("{} (pid {}{unit})", cite::shown(&owner.command), owner.pid)
        }
        None => format!("a process of user {}", listener.uid),
    }
}

/// The engine is down; would it take the port if it were started?
fn once_started(case: &Case<'_>, engine: &EngineView, port: u16) -> Finding {
    let set = engine.settings().http.port;
    let ports = set.ports();
    let quoted = quote::setting(engine, &set);
    if ports.is_empty() {
        let how = format!("on {}: sudo cat {}", engine.node, engine.engine.config_file());
        return Finding::unknown(format!("which port {} would take", engine.title()), how);
    }
    if ports.iter().any(|range| range.contains(&port)) {
        return Finding::ruled_out(format!("{}, which includes {port}", quote::stands(&set)), quoted);
    }
    let sentence = format!(
        "Once started, {} on {} would not listen on {port} because {}.",
        engine.title(),
        engine.node,
        quote::stands(&set)
    );
    let starts: Vec<u16> = ports.iter().map(|range| *range.start()).collect();
    Finding::supported(Support {
        certainty: Certainty::Likely,
        blocks: Blocks::Next,
        node: Some(engine.node.clone()),
        sentence: sentence.clone(),
        detail: json!({
            "wanted": port, "listening": starts, "setting": set.setting, "source": set.origin.to_string(), "holder": null,
        }),
        chain: vec![Step::new("port-differs", sentence, quoted)],
        change: case.newest_change(|change| explains(change, engine, port, Some(case.node_now()))),
        missing: Vec::new(),
    })
}

/// The port in the engine's file went away from the one the client uses, before the running engine was started.
fn explains(change: &Change, engine: &EngineView, port: u16, started: Option<Timestamp>) -> bool {
    let of_file = change.topic == Topic::Config && change.subject == engine.engine.config_file();
    let moved = |item: &common_model::change::ChangedItem| {
        item.key == "http.port" && item.new.as_deref() != Some(port.to_string().as_str())
    };
    of_file && started.is_none_or(|started| change.at <= started) && change.items.iter().any(moved)
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, STARTED};

    use crate::start::pictures::refused;

    pub(crate) fn moved() -> Node {
        Node::new()
            .yml("network.host: 0.0.0.0\nhttp.port: 9201\n", STARTED.plus_millis(-60_000))
            .listening(&["[::]:9201", "[::]:9300"])
    }

    pub(crate) fn fires() -> Picture {
        refused(moved())
    }
}
