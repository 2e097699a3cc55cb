//! How the node finds its cluster, for the check that asks for it once the node is bound to more than loopback.

use std::net::IpAddr;

use common_evidence::collectors::engine_config::EngineConfig;
use common_evidence::collectors::interfaces::Interfaces;
use common_evidence::firewall::Network;
use common_evidence::settings::ResolvedSetting;
use common_yml::Setting;
use controller_correlate::{EngineView, NodePicture};

use super::{Edit, repair};
use crate::ask::Ask;

const SEED_HOSTS: &str = "discovery.seed_hosts";
const TYPE: &str = "discovery.type";
/// Stands for what only the operator knows.
const PLACEHOLDER: &str = "ADDRESS-OF-A-MASTER-ELIGIBLE-NODE";
/// Any of these satisfies the check.
const KEYS: [&str; 4] =
    [SEED_HOSTS, "discovery.seed_providers", "cluster.initial_master_nodes", "cluster.initial_cluster_manager_nodes"];

/// What the operator may choose from: what stood there before, the other nodes of the cluster, or a cluster of its own.
pub(super) fn edits(ask: &Ask<'_>, config: &EngineConfig) -> Vec<Edit> {
    if !lacks_discovery(ask) {
        return Vec::new();
    }
    let has_any = |config: &EngineConfig| KEYS.iter().any(|key| config.get(key).is_some());
    let restored = repair::before(ask, config).filter(|before| has_any(before) && !has_any(config));
    if restored.is_some() {
        return repair::taken_back(ask, config).into_iter().collect();
    }
    let peers = peers(ask);
    if !peers.is_empty() {
        return joins(config, peers.iter().map(IpAddr::to_string).collect(), false).into_iter().collect();
    }
    // The one that leaves the checks in force comes first.
    [joins(config, vec![PLACEHOLDER.to_owned()], true), alone(config)].into_iter().flatten().collect()
}

/// The check fails, and not for a discovery type that is no longer taken.
fn lacks_discovery(ask: &Ask<'_>) -> bool {
    let checks = ask.verdict.detail.get("checks").and_then(|checks| checks.as_array());
    checks.into_iter().flatten().any(|check| check["check"] == "discovery-configured" && check["actual"].is_null())
}

fn joins(config: &EngineConfig, hosts: Vec<String>, unfinished: bool) -> Option<Edit> {
    let hosts = Setting::Many(hosts);
    let does = match unfinished {
        true => format!("If it belongs to a cluster, put the address of another node of it into {SEED_HOSTS} in"),
        false => format!("Set {SEED_HOSTS}: {hosts}, the other nodes of its cluster, in"),
    };
    let risk = "The node then looks for its cluster there, and answers only once it has found it. A cluster that never was up also needs cluster.initial_master_nodes (OpenSearch from 2.0 on: cluster.initial_cluster_manager_nodes) for its first start.";
    Some(Edit { does, unfinished, ..Edit::set(config, SEED_HOSTS, hosts, risk.to_owned())? })
}

fn alone(config: &EngineConfig) -> Option<Edit> {
    let does = format!("If it is a cluster of its own, set {TYPE}: single-node in");
    let risk = "Only for a node that is alone: it then never joins another, and the bootstrap checks only warn.";
    Some(Edit { does, ..Edit::set(config, TYPE, Setting::One("single-node".to_owned()), risk.to_owned())? })
}

/// Addresses, in a network of this node's, of the nodes whose engine has the same cluster name and is not bound to loopback only.
fn peers(ask: &Ask<'_>) -> Vec<IpAddr> {
    let (Some(engine), Some(own)) = (&ask.engine, ask.interfaces()) else { return Vec::new() };
    let cluster = engine.settings().cluster_name;
    let others = ask.picture.nodes.values().filter(|node| Some(&node.name) != ask.node.map(|own| &own.name));
    others.filter(|node| has_engine_of(node, &cluster)).filter_map(|node| near(node, &own)).collect()
}

fn has_engine_of(node: &NodePicture, cluster: &ResolvedSetting) -> bool {
    let same = |engine: &EngineView| {
        let settings = engine.settings();
        settings.cluster_name.values == cluster.values && settings.transport.bind.is_loopback_only() == Some(false)
    };
    cluster.origin.is_known() && EngineView::all(node).is_some_and(|engines| engines.iter().any(same))
}

fn near(node: &NodePicture, own: &Interfaces) -> Option<IpAddr> {
    let reading = node.one::<Interfaces>("");
    let shares = |address: IpAddr| {
        let networks = own.addresses.iter().filter(|held| held.up && !held.address.is_loopback());
        !address.is_loopback()
            && networks.map(|held| Network::new(held.address, held.prefix)).any(|n| n.contains(address))
    };
    reading.known()?.value.addresses.iter().map(|held| held.address).find(|address| shares(*address))
}
