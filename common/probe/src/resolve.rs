//! A host name to addresses, as the system's own resolver sees it.

use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

use tokio::time::timeout;

/// At most this many addresses of a name are probed.
const MAX_ADDRESSES: usize = 8;

/// What a host name gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// At least one address, in the resolver's order; a literal address gives itself.
    Addresses(Vec<IpAddr>),
    /// None; what the resolver said.
    Failed(String),
}

/// Asks getaddrinfo, so that `/etc/hosts` and nsswitch count as they do for clients. A resolver that hangs keeps its thread
/// until it gives up by itself; the answer does not wait for it.
pub(crate) async fn resolve(host: &str, limit: Duration) -> Resolved {
    if let Ok(address) = host.parse() {
        return Resolved::Addresses(vec![address]);
    }
    let name = host.to_owned();
    let lookup = tokio::task::spawn_blocking(move || lookup(&name));
    match timeout(limit, lookup).await {
        Ok(Ok(resolved)) => resolved,
        Ok(Err(error)) => Resolved::Failed(format!("the lookup failed: {error}")),
        Err(_) => Resolved::Failed(format!("no answer from the resolver within {} ms", limit.as_millis())),
    }
}

fn lookup(name: &str) -> Resolved {
    let found = match (name, 0).to_socket_addrs() {
        Ok(found) => found,
        Err(error) => {
            let text = error.to_string();
            return Resolved::Failed(text.trim_start_matches("failed to lookup address information: ").to_owned());
        }
    };
    let mut addresses = Vec::new();
    for address in found.map(|socket| socket.ip()) {
        if !addresses.contains(&address) && addresses.len() < MAX_ADDRESSES {
            addresses.push(address);
        }
    }
    match addresses.is_empty() {
        true => Resolved::Failed("the name has no address".to_owned()),
        false => Resolved::Addresses(addresses),
    }
}
