//! Packet filters, whoever wrote them, in one shape; and what they do to one packet. Pure.

mod decision;
mod firewalls;
mod flow;
mod lines;
mod opening;
mod path;
pub mod ruleset;
mod walk;

use std::net::IpAddr;

pub use common_model::Network;
pub use firewalls::{Firewalls, Gap, Reads};
pub use lines::{RuleLine, rules_for_port};
pub use opening::{Opening, opening};
pub use path::{decide, forwarded_to};

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

impl Owner {
    /// Its name in `verdict.detail`.
    pub fn slug(self) -> &'static str {
        match self {
            Owner::Ufw => "ufw",
            Owner::Firewalld => "firewalld",
            Owner::Iptables => "iptables",
            Owner::Nftables => "nftables",
        }
    }
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
    /// The rule as its own tool prints it: nft's words, an iptables `-A` line, a line of `ufw status` or ufw's
    /// `deny (incoming)`, firewalld's rich rule or `zone public, target default`. None when a chain's policy decided.
    pub rule: Option<String>,
    /// Family, table and chain, for example `inet filter input`.
    pub place: String,
    /// A command that shows it.
    pub shown_by: String,
    /// nftables: the rule's handle. iptables: its number in the chain, from 1. ufw: its number in `ufw status numbered`.
    pub handle: Option<u64>,
    /// Where in the kernel's ruleset it stands.
    pub site: Site,
}

/// The place of a decision in the kernel's ruleset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Site {
    /// `ip`, `ip6`, `inet` or `netdev`.
    pub family: String,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// Index of the rule in its chain, from 0; none for a policy.
    pub index: Option<usize>,
    /// The chains walked to get there, the base chain first.
    pub via: Vec<String>,
    /// The port the packet was for when it got there; differs from the packet's own once it was translated.
    pub port: u16,
    /// True when it blocks the answer on its way out, not the packet on its way in.
    pub reply: bool,
    /// True when it lets the SYN in and blocks what follows: the client connects, and then gets no answer.
    pub established: bool,
    /// True for a table of iptables-legacy, which only the `-legacy` commands change.
    pub legacy: bool,
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

#[cfg(test)]
mod tests;
