//! Everything that filters packets on one node, put together from the separate reads.

use std::net::IpAddr;

use super::Network;
use super::flow::{Interface, Truth};
use super::ruleset::{Family, Table, Tool};
use crate::collectors::firewalld::Firewalld;
use crate::collectors::interfaces::{InterfaceAddress, Interfaces};
use crate::collectors::iptables::Iptables;
use crate::collectors::nftables::Nftables;
use crate::collectors::rules_files::RulesFiles;
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
    /// The files that rules are loaded from at boot.
    pub rules_files: Option<&'a RulesFiles>,
}

/// Something that was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Whose packets it may concern.
    pub family: Family,
    /// What, for people.
    pub text: String,
}

impl Gap {
    fn of_all(text: String) -> Self {
        Self { family: Family::Inet, text }
    }
}

/// Every packet filter of a node in one shape.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Firewalls {
    /// What could not be read and may hold a rule that blocks.
    pub gaps: Vec<Gap>,
    /// Why a ruleset is known in part only. A rule before any that is known may decide, so nothing can be told at all.
    pub cut: Option<String>,
    /// Every table the kernel asks, each once.
    pub tables: Vec<Table>,
    /// ufw's own view.
    pub ufw: Option<Ufw>,
    /// firewalld's own view.
    pub firewalld: Option<Firewalld>,
    /// The node's addresses; empty when they are not known.
    pub addresses: Vec<InterfaceAddress>,
    /// What is loaded at boot; nothing where that is not known.
    pub rules_files: RulesFiles,
}

impl Firewalls {
    /// Puts the reads together. Tables that iptables-nft made are taken from iptables-save, which tells them in full; all
    /// others from nft.
    pub fn from_reads(reads: Reads<'_>) -> Self {
        let mut gaps = Vec::new();
        let mut cut = None;
        let mut tables = match reads.nftables {
            Some(nftables) => {
                cut = cut.or(nftables.cut.clone());
                gaps.extend(nftables.gaps.iter().cloned().map(Gap::of_all));
                nftables.tables.clone()
            }
            None => {
                gaps.push(Gap::of_all("the nftables ruleset was not read".to_owned()));
                Vec::new()
            }
        };
        for saved in [reads.iptables, reads.ip6tables].into_iter().flatten() {
            cut = cut.or(saved.cut.clone());
            for table in &saved.tables {
                add_saved(&mut tables, table, reads.nftables.is_some());
            }
        }
        for saved in [reads.legacy, reads.legacy6].into_iter().flatten() {
            cut = cut.or(saved.cut.clone());
            for table in &saved.tables {
                add_legacy(&mut tables, table);
            }
        }
        gaps.extend(legacy_gaps(&reads, &tables));
        Self {
            gaps,
            cut,
            tables,
            ufw: reads.ufw.cloned(),
            firewalld: reads.firewalld.cloned(),
            addresses: reads.interfaces.map(|interfaces| interfaces.addresses.clone()).unwrap_or_default(),
            rules_files: reads.rules_files.cloned().unwrap_or_default(),
        }
    }

    /// Whether `address` is one of the node's own.
    pub(super) fn is_local(&self, address: IpAddr) -> Truth {
        if address.is_loopback() {
            return Some(true);
        }
        (!self.addresses.is_empty()).then(|| self.addresses.iter().any(|held| held.address == address))
    }

    /// The interface by which packets from `source` to `destination` most likely come in: the one whose network the source is
    /// in, else the one that holds the destination.
    pub(super) fn interface_for(&self, source: IpAddr, destination: IpAddr) -> Option<String> {
        self.linked(source)
            .or_else(|| self.addresses.iter().find(|held| held.address == destination))
            .map(|held| held.interface.clone())
            .filter(|name| name != "lo")
    }

    /// Whether `source` is in the network of the interface.
    pub(super) fn on_link(&self, source: IpAddr, interface: &Interface) -> bool {
        matches!(interface, Interface::Named(name) if self.linked(source).is_some_and(|held| held.interface == *name))
    }

    /// The interface by which packets to `destination` leave, where it is in a network of the node's own.
    pub(super) fn route(&self, destination: IpAddr) -> Interface {
        self.linked(destination).map_or(Interface::Foreign, |held| Interface::Named(held.interface.clone()))
    }

    fn linked(&self, address: IpAddr) -> Option<&InterfaceAddress> {
        self.addresses
            .iter()
            .filter(|held| Network::new(held.address, held.prefix).contains(address))
            .max_by_key(|held| held.prefix)
    }
}

/// Tables of iptables-legacy that the kernel has and nothing told. Its programs need a capability that agents may lack.
fn legacy_gaps(reads: &Reads<'_>, tables: &[Table]) -> Vec<Gap> {
    let Some(listed) = reads.legacy_tables else { return Vec::new() };
    if let Some(cut) = &listed.cut {
        return vec![Gap::of_all(cut.clone())];
    }
    let families = [(Family::Ip, reads.legacy), (Family::Ip6, reads.legacy6)];
    let untold = families.into_iter().filter(|(family, read)| {
        let known = tables.iter().any(|table| table.tool == Tool::IptablesLegacy && table.family == *family);
        read.is_none() && !known && listed.legacy.iter().any(|(of, _)| of == family.word())
    });
    untold
        .map(|(family, _)| Gap { family, text: format!("the tables of iptables-legacy for {family} were not read") })
        .collect()
}

/// Adds a table of iptables-save. It is the kernel's nftables table of that name when nft lists one, else a legacy one.
fn add_saved(tables: &mut Vec<Table>, saved: &Table, nft_was_read: bool) {
    match tables.iter_mut().find(|table| table.family == saved.family && table.name == saved.name) {
        Some(table) if table.is_made_by_iptables() => {
            table.tool = Tool::Iptables;
            table.chains.clone_from(&saved.chains);
        }
        Some(_) => {}
        None if nft_was_read => add_legacy(tables, saved),
        None => tables.push(saved.clone()),
    }
}

fn add_legacy(tables: &mut Vec<Table>, saved: &Table) {
    let same =
        |table: &Table| table.tool == Tool::IptablesLegacy && table.family == saved.family && table.name == saved.name;
    if !tables.iter().any(same) {
        tables.push(Table { tool: Tool::IptablesLegacy, ..saved.clone() });
    }
}
