//! Whether others would reach it once it runs.

use std::net::IpAddr;

use common_evidence::firewall::{Fate, Packet};
use common_evidence::settings::Loopback;
use common_model::preflight::{Answer, Check, Question};
use controller_correlate::Filters;
use controller_correlate::target::outside_addresses;

use super::addresses::{Free, free_port, is_wildcard, shown};
use super::{Ask, check};

pub(super) fn checks(ask: &Ask<'_>) -> Vec<Check> {
    if ask.settings.http_enabled.on == Some(false) {
        let source = ask.settings.http_enabled.origin.to_string();
        return vec![check(
            "http-disabled",
            Question::Reach,
            Answer::No,
            "HTTP is switched off by http.enabled",
            source,
        )];
    }
    let mut checks = vec![bound(ask)];
    checks.extend(firewall(ask));
    checks
}

fn bound(ask: &Ask<'_>) -> Check {
    let bind = &ask.settings.http.bind;
    let about = |passes, sentence: String| {
        check("bound-to-loopback", Question::Reach, passes, sentence, bind.origin.to_string())
    };
    let place = format!("it would listen on {}", listens(ask).join(", "));
    match bind.is_loopback_only() {
        Some(true) => about(
            Answer::No,
            format!("it would be bound to loopback, where nobody else reaches it: {} is {}", bind.setting, shown(bind)),
        ),
        Some(false) => about(Answer::Yes, place),
        None => about(Answer::Unknown, format!("which address {} comes to is not known", bind.setting)),
    }
}

/// What the node's packet filter does to a connection from where it was asked.
fn firewall(ask: &Ask<'_>) -> Option<Check> {
    let about = |passes, sentence: String, source: &str| {
        Some(check("host-firewall", Question::Reach, passes, sentence, source))
    };
    if ask.settings.http.bind.is_loopback_only() == Some(true) {
        return None;
    }
    let Some(source) = ask.source else {
        return about(Answer::Unknown, "from where it is to be reached is not known".to_owned(), "dialtone diagnose");
    };
    let Some(filters) = Filters::of(ask.node) else {
        return about(Answer::Unknown, "the packet filter is not known".to_owned(), "sudo nft list ruleset");
    };
    let Some(port) = http_port(ask) else {
        return about(Answer::Unknown, "the port it would take is not known".to_owned(), "ss -ltnp");
    };
    let mut destinations = destinations(ask).into_iter().filter(|address| address.is_ipv4() == source.is_ipv4());
    let Some(destination) = destinations.next() else {
        return about(Answer::Unknown, format!("it has no address that {source} could connect to"), "ip address");
    };
    match filters.fate(&Packet { source, destination, port, interface: None }) {
        Fate::Passes => {
            about(Answer::Yes, format!("the firewall lets {source} reach {destination}:{port}"), "nft list ruleset")
        }
        Fate::Unclear(rule) => about(
            Answer::Unknown,
            format!("what this rule does to {source} is not known: {rule}"),
            "sudo nft monitor trace",
        ),
        Fate::Blocked(decision) => {
            let rule = decision.rule.clone().unwrap_or_else(|| format!("the policy of {}", decision.place));
            about(
                Answer::No,
                format!("the firewall ({}) stops {source} on port {port}: {rule}", decision.owner.slug()),
                &decision.shown_by,
            )
        }
    }
}

/// The addresses of the machine that it would listen on and others could use.
fn destinations(ask: &Ask<'_>) -> Vec<IpAddr> {
    let all = outside_addresses(ask.node);
    let bind = &ask.settings.http.bind;
    let literal: Vec<IpAddr> =
        bind.values.iter().filter(|value| !is_wildcard(value)).filter_map(|value| value.parse().ok()).collect();
    if literal.is_empty() { all } else { all.into_iter().filter(|address| literal.contains(address)).collect() }
}

fn http_port(ask: &Ask<'_>) -> Option<u16> {
    match free_port(ask, &ask.settings.http.bind, &ask.http_ports()) {
        Free::At(port) | Free::Unknown(port) => Some(port),
        Free::No => None,
    }
}

/// `ADDRESS:PORT` of each address it would take, as far as that is known.
pub(super) fn listens(ask: &Ask<'_>) -> Vec<String> {
    let port = http_port(ask).map_or_else(|| "?".to_owned(), |port| port.to_string());
    let bind = &ask.settings.http.bind;
    if !bind.origin.is_known() || ask.settings.http_enabled.on == Some(false) {
        return Vec::new();
    }
    let values: Vec<&str> = bind.values.iter().map(String::as_str).filter(|value| !value.is_empty()).collect();
    if values.is_empty() {
        return vec![format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
    }
    let address = |value: &str| match value {
        value if is_wildcard(value) => "*".to_owned(),
        value if Loopback::of(value) == Loopback::Yes => "localhost".to_owned(),
        value if value.contains(':') && value.parse::<IpAddr>().is_ok() => format!("[{value}]"),
        value => common_model::text::printable_line(value),
    };
    values.into_iter().map(|value| format!("{}:{port}", address(value))).collect()
}
