//! What it would bind to: addresses the machine has, and ports nobody else holds.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use common_evidence::collectors::interfaces::Interfaces;
use common_evidence::collectors::sockets::Listener;
use common_evidence::settings::{Bind, Origin, ResolvedSetting};
use common_model::preflight::{Answer, Check, Question};

use super::{Ask, check};

const PORT_TAKEN: &str = "port-taken";
const NOT_LOCAL: &str = "bind-address-not-local";

pub(super) fn checks(ask: &Ask<'_>) -> Vec<Check> {
    let (http, transport) = (&ask.settings.http, &ask.settings.transport);
    let mut checks = vec![address(ask, "transport", &transport.bind), address(ask, "HTTP", &http.bind)];
    checks.push(port(ask, "transport", transport));
    if ask.settings.http_enabled.on != Some(false) {
        checks.push(port(ask, "HTTP", http));
        checks.extend(same_port(http, transport));
    }
    checks
}

fn address(ask: &Ask<'_>, side: &str, bind: &ResolvedSetting) -> Check {
    let about = |passes, sentence: String| check(NOT_LOCAL, Question::Start, passes, sentence, bind.origin.to_string());
    if !bind.origin.is_known() {
        return about(Answer::Unknown, format!("what the {side} side binds to is not known: {} decides", bind.setting));
    }
    let interfaces = ask.node.one::<Interfaces>("");
    let interfaces = interfaces.known().map(|cited| &cited.value);
    let judged: Vec<(Answer, String)> = bind.values.iter().map(|value| local(value, interfaces)).collect();
    let wildcard = bind.values.iter().find(|value| is_wildcard(value));
    if let (Some(wildcard), true) = (wildcard, bind.values.len() > 1) {
        return about(
            Answer::No,
            format!("{} has {wildcard} and further addresses, which the engine refuses", bind.setting),
        );
    }
    match judged.into_iter().max_by_key(|(passes, _)| *passes) {
        Some((passes, words)) if passes != Answer::Yes => about(passes, format!("{} {words}", bind.setting)),
        _ => about(Answer::Yes, format!("the machine has what the {side} side binds to: {}", shown(bind))),
    }
}

/// The setting's values; loopback where there are none.
pub(super) fn shown(bind: &ResolvedSetting) -> String {
    bind.shown().filter(|shown| !shown.is_empty()).unwrap_or_else(|| "loopback, the default".to_owned())
}

pub(super) fn is_wildcard(value: &str) -> bool {
    matches!(value, "0" | "0.0.0.0" | "::" | "[::]")
}

/// Whether the machine has it; what is wrong or not known, after the setting's name.
fn local(value: &str, interfaces: Option<&Interfaces>) -> (Answer, String) {
    if is_wildcard(value) || matches!(value, "" | "_local_" | "localhost") {
        return (Answer::Yes, String::new());
    }
    let Some(interfaces) = interfaces else {
        return (Answer::Unknown, format!("is {value}, and the addresses of the machine are not known"));
    };
    let up = || interfaces.addresses.iter().filter(|held| held.up);
    if let Some(name) = value.strip_prefix('_').and_then(|rest| rest.strip_suffix('_')) {
        let name = name.split(':').next().unwrap_or(name);
        return match name {
            "local" => (Answer::Yes, String::new()),
            "site" if up().any(|held| is_site_local(held.address)) => (Answer::Yes, String::new()),
            "site" => (Answer::No, "is _site_, and the machine has no private address that is up".to_owned()),
            "global" => (Answer::Unknown, "is _global_: which address that is was not looked up".to_owned()),
            interface if up().any(|held| held.interface == interface) => (Answer::Yes, String::new()),
            interface => (Answer::No, format!("is {value}, and the machine has no interface {interface} that is up")),
        };
    }
    match value.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() || up().any(|held| held.address == address.to_canonical()) => {
            (Answer::Yes, String::new())
        }
        Ok(address) => (Answer::No, format!("is {address}, which is on no interface of the machine that is up")),
        Err(_) => (Answer::Unknown, format!("is the name {value}: what it resolves to there is not known")),
    }
}

/// `Inet4Address.isSiteLocalAddress`, and `fec0::/10`; not the unique local addresses of IPv6.
fn is_site_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => address.segments()[0] & 0xffc0 == 0xfec0,
    }
}

fn port(ask: &Ask<'_>, side: &str, bind: &Bind) -> Check {
    let about = |passes, sentence: String, source: String| check(PORT_TAKEN, Question::Start, passes, sentence, source);
    let ranges = bind.port.ports();
    let source = bind.port.origin.to_string();
    if ranges.is_empty() {
        let said = format!("which port the {side} side takes is not known");
        return match bind.port.origin.is_known() {
            true => {
                about(Answer::No, format!("{} is {}, which is no port", bind.port.setting, shown(&bind.port)), source)
            }
            false => about(Answer::Unknown, said, source),
        };
    }
    if ask.engine.sockets.known().is_none() {
        let how = format!("on {}: ss -ltnp", ask.node.name);
        return about(Answer::Unknown, "which ports of the machine are taken is not known".to_owned(), how);
    }
    let free = free_port(ask, &bind.bind, &ranges);
    let first = ranges.first().map_or(0, |range| *range.start());
    match free {
        Free::At(port) if port == first => {
            about(Answer::Yes, format!("port {port} is free for the {side} side"), "ss -ltn".to_owned())
        }
        Free::At(port) => about(
            Answer::Yes,
            format!("the {side} side would move to port {port}: {}", holder(ask, first)),
            "ss -ltnp".to_owned(),
        ),
        Free::No => about(
            Answer::No,
            format!("the {side} side finds no free port: {}", holder(ask, first)),
            "ss -ltnp".to_owned(),
        ),
        Free::Unknown(port) => about(
            Answer::Unknown,
            format!("somebody listens on port {port}, and whether it is the engine itself cannot be told"),
            format!("on {}: sudo ss -ltnp 'sport = :{port}'", ask.node.name),
        ),
    }
}

fn holder(ask: &Ask<'_>, port: u16) -> String {
    let held = ask.engine.foreign_listeners(port);
    match held.first().and_then(|listener| listener.owner.as_ref()) {
        Some(owner) => format!("{} (pid {}) holds port {port}", owner.command, owner.pid),
        None => format!("another process holds port {port}"),
    }
}

/// The port a side would get.
pub(super) enum Free {
    /// This one.
    At(u16),
    /// None of those it may take.
    No,
    /// It depends on whose this one is.
    Unknown(u16),
}

/// The first port of the ranges that nobody but the engine itself, which will have let go of it, holds on the addresses concerned.
pub(super) fn free_port(ask: &Ask<'_>, bind: &ResolvedSetting, ranges: &[RangeInclusive<u16>]) -> Free {
    for port in ranges.iter().cloned().flatten() {
        if ask.engine.foreign_listeners(port).into_iter().any(|listener| meets(listener, bind)) {
            continue;
        }
        if ask.engine.unattributed_listeners(port).into_iter().any(|listener| meets(listener, bind)) {
            return Free::Unknown(port);
        }
        return Free::At(port);
    }
    Free::No
}

/// Whether a listener stands in the way of a bind to these addresses. A wildcard meets everything.
fn meets(listener: &Listener, bind: &ResolvedSetting) -> bool {
    let held = listener.address.to_canonical();
    let literal: Option<Vec<IpAddr>> =
        bind.values.iter().map(|value| value.parse::<IpAddr>().ok().filter(|_| !is_wildcard(value))).collect();
    match literal {
        _ if held.is_unspecified() => true,
        Some(wanted) if !wanted.is_empty() => wanted.iter().any(|address| address.to_canonical() == held),
        Some(_) => held.is_loopback(),
        None => bind.is_loopback_only() != Some(true) || held.is_loopback(),
    }
}

fn same_port(http: &Bind, transport: &Bind) -> Option<Check> {
    let only = |bind: &Bind| match bind.port.ports().as_slice() {
        [range] if range.start() == range.end() && bind.port.origin != Origin::Default => Some(*range.start()),
        _ => None,
    };
    let port = only(http).filter(|port| only(transport) == Some(*port))?;
    let said = format!("HTTP and transport are both told to take port {port}");
    Some(check(PORT_TAKEN, Question::Start, Answer::No, said, http.port.origin.to_string()))
}
