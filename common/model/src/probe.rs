//! What one observed attempt from a vantage to an address gave.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::EvidenceId;
use crate::time::Timestamp;

/// How an attempt ended, as its own class each: refused, timed out and no route are never confused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Symptom {
    /// An engine answered the protocol: 2xx, or 401 and 403, for the way to it is open.
    Ok,
    /// ECONNREFUSED: a closed port, or a firewall that resets or answers port-unreachable.
    Refused,
    /// No answer to the SYN, or none to the request.
    Timeout,
    /// EHOSTUNREACH or ENETUNREACH.
    Unreachable,
    /// ECONNRESET after connecting.
    Reset,
    /// The peer closed without a byte.
    Eof,
    /// The TLS handshake failed.
    TlsFailure,
    /// Any other status of an engine (503 …), or an answer that is not an engine's.
    HttpError,
    /// The name has no address.
    Unresolved,
    /// EACCES or EPERM on the client itself.
    Denied,
    /// Nothing was attempted.
    None,
}

/// One attempt. Outcome is with respect to the endpoint's scheme; `tls` and `http` say what each protocol saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Cited by findings.
    pub id: EvidenceId,
    /// `controller`, `here`, or a node's name.
    pub vantage: String,
    /// The address tried; none when the name did not resolve.
    pub address: Option<IpAddr>,
    /// The vantage's own address on this connection, where known; firewall rules are judged by it.
    pub source: Option<IpAddr>,
    /// TCP port.
    pub port: u16,
    /// How it ended.
    pub outcome: Symptom,
    /// Name of the errno that ended it, for example `ECONNREFUSED`.
    pub errno: Option<String>,
    /// Milliseconds from SYN to the connect's result.
    pub rtt_ms: Option<f64>,
    /// True once the TCP connection stood.
    pub connected: bool,
    /// What a TLS hello gave; none when none was sent.
    pub tls: Option<TlsSeen>,
    /// What a GET gave, over the protocol named in it; none when none was sent.
    pub http: Option<HttpSeen>,
    /// When it ended, by the vantage's clock.
    pub taken_at: Timestamp,
    /// In words: what was tried and what came back.
    pub message: String,
}

/// What a TLS handshake showed. The certificate is recorded whether it is trusted or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TlsSeen {
    /// True when the handshake completed.
    pub established: bool,
    /// For example `TLSv1.3`.
    pub version: Option<String>,
    /// Subject of the leaf certificate.
    pub subject: Option<String>,
    /// Issuer of the leaf certificate.
    pub issuer: Option<String>,
    /// DNS names and addresses in the leaf certificate.
    pub names: Vec<String>,
    /// SHA-256 of the leaf certificate, lower-case hex.
    pub fingerprint_sha256: Option<String>,
    /// SHA-256 of the last certificate of the chain that is a CA, lower-case hex; what `ca_fingerprint` of clients wants.
    pub ca_fingerprint_sha256: Option<String>,
    /// End of the leaf certificate's validity.
    pub not_after: Option<Timestamp>,
    /// Why it did not complete.
    pub error: Option<String>,
}

/// What an HTTP GET of `/` showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpSeen {
    /// True when it was sent inside TLS.
    pub over_tls: bool,
    /// The status, if a status line came back.
    pub status: Option<u16>,
    /// What came back, by shape.
    pub answer: HttpAnswer,
    /// The product that answered, where it says so.
    pub product: Option<Product>,
    /// `version.number` of the banner.
    pub version: Option<String>,
    /// `cluster_name` of the banner.
    pub cluster_name: Option<String>,
    /// `name` (the engine's node name) of the banner.
    pub node_name: Option<String>,
    /// The first bytes of the answer, at most 512, as text.
    pub excerpt: String,
}

/// The shapes of an answer to a GET.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpAnswer {
    /// An HTTP status line.
    Http,
    /// Closed without a byte.
    Empty,
    /// Reset.
    Reset,
    /// Connected, then silence.
    Silence,
    /// Bytes that are not HTTP (for example a TLS alert, or the transport port's words).
    NotHttp,
}

/// The engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Product {
    /// Elasticsearch.
    Elasticsearch,
    /// OpenSearch.
    Opensearch,
}

impl Product {
    /// The product's name as the vendor writes it.
    pub fn title(self) -> &'static str {
        match self {
            Product::Elasticsearch => "Elasticsearch",
            Product::Opensearch => "OpenSearch",
        }
    }

    /// The name of its unit, package, user and directories.
    pub fn slug(self) -> &'static str {
        match self {
            Product::Elasticsearch => "elasticsearch",
            Product::Opensearch => "opensearch",
        }
    }
}
