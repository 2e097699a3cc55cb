//! What the client is to be told instead.

use common_model::Scheme;
use common_model::diagnosis::{Remedy, RemedyKind};

use super::Action;
use crate::ask::Ask;
use crate::shell;

/// The entry.
pub(super) static ACTION: Action =
    Action { id: "client-url", causes: &["https-required", "plain-http-only", "port-differs"], propose };

fn propose(ask: &Ask<'_>) -> Vec<Remedy> {
    match ask.verdict.cause.as_str() {
        "https-required" => https(ask).into_iter().collect(),
        "plain-http-only" => plain(ask).into_iter().collect(),
        _ => other_port(ask).into_iter().collect(),
    }
}

fn https(ask: &Ask<'_>) -> Option<Remedy> {
    let url = ask.endpoint(Some(Scheme::Https), ask.picture.endpoint.port).to_string();
    let seen = ask.picture.probes.iter().find_map(|probe| probe.tls.as_ref().filter(|tls| tls.established))?;
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
    let fingerprint = seen.ca_fingerprint_sha256.as_ref().or(seen.fingerprint_sha256.as_ref());
    let which = if seen.ca_fingerprint_sha256.is_some() { "CA" } else { "certificate" };
    if let Some(fingerprint) = fingerprint {
        risk.push_str(&format!(" SHA-256 of the {which} on the wire: {fingerprint}; compare it with the one on the node before trusting it."));
    }
    if let Some(file) =
        ask.engine.as_ref().and_then(|engine| shell::word(&format!("{}/certs/http_ca.crt", engine.engine.config_dir)))
        && ask.engine.as_ref().is_some_and(|engine| engine.product() == common_model::probe::Product::Elasticsearch)
    {
        commands.insert(0, format!("# where the node keeps its CA, copy that instead: {file}"));
    }
    Some(remedy(format!("Tell the client {url}, and to trust the engine's CA"), commands, risk))
}

fn plain(ask: &Ask<'_>) -> Option<Remedy> {
    let url = ask.endpoint(Some(Scheme::Http), ask.picture.endpoint.port).to_string();
    let risk = "Everything the client sends, credentials too, can be read on the way; switch TLS on in the engine where that matters.";
    Some(remedy(format!("Tell the client {url}"), vec![format!("curl {url}")], risk.to_owned()))
}

fn other_port(ask: &Ask<'_>) -> Option<Remedy> {
    let listening = ask.verdict.detail.get("listening")?.as_array()?;
    let port = listening.iter().find_map(|entry| match entry.as_u64() {
        Some(port) => u16::try_from(port).ok(),
        None => entry.as_str()?.rsplit(':').next()?.parse().ok(),
    })?;
    let url = ask.endpoint(Some(ask.picture.endpoint.scheme.unwrap_or(Scheme::Http)), port).to_string();
    let risk = "Other clients that were told the old port need the same.".to_owned();
    Some(remedy(format!("Tell the client {url}"), vec![format!("curl {url}")], risk))
}

fn remedy(title: String, commands: Vec<String>, risk: String) -> Remedy {
    Remedy {
        plan_id: None,
        action: ACTION.id.to_owned(),
        title,
        kind: RemedyKind::Client,
        commands,
        diff: None,
        risk,
        undo: "tell the client the old address".to_owned(),
    }
}
