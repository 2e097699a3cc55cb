//! ⑥ The client speaks plain HTTP to a port that speaks TLS.
//!
//! The wire alone decides: an empty reply has other reasons, so a completed TLS handshake on the same address and port is needed.

#[cfg(test)]
mod tests;

use common_evidence::settings::Switch;
use common_model::change::Topic;
use common_model::diagnosis::Citation;
use common_model::probe::{HttpAnswer, TlsSeen};
use common_model::{Certainty, Change, Probe, Scheme, Stage, Symptom};
use controller_correlate::EngineView;
use serde_json::json;

use crate::case::Case;
use crate::cite;
use crate::finding::{Blocks, Cause, Finding, Step, Support, missing};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "https-required",
    title: "The port speaks TLS and the client plain HTTP",
    stage: Some(Stage::Tls),
    needs: &[],
    refuted_by: "an answer to plain HTTP on the same address and port, or no TLS handshake there",
    rule,
};

fn rule(case: &Case<'_>) -> Finding {
    if case.picture.endpoint.scheme == Some(Scheme::Https) {
        return Finding::ruled_out("the client was told https", Vec::new());
    }
    let Some(probe) = case.wire.deciding() else {
        return Finding::unknown(
            "what the port answers to plain HTTP and to a TLS hello",
            format!("curl -v http://{0}/; curl -vk https://{0}/", case.destination()),
        );
    };
    if !probe.connected {
        return once_reached(case);
    }
    if case.wire.plain_http().is_some() {
        return Finding::ruled_out("plain HTTP is answered", cite::probe(probe));
    }
    let unanswered = matches!(probe.outcome, Symptom::Eof | Symptom::Reset | Symptom::HttpError | Symptom::TlsFailure)
        && probe.http.as_ref().is_none_or(|http| http.over_tls || http.answer != HttpAnswer::Http);
    match (case.wire.tls_established(), unanswered) {
        (Some(seen), true) => supported(case, probe, seen),
        (None, true) => Finding::ruled_out("a TLS hello is not answered either", cite::probe(probe)),
        (_, false) => Finding::ruled_out("plain HTTP is not closed at once", cite::probe(probe)),
    }
}

fn supported(case: &Case<'_>, plain: &Probe, over_tls: &Probe) -> Finding {
    let Some(tls) = &over_tls.tls else { return Finding::Unknown(Vec::new()) };
    let who = case.node_name().map_or_else(|| case.destination(), |node| format!("{node} ({})", case.destination()));
    let version = tls.version.as_deref().unwrap_or("TLS");
    let sentence = format!(
        "{who} speaks {} on port {}, and the client sends plain HTTP: use https.",
        cite::shown(version),
        plain.port
    );
    let engine = case.engine().ok();
    let set = engine.map(|engine| engine.settings().http_ssl);
    let mut chain = vec![
        case.symptom_step(
            "no-answer",
            &format!("{} closes plain HTTP without an answer", case.destination()),
            Vec::new(),
        ),
        Step::new("https-required", established(tls), handshake(over_tls, tls)),
    ];
    chain.extend(engine.zip(set.as_ref()).and_then(|(engine, set)| setting(engine, set)));
    Finding::supported(Support {
        certainty: Certainty::Certain,
        blocks: Blocks::Now,
        node: case.node_name(),
        sentence,
        detail: json!({ "tls": {
            "version": tls.version,
            "issuer": tls.issuer,
            "fingerprint_sha256": tls.fingerprint_sha256,
            "not_after": tls.not_after,
        }}),
        chain,
        change: engine.and_then(|engine| case.newest_change(|change| explains(change, engine))),
        missing: expired(case, tls).into_iter().collect(),
    })
}

/// Nothing connects yet; would plain HTTP be answered once it does?
fn once_reached(case: &Case<'_>) -> Finding {
    let Ok(engine) = case.engine() else { return Finding::Unknown(Vec::new()) };
    let settings = engine.settings();
    let asked_for = case.picture.endpoint.scheme == Some(Scheme::Http);
    let Some(step) = setting(engine, &settings.http_ssl).filter(|_| asked_for && settings.tls() == Some(true)) else {
        return Finding::Unknown(Vec::new());
    };
    Finding::supported(Support {
        certainty: Certainty::Likely,
        blocks: Blocks::Next,
        node: case.node_name(),
        sentence: format!(
            "Once reached, {} on {} wants https, and the client was told http: {}.",
            engine.title(),
            engine.node,
            step.sentence
        ),
        detail: json!({ "tls": { "version": null, "issuer": null, "fingerprint_sha256": null, "not_after": null } }),
        chain: vec![step],
        change: case.newest_change(|change| explains(change, engine)),
        missing: Vec::new(),
    })
}

fn established(tls: &TlsSeen) -> String {
    let issuer = tls
        .issuer
        .as_deref()
        .map(|issuer| format!(", certificate issued by {}", cite::shown(issuer)))
        .unwrap_or_default();
    format!("a TLS hello to the same port completes ({}){issuer}", cite::shown(tls.version.as_deref().unwrap_or("TLS")))
}

fn handshake(probe: &Probe, tls: &TlsSeen) -> Vec<Citation> {
    let mut cites = cite::probe(probe);
    for cite in &mut cites {
        cite.excerpt = format!(
            "{}\nsubject: {}\nissuer: {}",
            cite::shown(tls.version.as_deref().unwrap_or("TLS")),
            cite::shown(tls.subject.as_deref().unwrap_or("unknown")),
            cite::shown(tls.issuer.as_deref().unwrap_or("unknown"))
        );
        let target =
            probe.address.map(|address| std::net::SocketAddr::new(address, probe.port).to_string()).unwrap_or_default();
        cite.source = format!("probe from {}: openssl s_client -connect {target}", probe.vantage);
    }
    cites
}

fn expired(case: &Case<'_>, tls: &TlsSeen) -> Option<common_model::diagnosis::MissingEvidence> {
    let not_after = tls.not_after.filter(|end| *end < case.picture.at)?;
    Some(missing(
        format!("a certificate that is valid: this one ended at {}", cite::time(not_after, case.picture.at)),
        "renew it on the node",
    ))
}

/// The setting that turns TLS on, as a link.
fn setting(engine: &EngineView, set: &Switch) -> Option<Step> {
    use common_evidence::settings::Origin;

    let Origin::File { path, line } = &set.origin else { return None };
    if set.on != Some(true) {
        return None;
    }
    let cites = engine.config.known().map(|config| cite::yml(&engine.node, config, &[*line])).unwrap_or_default();
    Some(Step::new("setting", format!("{} is true ({path}:{line})", set.setting), cites))
}

/// TLS was turned on for HTTP before the running engine was started.
fn explains(change: &Change, engine: &EngineView) -> bool {
    const KEYS: [&str; 5] = [
        "xpack.security.http.ssl.enabled",
        "plugins.security.ssl.http.enabled",
        "opendistro_security.ssl.http.enabled",
        "xpack.security.enabled",
        "plugins.security.disabled",
    ];
    let turned_on = |item: &common_model::change::ChangedItem| {
        let on = if item.key.ends_with("disabled") {
            item.new.as_deref() != Some("true")
        } else {
            item.new.as_deref() == Some("true")
        };
        KEYS.contains(&item.key.as_str()) && on
    };
    let of_file = change.topic == Topic::Config && change.subject == engine.engine.config_file();
    of_file && engine.started_at().is_none_or(|started| change.at <= started) && change.items.iter().any(turned_on)
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    use common_model::probe::HttpAnswer;
    use common_model::{Probe, Symptom};
    use controller_correlate::Picture;
    use controller_correlate::testing::{Node, STARTED, http, picture, probe, tls};

    pub(crate) fn closed() -> Probe {
        Probe { connected: true, http: Some(http(HttpAnswer::Empty)), ..probe(Symptom::Eof) }
    }

    pub(crate) fn behind_tls() -> Probe {
        Probe { tls: Some(tls()), ..closed() }
    }

    pub(crate) fn secured() -> Node {
        Node::new().yml(
            "network.host: 0.0.0.0\nxpack.security.enabled: true\nxpack.security.http.ssl:\n  enabled: true\n",
            STARTED.plus_millis(-60_000),
        )
    }

    pub(crate) fn fires() -> Picture {
        picture(secured(), vec![behind_tls()])
    }
}
