//! Packet filters, whoever wrote them, in one shape; and what they do to one packet. Pure.

use std::net::IpAddr;

/// The SYN whose fate is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The client's address.
    pub source: IpAddr,
    /// The node's address.
    pub destination: IpAddr,
    /// TCP destination port.
    pub port: u16,
    /// The interface it arrives on, where known.
    pub interface: Option<String>,
}

/// Who wrote and owns a rule; decides which command opens the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// ufw.
    Ufw,
    /// firewalld.
    Firewalld,
    /// iptables, by hand or by a saved file.
    Iptables,
    /// nftables, by hand or by `nftables.service`.
    Nftables,
}

/// What happens to a packet that is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Silence: the client times out.
    Drop,
    /// A TCP reset or ICMP port-unreachable: the client is refused, as by a closed port.
    Refuse,
    /// Another ICMP error: the client sees "no route to host".
    Prohibit,
}

/// The rule, or policy, that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What it does.
    pub block: Block,
    /// Who owns it.
    pub owner: Owner,
    /// The rule as its own tool prints it; none when a chain's policy decided.
    pub rule: Option<String>,
    /// Family, table and chain, for example `inet filter input`.
    pub place: String,
    /// A command that shows it.
    pub shown_by: String,
    /// Handle or line of the rule, where there is one.
    pub handle: Option<u64>,
}

/// The fate of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Every hook lets it pass.
    Passes,
    /// A rule or policy blocks it.
    Blocked(Decision),
    /// A rule that may decide could not be understood; its text.
    Unclear(String),
}
