//! What the cloud's filters do to the deciding probe, by what the controller read of them.

use common_evidence::cloud::{AwsNetwork, Fate, Flow, Interface};
use common_evidence::collectors::interfaces::Interfaces;
use common_model::diagnosis::MissingEvidence;
use common_model::{Network, Probe};
use controller_correlate::{Cited, NodePicture, Reading};

use crate::case::Case;
use crate::cite;
use crate::finding::missing;

/// What was read longer ago may have changed since.
const FRESH_MS: i64 = 30_000;

/// What is known of the cloud.
pub(crate) enum Seen {
    /// No cloud was asked.
    NotAsked,
    /// It was asked, and it cannot be told; what is missing.
    Unknown(MissingEvidence),
    /// What it does.
    Known(Box<Known>),
}

/// What a cloud does to a connection.
pub(crate) struct Known {
    /// What was read.
    pub(crate) aws: Cited<AwsNetwork>,
    /// The interface the connection arrives at.
    pub(crate) interface: Interface,
    /// The connection.
    pub(crate) flow: Flow,
    /// What becomes of it.
    pub(crate) fate: Fate,
}

/// What the cloud in front of the node meant does to this probe.
pub(crate) fn seen(case: &Case<'_>, probe: &Probe) -> Seen {
    let Some(node) = case.node() else { return Seen::NotAsked };
    let unknown = |what: String, how: &str| Seen::Unknown(missing(what, how));
    let fronts = format!("the security groups and network ACLs in front of {}", node.name);
    let aws = match node.aws() {
        Reading::Known(aws) => aws,
        Reading::Failed(_, failure) => {
            return unknown(
                format!("{fronts}: {}", cite::shown(&failure.message)),
                "on the controller: sudo journalctl -u dialtone-controller -n 20; then ask again",
            );
        }
        Reading::Missing | Reading::Gone(_) => return Seen::NotAsked,
    };
    let region = aws.value.region.as_ref().map(ToString::to_string).unwrap_or_default();
    if case.picture.at.millis_since(aws.taken_at) > FRESH_MS {
        let at = cite::time(aws.taken_at, case.picture.at);
        return unknown(format!("{fronts} now: AWS did not tell in time, and before at {at}"), "ask again");
    }
    if let Some(problem) = aws.problems.first() {
        return unknown(format!("{fronts}: {}", cite::shown(problem)), &by_hand(node));
    }
    let (Some(source), Some(destination)) = (probe.source, probe.address) else {
        return unknown(
            "the address the attempt came from".to_owned(),
            "ip route get to the node's address on the client",
        );
    };
    let Some(interface) = aws.value.interface(destination).cloned() else {
        return unknown(
            format!("{fronts}: no network interface in {region} has the private address {destination}"),
            &format!("ask for a private address of {}; cloud.aws.region in /etc/dialtone/controller.yaml", node.name),
        );
    };
    let (source, destination) = (source.to_canonical(), destination.to_canonical());
    let within_subnet = is_within_subnet(node, destination, source);
    let flow = Flow { source, destination, port: probe.port, within_subnet };
    let fate = aws.value.fate(&interface, &flow);
    Seen::Known(Box::new(Known { aws, interface, flow, fate }))
}

/// The subnet's size is that of the interface: EC2's DHCP gives it.
fn is_within_subnet(node: &NodePicture, destination: std::net::IpAddr, source: std::net::IpAddr) -> bool {
    let reading = node.one::<Interfaces>("");
    let held = reading.known().and_then(|interfaces| interfaces.value.holder(destination).cloned());
    held.is_some_and(|held| Network::new(held.address, held.prefix).contains(source))
}

/// How a person reads the same.
pub(crate) fn by_hand(node: &NodePicture) -> String {
    let address = controller_correlate::target::outside_addresses(node).first().map(ToString::to_string);
    format!(
        "aws ec2 describe-network-interfaces --filters Name=addresses.private-ip-address,Values={}",
        address.unwrap_or_else(|| "ADDRESS".to_owned())
    )
}
