//! Editing the engine's yml: one setting, comments and order kept, shown as a diff against the real file.

mod edit;

use common_evidence::collectors::engine_config::EngineConfig;
use common_evidence::redact::HIDDEN;
use common_model::diagnosis::{Remedy, RemedyKind};
use controller_correlate::diff;

use super::Action;
use crate::ask::Ask;

/// The entry.
pub(super) static ACTION: Action = Action { id: "yml-edit", causes: &["bound-to-loopback", "port-differs"], propose };

/// A setting to write.
struct Wanted {
    key: String,
    value: String,
    risk: String,
}

/// Whether the file has to change; if not, a restart is what is needed.
pub(super) fn applies(ask: &Ask<'_>) -> bool {
    let edited = ask.engine.as_ref().and_then(controller_correlate::EngineView::edited_since_start);
    let sound = ask.verdict.cause.as_str() == "bound-to-loopback"
        && edited == Some(true)
        && ask.engine.as_ref().is_some_and(|engine| engine.settings().http.bind.is_loopback_only() == Some(false));
    !sound
}

fn propose(ask: &Ask<'_>) -> Vec<Remedy> {
    if !applies(ask) {
        return Vec::new();
    }
    let wanted = match ask.verdict.cause.as_str() {
        "bound-to-loopback" => reachable(ask),
        _ => port(ask),
    };
    wanted.and_then(|wanted| remedy(ask, &wanted)).into_iter().collect()
}

fn remedy(ask: &Ask<'_>, wanted: &Wanted) -> Option<Remedy> {
    let config = &ask.engine.as_ref()?.config.known()?.value;
    // A file that was cut or that the engine refuses is not edited blindly.
    if config.fatal.is_some() || config.unreadable.is_some() {
        return None;
    }
    let text = edit::set(config, &wanted.key, &wanted.value)?;
    let commands = ask.unit().map(|unit| format!("sudo systemctl restart {unit}")).into_iter().collect();
    Some(Remedy {
        plan_id: None,
        action: ACTION.id.to_owned(),
        title: format!("Set {}: {} in {}{}, then restart", wanted.key, wanted.value, config.path, ask.on_node()),
        kind: RemedyKind::PullRequest,
        commands,
        diff: Some(patch(config, &text)),
        risk: wanted.risk.clone(),
        undo: "take the edit back and restart again".to_owned(),
    })
}

/// A diff that `patch` takes. A context line whose value was hidden here is another on the node, so there is then none.
fn patch(config: &EngineConfig, text: &str) -> String {
    let path = config.path.trim_start_matches('/');
    let (old, new) = (format!("a/{path}"), format!("b/{path}"));
    let with_context = diff::between(&old, &new, &config.text, text, 2);
    if with_context.contains(HIDDEN) { diff::between(&old, &new, &config.text, text, 0) } else { with_context }
}

/// Makes HTTP reachable on the address clients use, and no other; loopback stays.
fn reachable(ask: &Ask<'_>) -> Option<Wanted> {
    let engine = ask.engine.as_ref()?;
    let address = ask.addresses.iter().find(|address| !address.is_loopback())?;
    let value = format!("[\"_local_\", \"{address}\"]");
    let setting = ask.detail("setting")?;
    let in_file = ask.detail("source").is_some_and(|source| source.starts_with('/'));
    let removed = ask
        .change
        .is_some_and(|change| change.diff.lines().any(|line| line.starts_with('-') && line.contains("network")));
    let key = match in_file {
        true => setting,
        // It was taken away, or other nodes have to reach this one too: the setting for both layers.
        false if removed || is_clustered(engine) => "network.host",
        false => "http.host",
    };
    let mut risk = "The node leaves its cluster while it restarts.".to_owned();
    if key.starts_with("network.") && !single_node(engine) {
        risk.push_str(
            " With a transport address that is not loopback the engine enforces its bootstrap checks and refuses to start if one fails.",
        );
    }
    if engine.settings().security.on != Some(true) {
        risk.push_str(&format!(
            " Nothing shows that the engine asks for a password: whoever reaches {address} can read and delete all data, so let the firewall admit only its clients."
        ));
    }
    Some(Wanted { key: key.to_owned(), value, risk })
}

fn port(ask: &Ask<'_>) -> Option<Wanted> {
    let engine = ask.engine.as_ref()?;
    let wanted = ask.picture.endpoint.port;
    if engine.foreign_listeners(wanted).iter().any(|_| true)
        || !ask.detail("source").is_some_and(|source| source.starts_with('/'))
    {
        return None;
    }
    let key = ask.detail("setting")?.to_owned();
    let risk = "The node leaves its cluster while it restarts; clients that use the present port lose it.".to_owned();
    Some(Wanted { key, value: wanted.to_string(), risk })
}

fn single_node(engine: &controller_correlate::EngineView) -> bool {
    engine.settings().discovery_type.values.iter().any(|value| value == "single-node")
}

fn is_clustered(engine: &controller_correlate::EngineView) -> bool {
    let Some(config) = engine.config.known() else { return false };
    let keys = ["discovery.seed_hosts", "discovery.zen.ping.unicast.hosts", "cluster.initial_master_nodes"];
    keys.iter().any(|key| config.value.get(key).is_some_and(|setting| !setting.values.is_empty()))
}
