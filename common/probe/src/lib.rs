//! Observed attempts to reach an endpoint from where this runs: resolve, connect, plain GET, TLS hello.
//!
//! An attempt says what it saw and never what it means. It carries no credentials, follows no redirect, trusts no byte it
//! reads, and ends within its [`Limits`].
//!
//! What [`Probe::outcome`] says is relative to the endpoint's scheme; no scheme counts as `http`, the clients' default:
//! - the connect failed: the class of its errno;
//! - the protocol was answered by an engine with 2xx, 401 or 403: [`Symptom::Ok`], for the way to it is open;
//! - any other HTTP answer, and any answer that is not HTTP: [`Symptom::HttpError`];
//! - no answer: [`Symptom::Eof`], [`Symptom::Reset`] or [`Symptom::Timeout`], whichever ended it.
//!
//! When the protocol of the scheme is not answered by an engine, the other one is tried on a connection of its own. Its
//! result never changes the outcome; it stands in [`Probe::tls`] and, if an HTTP answer came, in [`Probe::http`].

mod answer;
mod attempt;
mod connect;
mod http;
mod resolve;
mod tls;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common_model::{Endpoint, EvidenceId, Probe, Symptom, Timestamp};
use futures::future::join_all;

pub use connect::source_of;
pub use resolve::Resolved;

/// How long each part of a probe may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For the resolver.
    pub resolve: Duration,
    /// For one TCP connect.
    pub connect: Duration,
    /// From a request, or a TLS hello, to its answer.
    pub answer: Duration,
    /// For everything done with one address.
    pub address: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(2),
            connect: Duration::from_secs(1),
            answer: Duration::from_secs(1),
            address: Duration::from_secs(3),
        }
    }
}

/// What became of an endpoint at one vantage.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeReport {
    /// What its host resolved to.
    pub resolution: Resolved,
    /// One probe per address, or a single one without address when there is none.
    pub probes: Vec<Probe>,
}

/// Probes every address of `endpoint` at the same time, at most eight of them. `vantage` names the place this runs at.
pub async fn probe_endpoint(endpoint: &Endpoint, vantage: &str, limits: &Limits) -> ProbeReport {
    let resolution = resolve::resolve(&endpoint.host, limits.resolve).await;
    let probes = match &resolution {
        Resolved::Failed(why) => vec![unresolved(endpoint, vantage, why)],
        Resolved::Addresses(addresses) => {
            let attempts = addresses.iter().enumerate().map(|(n, address)| {
                let id = EvidenceId::of_probe(vantage, n);
                attempt::attempt(endpoint, *address, vantage, id, limits)
            });
            join_all(attempts).await
        }
    };
    ProbeReport { resolution, probes }
}

fn unresolved(endpoint: &Endpoint, vantage: &str, why: &str) -> Probe {
    Probe {
        id: EvidenceId::of_probe(vantage, 0),
        vantage: vantage.to_owned(),
        address: None,
        source: None,
        port: endpoint.port,
        outcome: Symptom::Unresolved,
        errno: None,
        rtt_ms: None,
        connected: false,
        tls: None,
        http: None,
        taken_at: now(),
        message: format!("resolve {}: {why}", endpoint.host),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
