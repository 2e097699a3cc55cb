//! What the client is to be told instead.

use std::net::SocketAddr;

use common_model::diagnosis::{Remedy, RemedyKind};
use common_model::probe::Product;
use common_model::{Endpoint, Scheme};

use super::Action;
use crate::ask::Ask;
use crate::shell;

/// The entry.
pub(super) static ACTION: Action = Action {
    id: "client-url",
    causes: &[
        "https-required",
        "plain-http-only",
        "port-differs",
        "bound-to-other-address",
        "protocol-mismatch",
        "authentication-required",
    ],
    propose,
};

/// What the client has to be told instead of what it was told, where that is another endpoint.
pub(crate) fn corrected(ask: &Ask<'_>) -> Option<Endpoint> {
    match ask.verdict.cause.as_str() {
        "https-required" => Some(ask.endpoint(Some(Scheme::Https), ask.picture.endpoint.port)),
        "plain-http-only" => Some(ask.endpoint(Some(Scheme::Http), ask.picture.endpoint.port)),
        "port-differs" => other_port(ask),
        "bound-to-other-address" => other_address(ask),
        "protocol-mismatch" => http_port(ask),
        _ => None,
    }
}

fn propose(ask: &Ask<'_>) -> Vec<Remedy> {
    let to = corrected(ask);
    let remedy = match ask.verdict.cause.as_str() {
        "https-required" => to.map(|to| https(ask, &to)),
        "plain-http-only" => to.map(|to| tell(&to, READABLE)),
        "port-differs" => to.map(|to| tell(&to, "Other clients that were told the old port need the same.")),
        "bound-to-other-address" => to.map(|to| tell(&to, OTHER_NETWORK)),
        "protocol-mismatch" => {
            to.map(|to| tell(&to, "The transport port is for other nodes only: no client needs it."))
        }
        _ => Some(credentials(ask)),
    };
    remedy.into_iter().collect()
}

const READABLE: &str = "Everything the client sends, credentials too, can be read on the way; switch TLS on in the engine where that matters.";
const OTHER_NETWORK: &str =
    "The client needs a way into that network; other clients that were told the old address need the same.";

fn https(ask: &Ask<'_>, url: &Endpoint) -> Remedy {
    let seen = ask.picture.probes.iter().find_map(|probe| probe.tls.as_ref().filter(|tls| tls.established));
    let address = format!("{}:{}", ask.picture.endpoint.host, ask.picture.endpoint.port);
    let mut commands = vec![
        // The CA as the server shows it; to be compared with the fingerprint below before it is trusted.
        format!(
            "openssl s_client -connect {address} -showcerts </dev/null 2>/dev/null | sed -n '/BEGIN CERT/,/END CERT/p' > engine-chain.pem"
        ),
        format!("curl --cacert engine-chain.pem {url}"),
    ];
    let mut risk =
        "The client then sends its credentials inside TLS; until it trusts the CA it refuses to connect.".to_owned();
    let ca = seen.and_then(|tls| tls.ca_fingerprint_sha256.as_ref()).map(|ca| ("CA", ca));
    let own = seen.and_then(|tls| tls.fingerprint_sha256.as_ref()).map(|own| ("certificate", own));
    if let Some((which, fingerprint)) = ca.or(own) {
        risk.push_str(&format!(" SHA-256 of the {which} on the wire: {fingerprint}; compare it with the one on the node before trusting it."));
    }
    if let Some(file) =
        ask.engine.as_ref().and_then(|engine| shell::word(&format!("{}/certs/http_ca.crt", engine.engine.config_dir)))
        && ask.product() == Product::Elasticsearch
    {
        commands.insert(0, format!("# where the node keeps its CA, copy that instead: {file}"));
    }
    remedy(format!("Tell the client {url}, and to trust the engine's CA"), commands, risk)
}

fn other_port(ask: &Ask<'_>) -> Option<Endpoint> {
    let listening = ask.verdict.detail.get("listening")?.as_array()?;
    let port = listening.iter().find_map(|entry| match entry.as_u64() {
        Some(port) => u16::try_from(port).ok(),
        None => entry.as_str()?.rsplit(':').next()?.parse().ok(),
    })?;
    Some(ask.endpoint(Some(ask.picture.endpoint.scheme.unwrap_or(Scheme::Http)), port))
}

/// The first address it listens on that is not the node's alone.
fn other_address(ask: &Ask<'_>) -> Option<Endpoint> {
    let bound = ask.verdict.detail.get("bound")?.as_array()?;
    let sockets = bound.iter().filter_map(|socket| socket.as_str()?.parse::<SocketAddr>().ok());
    let socket = sockets.into_iter().find(|socket| !socket.ip().to_canonical().is_loopback())?;
    Some(Endpoint {
        scheme: Some(ask.picture.endpoint.scheme.unwrap_or(Scheme::Http)),
        host: socket.ip().to_string(),
        port: socket.port(),
    })
}

/// Where the engine behind a transport port speaks HTTP.
fn http_port(ask: &Ask<'_>) -> Option<Endpoint> {
    if ask.detail("speaks") != Some("transport") {
        return None;
    }
    let engine = ask.engine.as_ref()?;
    let listeners = engine.http_listeners(&engine.http_ports()?, &engine.transport_ports()?)?;
    let reached = |port: &u16| {
        let takes = |address| listeners.iter().any(|listener| listener.port == *port && listener.accepts(address));
        ask.addresses.iter().copied().any(takes)
    };
    let port = listeners.iter().map(|listener| listener.port).find(reached)?;
    Some(ask.endpoint(Some(ask.picture.endpoint.scheme.unwrap_or(Scheme::Http)), port))
}

/// curl asks for the password itself, so that it is in no history.
fn credentials(ask: &Ask<'_>) -> Remedy {
    let (user, path) = match ask.product() {
        Product::Elasticsearch => ("elastic", "_security/_authenticate"),
        Product::Opensearch => ("admin", "_plugins/_security/authinfo"),
    };
    let over_tls = ask.picture.probes.iter().any(|probe| probe.http.as_ref().is_some_and(|http| http.over_tls));
    let scheme = if over_tls { Scheme::Https } else { ask.picture.endpoint.scheme.unwrap_or(Scheme::Http) };
    let url = ask.endpoint(Some(scheme), ask.picture.endpoint.port);
    remedy(
        "Give the client a user name and password that the engine knows".to_owned(),
        vec![format!("curl --user {user} {url}/{path}")],
        format!(
            "Put the client's user in place of {user}: the answer shows whether the engine knows it. To set a user's password anew locks out every other client that uses it."
        ),
    )
}

fn tell(to: &Endpoint, risk: &str) -> Remedy {
    remedy(format!("Tell the client {to}"), vec![format!("curl {to}")], risk.to_owned())
}

fn remedy(title: String, commands: Vec<String>, risk: String) -> Remedy {
    Remedy {
        commands,
        risk,
        undo: "tell the client what it was told before".to_owned(),
        ..ACTION.remedy(RemedyKind::Client, title)
    }
}
