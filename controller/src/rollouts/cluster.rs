//! Which nodes make up a cluster, by their engines' settings, and where its API is.

use std::net::IpAddr;
use std::sync::Arc;

use common_model::{Endpoint, NodeName};
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

/// The engines of a cluster that are known here, in order of node. Blocking.
pub(crate) fn members(core: &Core, cluster: &str) -> Result<Vec<Found>, Status> {
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

/// The cluster of this name, or of the only engine on the node of this name. Blocking.
pub(crate) fn cluster_of(core: &Core, text: &str) -> Result<String, Status> {
    if !members(core, text)?.is_empty() {
        return Ok(text.to_owned());
    }
    let unknown =
        || Status::not_found(format!("no cluster and no node is called {text}: `dialtone nodes` lists the nodes"));
    let name: NodeName = text.parse().map_err(|_| unknown())?;
    if !core.known_nodes()?.contains(&name) {
        return Err(unknown());
    }
    let engines = EngineView::all(&core.present(&name)?).unwrap_or_default();
    match engines.as_slice() {
        [engine] => engine.settings().cluster_name.shown().ok_or_else(|| {
            Status::failed_precondition(format!("the cluster's name is not known of the engine on {name}"))
        }),
        [] => Err(Status::failed_precondition(format!("no engine is known on {name}"))),
        _ => Err(Status::invalid_argument(format!("{name} has several engines: name the cluster"))),
    }
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
