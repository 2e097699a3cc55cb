//! Everything that filters packets on one node, put together from the separate reads.

use super::{Fate, Packet};
use crate::collectors::firewalld::Firewalld;
use crate::collectors::interfaces::Interfaces;
use crate::collectors::iptables::Iptables;
use crate::collectors::nftables::Nftables;
use crate::collectors::ufw::Ufw;

/// What was read of one node; none where it could not be, or was not asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reads<'a> {
    /// `nft -j -a list ruleset`.
    pub nftables: Option<&'a Nftables>,
    /// `iptables-save`, subject `ip`.
    pub iptables: Option<&'a Iptables>,
    /// `ip6tables-save`, subject `ip6`.
    pub ip6tables: Option<&'a Iptables>,
    /// `iptables-legacy-save`, subject `legacy`.
    pub legacy: Option<&'a Iptables>,
    /// `ip6tables-legacy-save`, subject `legacy6`.
    pub legacy6: Option<&'a Iptables>,
    /// The names of legacy tables the kernel has, subject `legacy-tables`.
    pub legacy_tables: Option<&'a Iptables>,
    /// ufw's own files.
    pub ufw: Option<&'a Ufw>,
    /// firewalld's own files.
    pub firewalld: Option<&'a Firewalld>,
    /// The node's addresses: which interface a packet comes in by, which addresses are the node's own.
    pub interfaces: Option<&'a Interfaces>,
}

/// Every packet filter of a node in one shape.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Firewalls {
    /// What could not be read and may hold a rule that decides, for people.
    pub gaps: Vec<String>,
}

impl Firewalls {
    /// Puts the reads together.
    pub fn from_reads(reads: Reads<'_>) -> Self {
        let mut gaps = Vec::new();
        if reads.nftables.is_none() {
            gaps.push("the nftables ruleset was not read".to_owned());
        }
        Self { gaps }
    }
}

/// What becomes of the SYN of a new connection, and of the answer to it.
pub fn decide(_firewalls: &Firewalls, _packet: &Packet) -> Fate {
    Fate::Unclear("the ruleset is not understood".to_owned())
}
