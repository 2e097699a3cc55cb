//! The first line: what the client gets, and why.

use common_model::probe::HttpSeen;
use common_model::{Certainty, Diagnosis, Endpoint, Symptom};

use super::is_healthy;
use crate::render::{Page, Style};

/// Adds the answer.
pub(super) fn answer(page: &mut Page, diagnosis: &Diagnosis) {
    let endpoint = endpoint(diagnosis);
    let (sign, style) = match diagnosis.verdict.certainty {
        _ if is_healthy(diagnosis) => ("✓", Style::Good),
        Certainty::Undetermined => ("?", Style::Warning),
        Certainty::Likely | Certainty::Certain => ("✗", Style::Bad),
    };
    let hedge = match diagnosis.verdict.certainty {
        _ if is_healthy(diagnosis) => "",
        Certainty::Certain => "",
        Certainty::Likely => "probably: ",
        Certainty::Undetermined => "cause undetermined: ",
    };
    let sentence = if is_healthy(diagnosis) { health(diagnosis) } else { diagnosis.verdict.sentence.clone() };
    let mut spans = vec![
        page.span(&format!("{sign} {endpoint} {}", symptom(diagnosis.symptom)), style),
        page.span(&format!(" — {hedge}"), Style::Plain),
        page.span(&sentence, Style::Strong),
    ];
    if !is_healthy(diagnosis) {
        spans.push(page.span(&format!(" [{}]", diagnosis.verdict.cause), Style::Dim));
    }
    page.flow(2, &spans);
}

/// What keeps a good answer from being certain.
pub(super) fn reservations(page: &mut Page, diagnosis: &Diagnosis) {
    if diagnosis.verdict.certainty != Certainty::Certain {
        for missing in &diagnosis.missing {
            let text = format!("  not known: {} → {}", missing.evidence, missing.how_to_get_it);
            let text = page.span(&text, Style::Dim);
            page.flow(4, &[text]);
        }
    }
}

/// What the client was told.
pub(super) fn endpoint(diagnosis: &Diagnosis) -> Endpoint {
    let seen = &diagnosis.endpoint;
    Endpoint { scheme: seen.scheme, host: seen.host.clone(), port: seen.port }
}

/// The symptom in words that follow the endpoint.
pub(crate) fn symptom(symptom: Symptom) -> &'static str {
    match symptom {
        Symptom::Ok => "answers",
        Symptom::Refused => "refused",
        Symptom::Timeout => "timed out",
        Symptom::Unreachable => "unreachable",
        Symptom::Reset => "reset the connection",
        Symptom::Eof => "closed without an answer",
        Symptom::TlsFailure => "failed the TLS handshake",
        Symptom::HttpError => "answered with an error",
        Symptom::Unresolved => "does not resolve",
        Symptom::Denied => "denied by this machine",
        Symptom::None => "not tried",
    }
}

/// `Elasticsearch 8.18.0, cluster prod (here 0.2 ms, controller 0.4 ms)`.
fn health(diagnosis: &Diagnosis) -> String {
    let answers = || diagnosis.probes.iter().filter_map(|probe| probe.http.as_ref());
    let Some(seen) = answers().find(|seen| seen.version.is_some()).or_else(|| answers().next()) else {
        return diagnosis.verdict.sentence.clone();
    };
    let mut parts = vec![product(seen)];
    if let Some(cluster) = &seen.cluster_name {
        parts.push(format!("cluster {cluster}"));
    }
    if matches!(seen.status, Some(401 | 403)) {
        parts.push("asks for credentials".to_owned());
    }
    let mut times: Vec<String> = Vec::new();
    for probe in &diagnosis.probes {
        let known = times.iter().any(|time| time.starts_with(&format!("{} ", probe.vantage)));
        if let Some(rtt) = probe.rtt_ms.filter(|_| !known) {
            times.push(format!("{} {rtt:.1} ms", probe.vantage));
        }
    }
    match times.is_empty() {
        true => parts.join(", "),
        false => format!("{} (from {})", parts.join(", "), times.join(", ")),
    }
}

fn product(seen: &HttpSeen) -> String {
    let name = seen.product.map_or("an engine", |product| product.title());
    seen.version.as_ref().map_or_else(|| name.to_owned(), |version| format!("{name} {version}"))
}
