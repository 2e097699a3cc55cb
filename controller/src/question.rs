//! From what was asked to endpoints: an endpoint as it is, a node or a cluster by its engines, nothing by every engine.

use std::collections::BTreeMap;
use std::net::IpAddr;

use common_evidence::collectors::interfaces::Interfaces;
use common_model::{Endpoint, NodeName, Scheme};
use controller_correlate::target::outside_addresses;
use controller_correlate::{EngineView, NodePicture, Picture, Resolution, Target};
use tonic::Status;

use crate::clock::now;
use crate::core::Core;

/// Endpoints that one call may ask about.
const MAX_ENDPOINTS: usize = 64;
/// Nodes whose evidence is read whole, and asked for anew, for one endpoint.
const MAX_CONCERNED: usize = 32;
const DEFAULT_HTTP_PORT: u16 = 9200;

/// The endpoints meant by these texts. Blocking.
pub(crate) fn endpoints(core: &Core, texts: &[String]) -> Result<Vec<Endpoint>, Status> {
    let mut endpoints = Vec::new();
    if texts.is_empty() {
        for node in core.known_nodes()? {
            endpoints.extend(of_node(&core.present(&node)?, |_| true));
        }
        if endpoints.is_empty() {
            return Err(Status::not_found("no engine is known: name an endpoint, for example http://es-1:9200"));
        }
    }
    for text in texts {
        endpoints.extend(of_text(core, text)?);
    }
    if endpoints.len() > MAX_ENDPOINTS {
        let count = endpoints.len();
        return Err(Status::invalid_argument(format!(
            "{count} endpoints are more than {MAX_ENDPOINTS}: name some of them"
        )));
    }
    Ok(endpoints)
}

fn of_text(core: &Core, text: &str) -> Result<Vec<Endpoint>, Status> {
    let endpoint: Endpoint = text.parse().map_err(|error| Status::invalid_argument(format!("{error}")))?;
    // Who gives a scheme or a port means that, even where a node has the same name.
    if endpoint.host != text.trim().to_ascii_lowercase() || endpoint.address().is_some() || endpoint.is_loopback() {
        return Ok(vec![endpoint]);
    }
    let nodes = core.known_nodes()?;
    let mut found = Vec::new();
    match nodes.iter().find(|node| node.as_str() == endpoint.host) {
        Some(node) => found.extend(of_node(&core.present(node)?, |_| true)),
        None => {
            for node in &nodes {
                let in_cluster = |engine: &EngineView| cluster_name(engine).as_deref() == Some(text.trim());
                found.extend(of_node(&core.present(node)?, in_cluster));
            }
        }
    }
    Ok(if found.is_empty() { vec![endpoint] } else { found })
}

fn cluster_name(engine: &EngineView) -> Option<String> {
    engine.settings().cluster_name.shown()
}

/// The HTTP endpoints of a node's engines, at the address clients elsewhere would use.
fn of_node(node: &NodePicture, wanted: impl Fn(&EngineView) -> bool) -> Vec<Endpoint> {
    let engines = EngineView::all(node).unwrap_or_default();
    engines.iter().filter(|engine| wanted(engine)).map(|engine| endpoint_of(node, engine)).collect()
}

/// The HTTP endpoint of one engine, at the address clients elsewhere would use.
pub(crate) fn endpoint_of(node: &NodePicture, engine: &EngineView) -> Endpoint {
    let host = client_address(node).map_or_else(|| node.name.to_string(), |address| address.to_string());
    Endpoint { scheme: scheme(engine), host, port: port(engine) }
}

/// IPv4 first: it is what people write.
fn client_address(node: &NodePicture) -> Option<IpAddr> {
    let addresses = outside_addresses(node);
    addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied()
}

fn scheme(engine: &EngineView) -> Option<Scheme> {
    let settings = engine.settings();
    let enabled = settings.tls().or(settings.http_ssl.on) == Some(true);
    Some(if enabled { Scheme::Https } else { Scheme::Http })
}

/// The port it listens on, else the first it would take.
fn port(engine: &EngineView) -> u16 {
    let (http, transport) = (engine.http_ports().unwrap_or_default(), engine.transport_ports().unwrap_or_default());
    let listening = engine.http_listeners(&http, &transport).unwrap_or_default();
    let configured = || http.first().map_or(DEFAULT_HTTP_PORT, |range| *range.start());
    listening.first().map_or_else(configured, |listener| listener.port)
}

/// The nodes known, as far as one endpoint is concerned.
pub(crate) struct Nodes {
    /// Those it may be about.
    pub(crate) concerned: Vec<NodeName>,
    /// All, in outline.
    pub(crate) outlines: BTreeMap<NodeName, NodePicture>,
    /// The one the caller is on.
    pub(crate) here: Option<NodeName>,
}

/// The nodes an endpoint may be about. Blocking.
///
/// What means the caller's own machine can only be about the node the caller is on: any other would be judged by evidence of
/// a machine that has nothing to do with it.
pub(crate) fn nodes(core: &Core, endpoint: &Endpoint, addresses: &[IpAddr], caller: IpAddr) -> Result<Nodes, Status> {
    let mut outlines = Vec::new();
    for node in core.known_nodes()? {
        outlines.push(core.outline(&node)?);
    }
    let mut on = outlines.iter().filter(|node| is_on(core, node, caller)).map(|node| node.name.clone());
    let here = on.next().filter(|_| on.next().is_none());
    let loopback = !addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback);
    if endpoint.is_loopback() || loopback {
        outlines.retain(|node| Some(&node.name) == here.as_ref());
    }
    let resolution = match addresses {
        [] => Resolution::NotTried,
        found => Resolution::Addresses(found.to_vec()),
    };
    let picture = Picture {
        at: now(),
        endpoint: endpoint.clone(),
        resolution,
        probes: Vec::new(),
        client_error: None,
        here,
        nodes: outlines.into_iter().map(|node| (node.name.clone(), node)).collect(),
    };
    let mut concerned = match Target::of(&picture) {
        Target::Node(found) => vec![found.node.name.clone()],
        Target::Ambiguous(names) => names,
        Target::Unknown => picture.nodes.keys().cloned().collect(),
    };
    concerned.truncate(MAX_CONCERNED);
    Ok(Nodes { concerned, outlines: picture.nodes, here: picture.here })
}

/// Whether a caller from this address is on the node: it has the address, or both reach the controller over loopback.
fn is_on(core: &Core, node: &NodePicture, caller: IpAddr) -> bool {
    if caller.is_loopback() {
        return core.live.agent(&node.name).is_some_and(|agent| agent.remote.is_loopback());
    }
    let reading = node.one::<Interfaces>("");
    reading.known().is_some_and(|interfaces| interfaces.value.holder(caller).is_some())
}
