//! Whether a new connection gets through ACL and groups.
//!
//! As AWS documents it: groups only ever allow, all of an interface's count together, and they let answers through by themselves. An
//! ACL takes the entry with the lowest number that fits, sees nothing of what stays within its subnet, and has to let the answers
//! out as well.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use common_plan::GroupId;

use super::{Acl, AclEntry, AwsNetwork, Interface, Permission, Source};

/// The ports clients connect from: Linux' own range, the narrowest in use.
const CLIENT_PORTS: RangeInclusive<u16> = 32_768..=60_999;
/// The number of the entry that every ACL ends in.
const LAST: u32 = 32_767;

/// The first packet of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The client's address, as the interface sees it.
    pub source: IpAddr,
    /// The interface's.
    pub destination: IpAddr,
    /// The destination port.
    pub port: u16,
    /// Whether both ends are in one subnet.
    pub within_subnet: bool,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It gets through.
    Passes,
    /// It is dropped.
    Blocked(Block),
    /// It cannot be told; what is missing.
    Unclear(String),
}

/// What drops it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// None of the interface's groups lets it in.
    Groups(Vec<GroupId>),
    /// A network ACL.
    Acl {
        /// As AWS names it.
        id: String,
        /// The entry that decides; none: the last one, which nobody can change.
        entry: Option<u32>,
        /// It is the answers that are stopped.
        answers: bool,
    },
}

impl AwsNetwork {
    /// What becomes of a connection to an interface: the ACL comes first, as on the way in.
    pub fn fate(&self, interface: &Interface, flow: &Flow) -> Fate {
        match (self.by_acl(interface, flow), self.by_groups(interface, flow)) {
            (blocked @ Fate::Blocked(_), _) | (_, blocked @ Fate::Blocked(_)) => blocked,
            (unclear @ Fate::Unclear(_), _) | (_, unclear @ Fate::Unclear(_)) => unclear,
            (Fate::Passes, Fate::Passes) => Fate::Passes,
        }
    }

    /// By the interface's groups alone.
    pub fn by_groups(&self, interface: &Interface, flow: &Flow) -> Fate {
        let mut unclear = None;
        for id in &interface.groups {
            let Some(group) = self.group(id) else {
                unclear = Some(format!("the rules of security group {id}"));
                continue;
            };
            for permission in group.permissions.iter().filter(|permission| permission.is_for(flow.port)) {
                for source in &permission.sources {
                    match self.is_source(source, flow.source) {
                        Ok(true) => return Fate::Passes,
                        Ok(false) => {}
                        Err(missing) => unclear = Some(missing),
                    }
                }
            }
        }
        match unclear {
            Some(missing) => Fate::Unclear(missing),
            None => Fate::Blocked(Block::Groups(interface.groups.clone())),
        }
    }

    fn is_source(&self, source: &Source, address: IpAddr) -> Result<bool, String> {
        match source {
            Source::Network(network) => Ok(network.contains(address)),
            Source::PrefixList(list) => Err(format!("the networks of prefix list {list}, which a group lets in")),
            Source::Group(group) => match &self.members {
                Some(members) => Ok(members.iter().any(|member| {
                    member.addresses.contains(&address) && member.groups.iter().any(|held| held.as_str() == group)
                })),
                None => Err(format!("who is in security group {group}, which a group lets in")),
            },
        }
    }

    fn by_acl(&self, interface: &Interface, flow: &Flow) -> Fate {
        if flow.within_subnet {
            return Fate::Passes;
        }
        let Some(acl) = self.acls.iter().find(|acl| acl.subnets.contains(&interface.subnet)) else {
            return Fate::Unclear(format!("the network ACL of {}", interface.subnet));
        };
        let ways = [(false, flow.port..=flow.port), (true, CLIENT_PORTS)];
        for (answers, ports) in ways {
            match acl.verdict(answers, flow.source, &ports) {
                Some((true, _)) => {}
                Some((false, entry)) => return Fate::Blocked(Block::Acl { id: acl.id.clone(), entry, answers }),
                None => {
                    return Fate::Unclear(format!(
                        "which port the client connects from: {} lets only some out",
                        acl.id
                    ));
                }
            }
        }
        Fate::Passes
    }
}

impl Permission {
    fn is_for(&self, port: u16) -> bool {
        self.tcp && self.ports.is_none_or(|(first, last)| (first..=last).contains(&port))
    }
}

impl Acl {
    /// Whether packets of this way, with the far end `peer`, get through, and the entry that says so. None where it depends on the
    /// port.
    fn verdict(&self, egress: bool, peer: IpAddr, ports: &RangeInclusive<u16>) -> Option<(bool, Option<u32>)> {
        let fitting = |entry: &&AclEntry| entry.egress == egress && entry.tcp && entry.network.contains(peer);
        for entry in self.entries.iter().filter(fitting) {
            let (first, last) = entry.ports.unwrap_or((0, u16::MAX));
            if first <= *ports.start() && *ports.end() <= last {
                return Some((entry.allow, Some(entry.number).filter(|number| *number != LAST)));
            }
            if first <= *ports.end() && *ports.start() <= last {
                return None;
            }
        }
        Some((false, None))
    }
}
