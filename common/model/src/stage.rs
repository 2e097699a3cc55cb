//! The ordered stages a connection passes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One stage of the path from a client to an answer. Ordered: an earlier stage blocks all later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The client's own machine: proxy, SELinux, ports.
    Client,
    /// Name to address.
    Resolve,
    /// A way to the host.
    Route,
    /// Firewalls between, and on, the host.
    Filter,
    /// A process accepts on the address and port.
    Listen,
    /// The TLS handshake.
    Tls,
    /// A protocol answer.
    Http,
    /// The cluster behind the node.
    Cluster,
}

impl Stage {
    /// All stages in the order a connection passes them.
    pub const ALL: [Stage; 8] = [
        Stage::Client,
        Stage::Resolve,
        Stage::Route,
        Stage::Filter,
        Stage::Listen,
        Stage::Tls,
        Stage::Http,
        Stage::Cluster,
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Stage::Client => "client",
            Stage::Resolve => "resolve",
            Stage::Route => "route",
            Stage::Filter => "filter",
            Stage::Listen => "listen",
            Stage::Tls => "tls",
            Stage::Http => "http",
            Stage::Cluster => "cluster",
        })
    }
}
