//! Which nodes make up a cluster, by their engines' settings, and where its API is.

use std::net::IpAddr;
use std::sync::Arc;

use common_model::{Endpoint, NodeName};
use common_plan::Rollout;
use controller_correlate::target::outside_addresses;
use controller_correlate::{EngineView, NodePicture};
use tonic::Status;

use crate::core::Core;
use crate::engine_api::{Access, ClusterNode, EngineApi};
use crate::question::endpoint_of;

/// An engine of a cluster, with its node.
pub(crate) struct Found {
    /// The node.
    pub(crate) node: NodePicture,
    /// Its engine.
    pub(crate) engine: EngineView,
}

impl Found {
    /// Where it answers HTTP, or would.
    pub(crate) fn endpoint(&self) -> Endpoint {
        endpoint_of(&self.node, &self.engine)
    }

    /// Whether this is what the cluster has at this address or under this name.
    pub(crate) fn is(&self, member: &ClusterNode) -> bool {
        let here: Vec<IpAddr> = outside_addresses(&self.node);
        match member.address {
            Some(address) if !address.is_loopback() => here.contains(&address.to_canonical()),
            // A single node that talks to itself.
            Some(_) => true,
            None => self.node.name.as_str() == member.name,
        }
    }
}

/// Engines that belong together: those of one name, or one that is alone. Names are no proof: engines that nobody has given one all
/// have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// `cluster.name`.
    pub(crate) name: String,
    /// The node whose engine is a cluster of its own.
    alone: Option<NodeName>,
}

impl Cluster {
    /// The cluster of this name, or of the only engine on the node of this name. Blocking.
    pub(crate) fn named(core: &Core, text: &str) -> Result<Self, Status> {
        let found = named(core, text)?;
        let alone: Vec<&NodeName> =
            found.iter().filter(|found| is_alone(&found.engine)).map(|found| &found.node.name).collect();
        match alone.as_slice() {
            _ if alone.len() < found.len() => Ok(Self { name: text.to_owned(), alone: None }),
            [node] => Ok(Self { name: text.to_owned(), alone: Some((*node).clone()) }),
            [] => {
                let node = text.parse().map_err(|_| unknown(text))?;
                Self::around(core, &node)
            }
            nodes => Err(Status::invalid_argument(format!(
                "each of {} is a cluster of its own, and all are called {text}: give the node instead",
                nodes.iter().map(|node| node.as_str()).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// The cluster of the only engine on a node. Blocking.
    pub(crate) fn around(core: &Core, node: &NodeName) -> Result<Self, Status> {
        if !core.known_nodes()?.contains(node) {
            return Err(unknown(node.as_str()));
        }
        match EngineView::all(&core.present(node)?).unwrap_or_default().as_slice() {
            [engine] => {
                let name = engine.settings().cluster_name.shown().ok_or_else(|| {
                    Status::failed_precondition(format!("the cluster's name is not known of the engine on {node}"))
                })?;
                Ok(Self { name, alone: is_alone(engine).then(|| node.clone()) })
            }
            [] => Err(Status::failed_precondition(format!("no engine is known on {node}"))),
            _ => Err(Status::invalid_argument(format!("{node} has several engines: name the cluster"))),
        }
    }

    /// The cluster that a rollout goes through. Blocking.
    pub(crate) fn of(core: &Core, rollout: &Rollout) -> Result<Self, Status> {
        let name = rollout.cluster.clone();
        let [turn] = rollout.turns.as_slice() else { return Ok(Self { name, alone: None }) };
        let is_it = |found: &Found| found.node.name == turn.node && is_alone(&found.engine);
        let alone = named(core, &name)?.iter().any(is_it).then(|| turn.node.clone());
        Ok(Self { name, alone })
    }

    /// Its engines that are known here, in order of node. Blocking.
    pub(crate) fn members(&self, core: &Core) -> Result<Vec<Found>, Status> {
        let mut found = named(core, &self.name)?;
        found.retain(|found| match &self.alone {
            Some(node) => found.node.name == *node,
            None => !is_alone(&found.engine),
        });
        Ok(found)
    }
}

/// The engines whose cluster has this name, in order of node. Blocking.
fn named(core: &Core, cluster: &str) -> Result<Vec<Found>, Status> {
    let mut found = Vec::new();
    for name in core.known_nodes()? {
        let node = core.present(&name)?;
        for engine in EngineView::all(&node).unwrap_or_default() {
            if engine.settings().cluster_name.shown().as_deref() == Some(cluster) {
                found.push(Found { node: node.clone(), engine });
            }
        }
    }
    Ok(found)
}

fn unknown(text: &str) -> Status {
    Status::not_found(format!("no cluster and no node is called {text}: `dialtone nodes` lists the nodes"))
}

/// Whether an engine can have no others in its cluster: by its settings, and by where it listens if it runs with older ones.
pub(crate) fn is_alone(engine: &EngineView) -> bool {
    let settings = engine.settings();
    let single =
        settings.discovery_type.origin.is_known() && settings.discovery_type.shown().as_deref() == Some("single-node");
    let ports = engine.transport_ports().unwrap_or_default();
    let is_transport = |port: u16| ports.iter().any(|range| range.contains(&port));
    let listeners = engine.listeners().unwrap_or_default();
    let only_loopback = listeners
        .iter()
        .filter(|listener| is_transport(listener.port))
        .all(|listener| listener.address.to_canonical().is_loopback());
    single || (settings.transport.bind.is_loopback_only() == Some(true) && only_loopback)
}

/// Where the cluster's nodes answer, this one last: it may be down. Blocking.
pub(crate) fn endpoints(found: &[Found], last: Option<&NodeName>) -> Vec<Endpoint> {
    let (at_last, first): (Vec<&Found>, Vec<&Found>) = found.iter().partition(|found| Some(&found.node.name) == last);
    first.into_iter().chain(at_last).map(Found::endpoint).collect()
}

/// The cluster's API as the controller may use it. Blocking.
pub(crate) fn api(core: &Core, cluster: &str, found: &[Found], last: Option<&NodeName>) -> EngineApi {
    let access = match &core.config.engine_api.credentials {
        Some(path) => Access::read(path, cluster).map_err(Arc::new),
        None => Ok(None),
    };
    EngineApi { endpoints: endpoints(found, last), access }
}
