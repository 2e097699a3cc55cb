//! The packet filters of a node, put together from its evidence.

use common_evidence::collectors::firewalld::Firewalld;
use common_evidence::collectors::interfaces::Interfaces;
use common_evidence::collectors::iptables::Iptables;
use common_evidence::collectors::nftables::Nftables;
use common_evidence::collectors::rules_files::RulesFiles;
use common_evidence::collectors::ufw::Ufw;
use common_evidence::firewall::{Fate, Firewalls, Owner, Packet, Reads, decide};
use common_model::EvidenceId;

use crate::picture::{NodePicture, Reading};

/// A node's filters, with the evidence they were read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Filters {
    /// All of them in one shape.
    pub firewalls: Firewalls,
    /// What they were read from: kind's owner and id, in the order nftables, iptables, ufw, firewalld.
    pub evidence: Vec<(Owner, EvidenceId)>,
}

impl Filters {
    /// Joins what was read of the node's filters. None when no filter was ever read.
    pub fn of(node: &NodePicture) -> Option<Self> {
        let nftables: Reading<Nftables> = node.one("");
        let [ip, ip6, legacy, legacy6, tables] =
            ["ip", "ip6", "legacy", "legacy6", "legacy-tables"].map(|subject| node.one::<Iptables>(subject));
        let ufw: Reading<Ufw> = node.one("");
        let firewalld: Reading<Firewalld> = node.one("");
        let interfaces: Reading<Interfaces> = node.one("");
        let rules_files: Reading<RulesFiles> = node.one("");
        let mut evidence = Vec::new();
        evidence.extend(nftables.known().map(|cited| (Owner::Nftables, cited.id.clone())));
        let saved = [&ip, &ip6, &legacy, &legacy6].into_iter().filter_map(Reading::known);
        evidence.extend(saved.map(|cited| (Owner::Iptables, cited.id.clone())));
        evidence.extend(ufw.known().map(|cited| (Owner::Ufw, cited.id.clone())));
        evidence.extend(firewalld.known().map(|cited| (Owner::Firewalld, cited.id.clone())));
        if evidence.is_empty() {
            return None;
        }
        let firewalls = Firewalls::from_reads(Reads {
            nftables: value(&nftables),
            iptables: value(&ip),
            ip6tables: value(&ip6),
            legacy: value(&legacy),
            legacy6: value(&legacy6),
            legacy_tables: value(&tables),
            ufw: value(&ufw),
            firewalld: value(&firewalld),
            interfaces: value(&interfaces),
            rules_files: value(&rules_files),
        });
        Some(Self { firewalls, evidence })
    }

    /// What becomes of the first packet of a connection.
    pub fn fate(&self, packet: &Packet) -> Fate {
        decide(&self.firewalls, packet)
    }
}

fn value<T>(reading: &Reading<T>) -> Option<&T> {
    reading.known().map(|cited| &cited.value)
}
