//! ④ The cloud's own filters stop the connection: the node's security groups, or the network ACL of its subnet.
//!
//! They drop without a word, so only silence fits. What they do is known for certain where the controller could read them; they are
//! the first filter on the way, so a second one behind them changes nothing.

#[cfg(test)]
mod tests;

use common_evidence::cloud::{Block, Fate, Group, Source};
use common_model::{Certainty, NodeName, Stage, Symptom};
use serde_json::json;

use crate::case::{Case, vantage};
use crate::cite;
use crate::cloud::{self, Known, Seen};
use crate::finding::{Blocks, Cause, Finding, Step, Support};

/// Permissions of a group that are quoted at most.
const QUOTED: usize = 8;

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "cloud-firewall",
    title: "The cloud's security group or network ACL stops the connection",
    stage: Some(Stage::Filter),
    needs: &["interfaces"],
    refuted_by: "any answer to the connection's first packet, or a rule of a group that lets its source in",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    let Some(probe) = case.wire.deciding().filter(|_| case.wire.is_from_outside()) else {
        return Finding::Unknown(Vec::new());
    };
    if probe.connected {
        return Finding::ruled_out(format!("a connection from {} stands", vantage(&probe.vantage)), cite::probe(probe));
    }
    if probe.outcome != Symptom::Timeout {
        return Finding::ruled_out("an answer came back; a cloud's filter gives none", cite::probe(probe));
    }
    let Some(node) = case.node_name() else { return Finding::Unknown(case.engine().err().unwrap_or_default()) };
    let known = match cloud::seen(case, probe) {
        Seen::NotAsked => {
            return Finding::unknown(
                format!("the security groups and network ACLs in front of {node}, if it is in a cloud"),
                "cloud: {aws: {region: …}} in /etc/dialtone/controller.yaml lets the controller read them",
            );
        }
        Seen::Unknown(missing) => return Finding::Unknown(vec![missing]),
        Seen::Known(known) => known,
    };
    match &known.fate {
        Fate::Passes => Finding::ruled_out(
            format!(
                "the security groups and network ACL of {node} let {} reach port {}",
                known.flow.source, probe.port
            ),
            quote(case, &known),
        ),
        Fate::Unclear(what) => Finding::unknown(cite::shown(what), case.node().map(cloud::by_hand).unwrap_or_default()),
        Fate::Blocked(block) => supported(case, &known, block, node),
    }
}

fn supported(case: &Case<'_>, known: &Known, block: &Block, node: NodeName) -> Finding {
    let (source, port) = (known.flow.source, known.flow.port);
    let (sentence, fact) = match block {
        Block::Groups(groups) => {
            let names: Vec<String> = groups.iter().map(|id| titled(known, id.as_str())).collect();
            let sentence = match names.as_slice() {
                [] => format!("{node} is in no security group, so nothing lets {source} reach port {port}."),
                [one] => format!("Security group {one} of {node} does not let {source} reach port {port}."),
                several => format!(
                    "None of the security groups of {node} lets {source} reach port {port}: {}.",
                    several.join(", ")
                ),
            };
            (sentence, format!("a security group drops what none of its rules lets in; {}", lets_in(known)))
        }
        Block::Acl { id, entry, answers } => {
            let id = cite::shown(id);
            let by = entry.map_or_else(|| "its last entry".to_owned(), |number| format!("entry {number}"));
            let what = if *answers {
                format!("the answers from {node} to {source}")
            } else {
                format!("connections from {source} to port {port} of {node}")
            };
            let fact = format!("{} of {id} denies them before any security group is asked", by);
            (format!("Network ACL {id} drops {what}: {by}."), fact)
        }
    };
    Finding::supported(Support {
        certainty: Certainty::Certain,
        blocks: Blocks::Now,
        node: Some(node),
        sentence,
        detail: detail(known, block),
        chain: vec![
            case.symptom_step("no-answer", &format!("{} cannot be reached", case.destination()), Vec::new()),
            Step::new("cloud-firewall", fact, quote(case, known)),
        ],
        change: None,
        missing: Vec::new(),
    })
}

fn detail(known: &Known, block: &Block) -> serde_json::Value {
    let (groups, acl) = match block {
        Block::Groups(groups) => {
            (groups.iter().map(|id| json!({"id": id, "name": name(known, id.as_str())})).collect(), None)
        }
        Block::Acl { id, entry, answers } => (Vec::new(), Some(json!({"id": id, "entry": entry, "answers": answers}))),
    };
    json!({
        "provider": "aws",
        "region": known.aws.value.region,
        "interface": known.interface.id,
        "instance": known.interface.instance,
        "groups": groups,
        "acl": acl,
        "source": known.flow.source,
        "destination": known.flow.destination,
        "port": known.flow.port,
    })
}

fn name<'k>(known: &'k Known, id: &str) -> &'k str {
    known.aws.value.groups.iter().find(|group| group.id.as_str() == id).map_or("", |group| group.name.as_str())
}

/// A group by id and name.
fn titled(known: &Known, id: &str) -> String {
    match name(known, id) {
        "" => id.to_owned(),
        name => format!("{id} ({})", cite::shown(name)),
    }
}

/// What the interface's groups let in, in words.
fn lets_in(known: &Known) -> String {
    let groups = known.aws.value.groups.iter().filter(|group| known.interface.groups.contains(&group.id));
    let told: Vec<String> = groups.map(of_group).collect();
    told.join("; ")
}

fn of_group(group: &Group) -> String {
    let permissions = group.permissions.iter().filter(|permission| permission.tcp).map(|permission| {
        let ports = match permission.ports {
            None => "every port".to_owned(),
            Some((first, last)) if first == last => format!("port {first}"),
            Some((first, last)) => format!("ports {first} to {last}"),
        };
        let sources: Vec<String> = permission
            .sources
            .iter()
            .map(|source| match source {
                // A network of one host, too, as AWS writes it.
                Source::Network(network) => format!("{}/{}", network.address(), network.prefix()),
                Source::Group(name) | Source::PrefixList(name) => cite::shown(name),
            })
            .collect();
        format!("{ports} from {}", sources.join(", "))
    });
    let mut told: Vec<String> = permissions.take(QUOTED).collect();
    if told.is_empty() {
        told.push("nothing over TCP".to_owned());
    }
    format!("{} lets in {}", group.id, told.join(" and "))
}

/// Quotes what was read, with the command that shows the same.
fn quote(case: &Case<'_>, known: &Known) -> Vec<common_model::diagnosis::Citation> {
    let groups: Vec<&str> = known.interface.groups.iter().map(|group| group.as_str()).collect();
    let region = known.aws.value.region.as_ref().map(|region| region.as_str()).unwrap_or_default();
    let instance = known.interface.instance.as_deref().map(|id| format!(" of {}", cite::shown(id))).unwrap_or_default();
    let (excerpt, source) = match &known.fate {
        Fate::Blocked(Block::Acl { id, .. }) => {
            let entries = known.aws.value.acls.iter().filter(|acl| acl.id == *id).flat_map(|acl| &acl.entries);
            let lines = entries.take(QUOTED).map(|entry| {
                let (way, does) = (if entry.egress { "out" } else { "in" }, if entry.allow { "allow" } else { "deny" });
                let ports = entry.ports.map_or_else(|| "all".to_owned(), |(first, last)| format!("{first}-{last}"));
                format!(
                    "{} {way} {does} {}/{} ports {ports}",
                    entry.number,
                    entry.network.address(),
                    entry.network.prefix()
                )
            });
            (
                lines.collect::<Vec<_>>().join("\n"),
                format!("aws ec2 describe-network-acls --region {region} --network-acl-ids {}", cite::shown(id)),
            )
        }
        _ => (
            format!("{}{instance}: {}", known.interface.id, lets_in(known)),
            format!("aws ec2 describe-security-groups --region {region} --group-ids {}", groups.join(" ")),
        ),
    };
    case.cite(&known.aws, &excerpt, &source)
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_evidence::cloud::AwsAnswers;
    use common_model::Symptom;
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, picture, probe};

    /// What a group lets in: a port from a network.
    pub(crate) fn permission(port: u16, network: &str) -> String {
        format!(
            "<item><ipProtocol>tcp</ipProtocol><fromPort>{port}</fromPort><toPort>{port}</toPort><groups/><ipRanges><item>\
             <cidrIp>{network}</cidrIp></item></ipRanges></item>"
        )
    }

    /// What AWS says of a node that is in one group with these permissions, in a subnet with these entries of its ACL.
    pub(crate) fn answers(permissions: &str, entries: &str) -> AwsAnswers {
        let interfaces = "<DescribeNetworkInterfacesResponse><networkInterfaceSet><item><networkInterfaceId>eni-0b0b0b0b</networkInterfaceId>\
             <attachment><instanceId>i-0123456789abcdef0</instanceId></attachment><subnetId>subnet-1</subnetId><groupSet><item>\
             <groupId>sg-0a0a0a0a</groupId></item></groupSet><privateIpAddressesSet><item><privateIpAddress>10.0.0.5</privateIpAddress>\
             </item></privateIpAddressesSet></item></networkInterfaceSet></DescribeNetworkInterfacesResponse>";
        let groups = format!(
            "<DescribeSecurityGroupsResponse><securityGroupInfo><item><groupId>sg-0a0a0a0a</groupId><groupName>search</groupName>\
             <ipPermissions>{permissions}</ipPermissions></item></securityGroupInfo></DescribeSecurityGroupsResponse>"
        );
        let acls = format!(
            "<DescribeNetworkAclsResponse><networkAclSet><item><networkAclId>acl-0e0e0e0e</networkAclId><associationSet><item>\
             <subnetId>subnet-1</subnetId></item></associationSet><entrySet>{entries}</entrySet></item></networkAclSet>\
             </DescribeNetworkAclsResponse>"
        );
        AwsAnswers {
            region: "eu-central-1".parse().unwrap_or_else(|error| unreachable!("{error}")),
            interfaces: interfaces.to_owned(),
            groups: Some(groups),
            acls: Some(acls),
            members: None,
        }
    }

    pub(crate) fn entry(number: u32, egress: bool, action: &str, network: &str) -> String {
        format!(
            "<item><ruleNumber>{number}</ruleNumber><egress>{egress}</egress><ruleAction>{action}</ruleAction><protocol>-1</protocol>\
             <cidrBlock>{network}</cidrBlock></item>"
        )
    }

    /// The entries of an ACL as AWS makes it.
    pub(crate) fn open() -> String {
        [entry(100, false, "allow", "0.0.0.0/0"), entry(100, true, "allow", "0.0.0.0/0")].concat()
    }

    pub(crate) fn fires() -> Picture {
        picture(Node::new().aws(&answers(&permission(22, "0.0.0.0/0"), &open())), vec![probe(Symptom::Timeout)])
    }
}
