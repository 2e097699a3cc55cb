//! Where the engine listens.

use common_evidence::collectors::engine_config::EngineConfig;
use common_evidence::settings::Origin;
use common_yml::Setting;
use controller_correlate::EngineView;
use controller_correlate::engine_view::{HTTP_BIND, TRANSPORT_ADDRESS};
use controller_correlate::target::outside_addresses;
use std::net::IpAddr;

use super::Edit;
use crate::actions::unit_limit::wanted_address;
use crate::ask::Ask;

const RESTART: &str = "The node leaves its cluster while it restarts.";

/// Whether the file as it stands already says what the client needs.
pub(super) fn is_right(ask: &Ask<'_>) -> bool {
    let Some(engine) = &ask.engine else { return false };
    let bind = engine.settings().http.bind;
    match ask.verdict.cause.as_str() {
        "bound-to-loopback" => bind.is_loopback_only() == Some(false),
        "bound-to-other-address" => {
            let takes = |value: &String| {
                matches!(value.as_str(), "0" | "0.0.0.0" | "::")
                    || ask.addresses.iter().any(|a| a.to_string() == *value)
            };
            bind.origin.is_known() && bind.values.iter().any(takes)
        }
        "port-differs" => {
            let (set, wanted) = (engine.settings().http.port, ask.picture.endpoint.port);
            let says = set.ports().iter().any(|range| range.contains(&wanted));
            says && matches!(set.origin, Origin::File { .. }) && engine.foreign_listeners(wanted).is_empty()
        }
        _ => false,
    }
}

/// Makes HTTP reachable on the address clients use, and no other; loopback stays.
pub(super) fn reachable(ask: &Ask<'_>, config: &EngineConfig) -> Option<Edit> {
    let engine = ask.engine.as_ref()?;
    let address = ask.addresses.iter().find(|address| !address.is_loopback())?;
    let value = Setting::Many(vec!["_local_".to_owned(), address.to_string()]);
    let setting = ask.detail("setting")?;
    let source = ask.detail("source");
    let in_file = source.is_some_and(|source| source.starts_with('/'));
    let removed = ask
        .change
        .is_some_and(|change| change.diff.lines().any(|line| line.starts_with('-') && line.contains("network")));
    let key = match in_file {
        true => setting,
        // It was taken away, or other nodes have to reach this one too: the setting for both layers.
        false if removed || is_clustered(engine) => "network.host",
        false => "http.host",
    };
    if source == Some("argument") && key == setting {
        // The command line wins over the file.
        return None;
    }
    let mut risk = RESTART.to_owned();
    if key.starts_with("network.") && !single_node(engine) {
        risk.push_str(
            " With a transport address that is not loopback the engine enforces its bootstrap checks and refuses to start if one fails.",
        );
    }
    let exposes = is_exposed(engine, address);
    risk.push_str(&exposure(exposes, address));
    Some(Edit { exposes, ..Edit::set(config, key, value, risk)? })
}

/// Adds the client's address to those that HTTP listens on. The transport and what is published stay as they are.
pub(super) fn also(ask: &Ask<'_>, config: &EngineConfig) -> Option<Edit> {
    /// Decides before every other.
    const KEY: &str = "http.bind_host";
    let engine = ask.engine.as_ref()?;
    let bind = engine.settings().http.bind;
    if !bind.origin.is_known() || (bind.setting == KEY && bind.origin == Origin::Argument) {
        return None;
    }
    let address = ask.addresses.first()?;
    let added = if address.is_loopback() { "_local_".to_owned() } else { address.to_string() };
    let value = Setting::Many(bind.values.into_iter().chain([added]).collect());
    let exposes = is_exposed(engine, address);
    let risk = format!("{RESTART}{}", exposure(exposes, address));
    Some(Edit { exposes, ..Edit::set(config, KEY, value, risk)? })
}

fn is_exposed(engine: &EngineView, address: &IpAddr) -> bool {
    engine.settings().security.on != Some(true) && !address.is_loopback()
}

/// What opening an address means where nobody is asked for a password.
fn exposure(exposes: bool, address: &IpAddr) -> String {
    if !exposes {
        return String::new();
    }
    format!(
        " Nothing shows that the engine asks for a password: whoever reaches {address} can read and delete all data, so let the firewall admit only its clients."
    )
}

/// Takes the port that the client was told, unless another process has it.
pub(super) fn port(ask: &Ask<'_>, config: &EngineConfig) -> Option<Edit> {
    let engine = ask.engine.as_ref()?;
    let wanted = ask.picture.endpoint.port;
    let in_file = ask.detail("source").is_some_and(|source| source.starts_with('/'));
    if !in_file || !engine.foreign_listeners(wanted).is_empty() {
        return None;
    }
    let risk = format!("{RESTART} Clients that use the present port lose it.");
    Edit::set(config, ask.detail("setting")?, Setting::One(wanted.to_string()), risk)
}

/// Puts the address that the machine has in place of the one it does not have.
pub(super) fn present(ask: &Ask<'_>, config: &EngineConfig) -> Option<Edit> {
    let interfaces = ask.interfaces()?;
    let gone = wanted_address(ask.message()).filter(|gone| interfaces.holder(*gone).is_none())?;
    let names_it = |value: &String| value.parse() == Ok(gone);
    let keys = TRANSPORT_ADDRESS.iter().chain(&HTTP_BIND);
    let setting = keys.filter_map(|key| config.get(key)).find(|setting| setting.values.iter().any(names_it))?;
    let address = held_address(ask, &interfaces)?;
    let values = setting.values.iter().map(|value| if names_it(value) { address.to_string() } else { value.clone() });
    let value = match setting.values.as_slice() {
        [_] => Setting::One(address.to_string()),
        _ => Setting::Many(values.collect()),
    };
    let risk = format!("{RESTART} Other nodes and clients that were told {gone} have to be told {address}.");
    Edit::set(config, &setting.key, value, risk)
}

/// The address of the machine that the client uses, else the only one it has.
fn held_address(ask: &Ask<'_>, interfaces: &common_evidence::collectors::interfaces::Interfaces) -> Option<IpAddr> {
    let is_held = |address: &&IpAddr| !address.is_loopback() && interfaces.holder(**address).is_some();
    ask.addresses.iter().find(is_held).copied().or_else(|| match outside_addresses(ask.node?).as_slice() {
        [only] => Some(*only),
        _ => None,
    })
}

fn single_node(engine: &EngineView) -> bool {
    engine.settings().discovery_type.values.iter().any(|value| value == "single-node")
}

fn is_clustered(engine: &EngineView) -> bool {
    let Some(config) = engine.config.known() else { return false };
    let keys = ["discovery.seed_hosts", "discovery.zen.ping.unicast.hosts", "cluster.initial_master_nodes"];
    keys.iter().any(|key| config.value.get(key).is_some_and(|setting| !setting.values.is_empty()))
}
