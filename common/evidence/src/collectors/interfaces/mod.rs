//! Addresses of the node's interfaces.

use std::net::IpAddr;

use common_model::Class;
use serde::{Deserialize, Serialize};

use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed, parse_json};

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: Interfaces::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| vec![(String::new(), Source::Interfaces)],
    triggers: |_| vec![Trigger::Network],
    redact: |raw| raw,
};

/// Every address of every interface.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Interfaces {
    /// In order of interface, then address.
    pub addresses: Vec<InterfaceAddress>,
}

/// One address of one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceAddress {
    /// Name of the interface.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Length of the network's prefix in bits.
    pub prefix: u8,
    /// Whether the interface is up.
    pub up: bool,
}

impl Interfaces {
    /// The interface that has this address.
    pub fn holder(&self, address: IpAddr) -> Option<&InterfaceAddress> {
        self.addresses.iter().find(|held| held.address == address.to_canonical())
    }
}

impl Evidence for Interfaces {
    const KIND: &'static str = "interfaces";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        parse_json(raw)
    }
}
