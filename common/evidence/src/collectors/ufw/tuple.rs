//! ufw's own notation of a rule, a comment above its iptables rules in `user.rules`:
//! `ACTION PROTOCOL PORT DESTINATION PORT SOURCE [APP APP] DIRECTION[_INTERFACE] [comment=HEX]`.

/// The rule as `ufw status` prints it, white space collapsed. What is not understood is shown as it stands.
pub(super) fn shown(tuple: &str, v6: bool) -> String {
    understood(tuple, v6).unwrap_or_else(|| tuple.trim().to_owned())
}

fn understood(tuple: &str, v6: bool) -> Option<String> {
    let mut words: Vec<&str> = tuple.split_whitespace().collect();
    words.pop_if(|word| word.starts_with("comment="));
    let direction = words.pop()?;
    let (action, protocol, to_port, to, from_port, from) = match words.as_slice() {
        [action, protocol, to_port, to, from_port, from, ..] => (*action, *protocol, *to_port, *to, *from_port, *from),
        _ => return None,
    };
    let app = |index: usize| words.get(index).filter(|app| **app != "-").map(|app| app.replace("%20", " "));
    let (routed, action) = match action.strip_prefix("route:") {
        Some(action) => (true, action),
        None => (false, action),
    };
    let (action, log) = action.split_once('_').unwrap_or((action, ""));
    let mut directions = direction.split('!');
    let interface = |side: &str| direction.split('!').find_map(|part| part.strip_prefix(side)?.strip_prefix('_'));
    let outgoing = directions.next()?.starts_with("out");
    let word = match (routed, outgoing) {
        (true, _) => "FWD",
        (false, true) => "OUT",
        (false, false) => "IN",
    };
    // `in` names the interface of the way in, which ufw shows beside the destination unless the rule is for routed packets.
    let (to_interface, from_interface) = match (routed, outgoing) {
        (true, _) => (interface("out"), interface("in")),
        (false, true) => (None, interface("out")),
        (false, false) => (interface("in"), None),
    };
    // The protocol stands beside the port; without any port beside both addresses.
    let bare = if protocol != "any" && to_port == "any" && from_port == "any" {
        format!("/{protocol}")
    } else {
        String::new()
    };
    let to = side(to, to_port, protocol, &bare, app(6), to_interface, v6);
    let from = side(from, from_port, protocol, &bare, app(7), from_interface, v6);
    let log = if log.is_empty() { String::new() } else { format!(" ({log})") };
    Some(format!("{to} {} {word} {from}{log}", action.to_uppercase()))
}

fn side(
    address: &str,
    port: &str,
    protocol: &str,
    bare: &str,
    app: Option<String>,
    interface: Option<&str>,
    v6: bool,
) -> String {
    let anywhere = matches!(address, "0.0.0.0/0" | "::/0");
    let suffix = if protocol == "any" { String::new() } else { format!("/{protocol}") };
    let service = match (app, port) {
        (Some(app), _) => Some(app),
        (None, "any") => None,
        (None, port) => Some(format!("{port}{suffix}")),
    };
    let mut shown = match (anywhere, service) {
        (true, Some(service)) => service,
        (true, None) => format!("Anywhere{bare}"),
        (false, Some(service)) => format!("{address} {service}"),
        (false, None) => format!("{address}{bare}"),
    };
    if anywhere && v6 {
        shown.push_str(" (v6)");
    }
    if let Some(interface) = interface {
        shown.push_str(" on ");
        shown.push_str(interface);
    }
    shown
}
