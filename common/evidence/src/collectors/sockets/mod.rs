//! All TCP listeners of the node and who owns them.

use std::net::IpAddr;
use std::time::Duration;

use common_model::Class;
use serde::{Deserialize, Serialize};

use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed, parse_json};

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: Sockets::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| vec![(String::new(), Source::Sockets)],
    triggers: |_| vec![Trigger::Every(Duration::from_millis(500))],
    redact: |raw| raw,
};

/// Every TCP socket in state LISTEN in the host's network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sockets {
    /// In order of port, then address.
    pub listeners: Vec<Listener>,
}

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The bound address as the kernel has it: `::` for a wildcard IPv6 socket, `::ffff:127.0.0.1` for IPv4 loopback on an IPv6 socket.
    pub address: IpAddr,
    /// TCP port.
    pub port: u16,
    /// For a wildcard IPv6 socket: whether it leaves IPv4 alone (IPV6_V6ONLY). None where the kernel does not say.
    pub v6_only: Option<bool>,
    /// True when connections wait that the process has not accepted (accept queue longer than its limit).
    pub backlog_full: bool,
    /// The length that `listen()` asked for, after the kernel's cap.
    pub backlog_limit: u32,
    /// User id of the socket's owner; always known.
    pub uid: u32,
    /// Kernel inode of the socket.
    pub inode: u32,
    /// The process holding it; none when the agent may not see it.
    pub owner: Option<Owner>,
}

/// The process behind a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Process id; with several holders the one that started first.
    pub pid: u32,
    /// `/proc/PID/comm`.
    pub command: String,
    /// systemd unit of its control group, for example `elasticsearch.service`.
    pub unit: Option<String>,
}

impl Listener {
    /// The address with IPv4-mapped IPv6 taken back to IPv4.
    pub fn canonical_address(&self) -> IpAddr {
        self.address.to_canonical()
    }

    /// True when only this machine can connect to it.
    pub fn is_loopback(&self) -> bool {
        self.canonical_address().is_loopback()
    }

    /// True when a connection to `address` on this port reaches the socket.
    pub fn accepts(&self, address: IpAddr) -> bool {
        let bound = self.canonical_address();
        let wanted = address.to_canonical();
        if !bound.is_unspecified() {
            return bound == wanted;
        }
        match (bound, wanted) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => true,
            (IpAddr::V6(_), IpAddr::V4(_)) => self.v6_only != Some(true),
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }

    /// As `ss` shows it: `*:9200`, `127.0.0.1:9200`, `[::1]:9200`.
    pub fn shown(&self) -> String {
        match self.canonical_address() {
            IpAddr::V6(address) if address.is_unspecified() && self.v6_only != Some(true) => format!("*:{}", self.port),
            IpAddr::V6(address) => format!("[{address}]:{}", self.port),
            IpAddr::V4(address) => format!("{address}:{}", self.port),
        }
    }
}

impl Evidence for Sockets {
    const KIND: &'static str = "sockets";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        parse_json(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: &str, v6_only: Option<bool>) -> Listener {
        Listener {
            address: address.parse().unwrap(),
            port: 9200,
            v6_only,
            backlog_full: false,
            backlog_limit: 4096,
            uid: 0,
            inode: 1,
            owner: None,
        }
    }

    #[test]
    fn a_wildcard_socket_takes_both_families_unless_it_says_otherwise() {
        let v4 = "10.0.0.5".parse().unwrap();
        assert!(listener("::", Some(false)).accepts(v4));
        assert!(listener("::", None).accepts(v4));
        assert!(!listener("::", Some(true)).accepts(v4));
        assert!(!listener("0.0.0.0", None).accepts("::1".parse().unwrap()));
    }

    #[test]
    fn mapped_loopback_is_ipv4_loopback() {
        let socket = listener("::ffff:127.0.0.1", Some(false));
        assert!(socket.is_loopback());
        assert_eq!(socket.shown(), "127.0.0.1:9200");
        assert!(!socket.accepts("10.0.0.5".parse().unwrap()));
    }
}
