//! What a cloud says of a node: which network interface has its address, and the security groups and network ACLs in front of it.
//!
//! The controller reads it with its own credentials and keeps the answers raw; agents have no part in it, and what an agent sends
//! under this kind is never read.

mod decide;
mod parse;
#[cfg(test)]
mod tests;

pub use decide::{Block, Fate, Flow};

use std::net::IpAddr;

use common_model::Network;
use common_plan::{GroupId, InterfaceId, Region};
use serde::{Deserialize, Serialize};

use crate::{Evidence, Parsed, parse_json};

/// The answers of the EC2 API about one node, as they came; the envelope's body as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsAnswers {
    /// Where it was asked.
    pub region: Region,
    /// `DescribeNetworkInterfaces` by the node's addresses.
    pub interfaces: String,
    /// `DescribeSecurityGroups` of those interfaces.
    pub groups: Option<String>,
    /// `DescribeNetworkAcls` of their subnets.
    pub acls: Option<String>,
    /// `DescribeNetworkInterfaces` by the groups that a rule names as its source.
    pub members: Option<String>,
}

/// What AWS says of one node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AwsNetwork {
    /// Where it was asked.
    pub region: Option<Region>,
    /// Those that have an address of the node.
    pub interfaces: Vec<Interface>,
    /// The groups they are in.
    pub groups: Vec<Group>,
    /// The ACLs of their subnets.
    pub acls: Vec<Acl>,
    /// The interfaces in groups that are named as a source; none where they were not asked for.
    pub members: Option<Vec<Interface>>,
}

/// A network interface of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Which.
    pub id: InterfaceId,
    /// The instance it is attached to, as AWS names it.
    pub instance: Option<String>,
    /// Its private addresses.
    pub addresses: Vec<IpAddr>,
    /// Its security groups.
    pub groups: Vec<GroupId>,
    /// Its subnet, as AWS names it.
    pub subnet: String,
}

/// A security group, as far as it lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Which.
    pub id: GroupId,
    /// The name people gave it; foreign text.
    pub name: String,
    /// What it lets in; everything else is dropped.
    pub permissions: Vec<Permission>,
}

/// One permission of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Whether it is for TCP, or for everything.
    pub tcp: bool,
    /// First and last port; none: all of them.
    pub ports: Option<(u16, u16)>,
    /// From where.
    pub sources: Vec<Source>,
}

/// Where a permission lets in from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A network.
    Network(Network),
    /// Whatever is in this group.
    Group(String),
    /// The networks of a list that was not read.
    PrefixList(String),
}

/// A network ACL. It sees what crosses the edge of its subnets, and every packet by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// As AWS names it.
    pub id: String,
    /// The subnets it is for.
    pub subnets: Vec<String>,
    /// In the order in which they are looked at.
    pub entries: Vec<AclEntry>,
}

/// One entry of a network ACL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclEntry {
    /// The lower one decides; 32767 is the one that everybody has, and denies.
    pub number: u32,
    /// For what leaves the subnet.
    pub egress: bool,
    /// Whether it lets through.
    pub allow: bool,
    /// Whether it is for TCP, or for everything.
    pub tcp: bool,
    /// First and last destination port; none: all of them.
    pub ports: Option<(u16, u16)>,
    /// The far end.
    pub network: Network,
}

impl AwsNetwork {
    /// The interface that has this address.
    pub fn interface(&self, address: IpAddr) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.addresses.contains(&address.to_canonical()))
    }

    /// A group that was read.
    pub fn group(&self, id: &GroupId) -> Option<&Group> {
        self.groups.iter().find(|group| group.id == *id)
    }
}

impl AwsAnswers {
    /// The groups that the rules of the groups read so far name as a source.
    pub fn sources(groups: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let groups = parse::groups(groups, &mut problems);
        let sources = groups.into_iter().flat_map(|group| group.permissions).flat_map(|permission| permission.sources);
        let mut named: Vec<String> = sources
            .filter_map(|source| match source {
                Source::Group(group) => Some(group),
                Source::Network(_) | Source::PrefixList(_) => None,
            })
            .collect();
        named.sort();
        named.dedup();
        named
    }

    /// The interfaces in an answer.
    pub fn interfaces(xml: &str) -> Parsed<Vec<Interface>> {
        let mut problems = Vec::new();
        Parsed { value: parse::interfaces(xml, &mut problems), problems }
    }
}

impl Evidence for AwsNetwork {
    const KIND: &'static str = "aws-network";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        let Parsed { value: answers, mut problems } = parse_json::<Option<AwsAnswers>>(raw);
        let Some(answers) = answers else { return Parsed { value: Self::default(), problems } };
        let value = Self {
            interfaces: parse::interfaces(&answers.interfaces, &mut problems),
            groups: answers.groups.map(|xml| parse::groups(&xml, &mut problems)).unwrap_or_default(),
            acls: answers.acls.map(|xml| parse::acls(&xml, &mut problems)).unwrap_or_default(),
            members: answers.members.map(|xml| parse::interfaces(&xml, &mut problems)),
            region: Some(answers.region),
        };
        Parsed { value, problems }
    }
}
