//! The XML of the EC2 Query API, version 2016-11-15. An answer of which a part cannot be understood counts as not read: what is
//! left of it would pass for all there is.

use common_model::Network;
use roxmltree::{Document, Node};

use super::{Acl, AclEntry, Group, Interface, Permission, Source};

/// Reads what `DescribeNetworkInterfaces` answers.
pub(super) fn interfaces(xml: &str, problems: &mut Vec<String>) -> Vec<Interface> {
    read(xml, "networkInterfaceSet", problems, |item| {
        let addresses = items(item, "privateIpAddressesSet").map(|held| text(held, "privateIpAddress"));
        let addresses = addresses.chain(items(item, "ipv6AddressesSet").map(|held| text(held, "ipv6Address")));
        Some(Interface {
            id: text(item, "networkInterfaceId")?.parse().ok()?,
            instance: child(item, "attachment").and_then(|attached| text(attached, "instanceId")).map(str::to_owned),
            addresses: addresses.flatten().filter_map(|address| address.parse().ok()).collect(),
            groups: items(item, "groupSet")
                .map(|group| text(group, "groupId")?.parse().ok())
                .collect::<Option<Vec<_>>>()?,
            subnet: text(item, "subnetId")?.to_owned(),
        })
    })
}

/// Reads what `DescribeSecurityGroups` answers.
pub(super) fn groups(xml: &str, problems: &mut Vec<String>) -> Vec<Group> {
    read(xml, "securityGroupInfo", problems, |item| {
        Some(Group {
            id: text(item, "groupId")?.parse().ok()?,
            name: text(item, "groupName").unwrap_or_default().to_owned(),
            permissions: items(item, "ipPermissions").map(permission).collect::<Option<Vec<_>>>()?,
        })
    })
}

fn permission(item: Node<'_, '_>) -> Option<Permission> {
    let networks = items(item, "ipRanges").map(|range| text(range, "cidrIp"));
    let networks = networks.chain(items(item, "ipv6Ranges").map(|range| text(range, "cidrIpv6")));
    let mut sources =
        networks.map(|network| Some(Source::Network(network?.parse().ok()?))).collect::<Option<Vec<_>>>()?;
    sources.extend(items(item, "groups").filter_map(|group| Some(Source::Group(text(group, "groupId")?.to_owned()))));
    let lists = items(item, "prefixListIds").filter_map(|list| text(list, "prefixListId"));
    sources.extend(lists.map(|list| Source::PrefixList(list.to_owned())));
    let port = |name| text(item, name).map(str::parse::<i32>).transpose().ok();
    Some(Permission {
        tcp: is_tcp(text(item, "ipProtocol")?),
        ports: ports(port("fromPort")?, port("toPort")?),
        sources,
    })
}

/// Reads what `DescribeNetworkAcls` answers.
pub(super) fn acls(xml: &str, problems: &mut Vec<String>) -> Vec<Acl> {
    read(xml, "networkAclSet", problems, |item| {
        let subnets = items(item, "associationSet").filter_map(|of| text(of, "subnetId")).map(str::to_owned);
        let mut entries = items(item, "entrySet").map(entry).collect::<Option<Vec<_>>>()?;
        entries.sort_by_key(|entry| entry.number);
        Some(Acl { id: text(item, "networkAclId")?.to_owned(), subnets: subnets.collect(), entries })
    })
}

fn entry(item: Node<'_, '_>) -> Option<AclEntry> {
    let network: Network = text(item, "cidrBlock").or_else(|| text(item, "ipv6CidrBlock"))?.parse().ok()?;
    let range = child(item, "portRange");
    let port = |name| range.and_then(|range| text(range, name)).map(str::parse::<i32>).transpose().ok();
    Some(AclEntry {
        number: text(item, "ruleNumber")?.parse().ok()?,
        egress: text(item, "egress")? == "true",
        allow: text(item, "ruleAction")? == "allow",
        tcp: is_tcp(text(item, "protocol")?),
        ports: ports(port("from")?, port("to")?),
        network,
    })
}

fn is_tcp(protocol: &str) -> bool {
    matches!(protocol, "tcp" | "6" | "-1")
}

/// None where every port is meant: left out, or -1.
fn ports(first: Option<i32>, last: Option<i32>) -> Option<(u16, u16)> {
    Some((u16::try_from(first?).ok()?, u16::try_from(last?).ok()?))
}

/// The items of a set, each read by `item`; all of them, or none and a problem.
fn read<T>(xml: &str, set: &str, problems: &mut Vec<String>, item: impl Fn(Node<'_, '_>) -> Option<T>) -> Vec<T> {
    let document = match Document::parse(xml) {
        Ok(document) => document,
        Err(error) => {
            problems.push(format!("an answer of the cloud is not XML: {error}"));
            return Vec::new();
        }
    };
    let root = document.root_element();
    let Some(found) = child(root, set) else {
        problems.push(format!("an answer of the cloud has no {set}"));
        return Vec::new();
    };
    if child(root, "nextToken").is_some_and(|token| token.text().is_some_and(|text| !text.is_empty())) {
        problems.push(format!("the cloud told only a part of its {set}"));
        return Vec::new();
    }
    let all: Option<Vec<T>> = elements(found).map(item).collect();
    all.unwrap_or_else(|| {
        problems.push(format!("an entry of {set} in the cloud's answer cannot be understood"));
        Vec::new()
    })
}

fn elements<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(|child| is(*child, "item"))
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| is(*child, name))
}

fn items<'a, 'i>(node: Node<'a, 'i>, name: &str) -> impl Iterator<Item = Node<'a, 'i>> {
    child(node, name).into_iter().flat_map(elements)
}

fn text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name)?.text().map(str::trim)
}

/// Names without their namespace, which is the API's version.
fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}
