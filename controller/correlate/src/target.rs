//! Which node an endpoint means. Says so when it cannot tell: a verdict about the wrong node is worse than none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common_evidence::collectors::host::Host;
use common_evidence::collectors::interfaces::Interfaces;
use common_model::{EvidenceId, NodeName};

use crate::picture::{NodePicture, Picture, Resolution};

/// The node behind an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub enum Target<'a> {
    /// This one.
    Node(Found<'a>),
    /// Each of these could be meant.
    Ambiguous(Vec<NodeName>),
    /// None of the nodes known.
    Unknown,
}

/// A node, and what showed that it is meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<'a> {
    /// The node.
    pub node: &'a NodePicture,
    /// How it was recognised.
    pub by: FoundBy,
    /// The addresses of the node a client arrives at. Never empty when the endpoint's host resolved.
    pub addresses: Vec<IpAddr>,
    /// What shows it.
    pub evidence: Option<EvidenceId>,
}

/// How a node was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundBy {
    /// An interface of the node has the endpoint's address.
    Address,
    /// The endpoint's host is the node's name or host name, and none of its addresses is on an interface: a translated address.
    Name,
    /// The endpoint means the machine it is used on, which is this node.
    Here,
    /// The endpoint means the machine it is used on, and only one node is known: likely it.
    Loopback,
    /// Only one node is known and nothing tells the endpoint's address.
    OnlyNode,
}

impl<'a> Target<'a> {
    /// Finds the node of the picture's endpoint. A name such as `es-1` may resolve to loopback on the node itself.
    pub fn of(picture: &'a Picture) -> Self {
        let wanted = endpoint_addresses(picture);
        if picture.endpoint.is_loopback() || (!wanted.is_empty() && wanted.iter().all(IpAddr::is_loopback)) {
            return loopback(picture, wanted);
        }
        by_address(picture, &wanted)
            .or_else(|| by_name(picture, &wanted))
            .unwrap_or_else(|| only_node(picture, &wanted))
    }

    /// The node, if it could be told.
    pub fn found(&self) -> Option<&Found<'a>> {
        match self {
            Target::Node(found) => Some(found),
            Target::Ambiguous(_) | Target::Unknown => None,
        }
    }
}

/// The addresses a client of the endpoint tries, IPv4-mapped ones taken back to IPv4.
fn endpoint_addresses(picture: &Picture) -> Vec<IpAddr> {
    let mut addresses = match &picture.resolution {
        Resolution::Addresses(addresses) => addresses.clone(),
        Resolution::NotTried | Resolution::Failed(_) => picture.endpoint.address().into_iter().collect(),
    };
    addresses.iter_mut().for_each(|address| *address = address.to_canonical());
    addresses
}

fn loopback(picture: &Picture, mut wanted: Vec<IpAddr>) -> Target<'_> {
    if wanted.is_empty() {
        wanted = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    }
    if let Some(node) = picture.here.as_ref().and_then(|here| picture.nodes.get(here)) {
        return Target::Node(Found { node, by: FoundBy::Here, addresses: wanted, evidence: None });
    }
    if let Some(found) = by_name(picture, &wanted) {
        return found;
    }
    let mut nodes = picture.nodes.values();
    match (nodes.next(), nodes.next()) {
        (Some(node), None) => Target::Node(Found { node, by: FoundBy::Loopback, addresses: wanted, evidence: None }),
        (Some(_), Some(_)) => Target::Ambiguous(picture.nodes.keys().cloned().collect()),
        (None, _) => Target::Unknown,
    }
}

fn by_address<'a>(picture: &'a Picture, wanted: &[IpAddr]) -> Option<Target<'a>> {
    let mut found: Vec<Found<'a>> = Vec::new();
    for node in picture.nodes.values() {
        let reading = node.one::<Interfaces>("");
        let Some(interfaces) = reading.known() else { continue };
        let held: Vec<IpAddr> =
            wanted.iter().copied().filter(|address| interfaces.value.holder(*address).is_some()).collect();
        if !held.is_empty() {
            found.push(Found { node, by: FoundBy::Address, addresses: held, evidence: Some(interfaces.id.clone()) });
        }
    }
    match found.len() {
        0 => None,
        1 => found.pop().map(Target::Node),
        // Bridges such as docker0 have the same address on many hosts; the name may still tell.
        _ => {
            let named = found.iter().position(|candidate| is_named(candidate.node, &picture.endpoint.host));
            Some(match named {
                Some(index) => Target::Node(found.swap_remove(index)),
                None => Target::Ambiguous(found.into_iter().map(|candidate| candidate.node.name.clone()).collect()),
            })
        }
    }
}

fn by_name<'a>(picture: &'a Picture, wanted: &[IpAddr]) -> Option<Target<'a>> {
    let mut named = picture.nodes.values().filter(|node| is_named(node, &picture.endpoint.host));
    let node = named.next()?;
    if named.next().is_some() {
        let all = picture.nodes.values().filter(|node| is_named(node, &picture.endpoint.host));
        return Some(Target::Ambiguous(all.map(|node| node.name.clone()).collect()));
    }
    // A translated address arrives as one of the node's own.
    let addresses = if wanted.iter().any(|address| !address.is_loopback()) || wanted.is_empty() {
        outside_addresses(node)
    } else {
        wanted.to_vec()
    };
    Some(Target::Node(Found { node, by: FoundBy::Name, addresses, evidence: None }))
}

fn only_node<'a>(picture: &'a Picture, wanted: &[IpAddr]) -> Target<'a> {
    let mut nodes = picture.nodes.values();
    match (nodes.next(), nodes.next(), &picture.resolution) {
        // Pasted evidence of one node without the client's view: there is nothing else it could be about.
        (Some(node), None, Resolution::NotTried) => {
            let addresses = if wanted.is_empty() { outside_addresses(node) } else { wanted.to_vec() };
            Target::Node(Found { node, by: FoundBy::OnlyNode, addresses, evidence: None })
        }
        _ => Target::Unknown,
    }
}

/// Addresses of the node's interfaces that are up and not loopback or link-local.
pub fn outside_addresses(node: &NodePicture) -> Vec<IpAddr> {
    let reading = node.one::<Interfaces>("");
    let Some(interfaces) = reading.known() else { return Vec::new() };
    interfaces
        .value
        .addresses
        .iter()
        .filter(|held| held.up && !held.address.is_loopback() && !is_link_local(held.address))
        .map(|held| held.address)
        .collect()
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_named(node: &NodePicture, host: &str) -> bool {
    let hostname = node.one::<Host>("").known().map(|host| host.value.hostname.to_ascii_lowercase());
    let names = [Some(node.name.as_str().to_owned()), hostname];
    names.into_iter().flatten().any(|name| same_host(&name, host))
}

/// Whether two host names mean the same host: equal, or one is the other's first label.
fn same_host(a: &str, b: &str) -> bool {
    if a.is_empty() || b.is_empty() || a.parse::<IpAddr>().is_ok() || b.parse::<IpAddr>().is_ok() {
        return a == b && !a.is_empty();
    }
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let first = |full: &str, short: &str| !short.contains('.') && full.split('.').next() == Some(short);
    a == b || first(&a, &b) || first(&b, &a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ADDRESS, AT, Node, asking, ip};

    fn second() -> NodePicture {
        let mut node = Node::new().build();
        node.name = "es-2".parse().unwrap();
        node
    }

    fn with_second(mut picture: Picture) -> Picture {
        picture.nodes.insert("es-2".parse().unwrap(), second());
        picture
    }

    fn by(picture: &Picture) -> Option<(String, FoundBy)> {
        Target::of(picture).found().map(|found| (found.node.name.to_string(), found.by))
    }

    #[test]
    fn an_address_on_an_interface_tells() {
        let picture = asking("http://10.0.0.5:9200", Node::new(), vec![]);
        assert_eq!(by(&picture), Some(("es-1".to_owned(), FoundBy::Address)));
        assert_eq!(Target::of(&picture).found().unwrap().addresses, [ip(ADDRESS)]);
        assert_eq!(Target::of(&asking("http://10.0.0.77:9200", Node::new(), vec![])), Target::Unknown);
    }

    #[test]
    fn an_address_two_nodes_have_is_ambiguous_unless_the_name_tells() {
        let picture = with_second(asking("http://10.0.0.5:9200", Node::new(), vec![]));
        assert!(matches!(Target::of(&picture), Target::Ambiguous(nodes) if nodes.len() == 2));
        let picture = with_second(asking("http://es-2.example.org:9200", Node::new(), vec![]));
        assert_eq!(by(&picture), Some(("es-2".to_owned(), FoundBy::Address)));
    }

    #[test]
    fn a_translated_address_is_known_by_its_name() {
        let mut picture = asking("http://es-1.example.org:9200", Node::new(), vec![]);
        picture.resolution = Resolution::Addresses(vec![ip("203.0.113.9")]);
        assert_eq!(by(&picture), Some(("es-1".to_owned(), FoundBy::Name)));
        assert_eq!(Target::of(&picture).found().unwrap().addresses, [ip(ADDRESS)]);
    }

    #[test]
    fn localhost_is_where_the_client_is() {
        let mut picture = asking("http://localhost:9200", Node::new(), vec![]);
        assert_eq!(by(&picture).map(|found| found.1), Some(FoundBy::Loopback));
        picture.here = Some("es-1".parse().unwrap());
        assert_eq!(by(&picture).map(|found| found.1), Some(FoundBy::Here));
        picture.here = None;
        assert!(matches!(Target::of(&with_second(picture)), Target::Ambiguous(_)));
    }

    #[test]
    fn pasted_evidence_is_about_its_node() {
        let mut picture = asking("http://es-9:9200", Node::new(), vec![]);
        assert_eq!(Target::of(&picture).found().map(|found| found.by), Some(FoundBy::Address));
        picture.resolution = Resolution::NotTried;
        assert_eq!(by(&picture), Some(("es-1".to_owned(), FoundBy::OnlyNode)));
        assert_eq!(picture.at, AT);
    }

    #[test]
    fn a_short_name_means_its_full_name() {
        assert!(same_host("es-1", "es-1.example.org"));
        assert!(same_host("ES-1.example.org", "es-1.example.org"));
        assert!(!same_host("es-1.example.org", "es-1.example.com"));
        assert!(!same_host("es-1", "es-10"));
        assert!(!same_host("10.0.0.5", "10"));
        assert!(!same_host("", ""));
    }
}
