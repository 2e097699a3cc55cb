//! ufw's own notation of a rule, a comment above its iptables rules in `user.rules`:
//! `ACTION PROTOCOL PORT DESTINATION PORT SOURCE [APP APP] DIRECTION[_INTERFACE] [comment=HEX]`.

/// A rule as its notation tells it.
pub(super) struct Tuple<'a> {
    action: &'a str,
    log: &'a str,
    routed: bool,
    protocol: &'a str,
    destination: Side<'a>,
    source: Side<'a>,
    direction: &'a str,
}

struct Side<'a> {
    address: &'a str,
    port: &'a str,
    app: Option<String>,
}

impl<'a> Tuple<'a> {
    /// Reads the notation; none when it is another.
    pub(super) fn parse(tuple: &'a str) -> Option<Self> {
        let mut words: Vec<&str> = tuple.split_whitespace().collect();
        words.pop_if(|word| word.starts_with("comment="));
        let direction = words.pop()?;
        let (first, apps) = words.split_at_checked(6)?;
        let [action, protocol, to_port, to, from_port, from] = first else { return None };
        let app = |index: usize| apps.get(index).filter(|app| **app != "-").map(|app| app.replace("%20", " "));
        let (routed, action) = action.strip_prefix("route:").map_or((false, *action), |action| (true, action));
        let (action, log) = action.split_once('_').unwrap_or((action, ""));
        let destination = Side { address: to, port: to_port, app: app(0) };
        let source = Side { address: from, port: from_port, app: app(1) };
        Some(Self { action, log, routed, protocol, destination, source, direction })
    }

    /// Rules of one application profile stand for one line of `ufw status`; they have this in common.
    pub(super) fn profile(&self) -> Option<String> {
        let side = |side: &Side<'_>| format!("{} {}", side.app.as_deref().unwrap_or(side.port), side.address);
        let has_app = self.destination.app.is_some() || self.source.app.is_some();
        has_app.then(|| format!("{} {} {}", side(&self.destination), side(&self.source), self.direction))
    }

    /// As `ufw status` prints it, white space collapsed.
    pub(super) fn shown(&self) -> String {
        let outgoing = self.direction.starts_with("out");
        let word = match (self.routed, outgoing) {
            (true, _) => "FWD",
            (false, true) => "OUT",
            (false, false) => "IN",
        };
        // For a routed packet each interface stands where it is passed, for others opposite the host.
        let (beside_to, beside_from) = if self.routed { ("out", "in") } else { ("in", "out") };
        let to = self.side(&self.destination, self.interface(beside_to));
        let from = self.side(&self.source, self.interface(beside_from));
        let log = if self.log.is_empty() { String::new() } else { format!(" ({})", self.log) };
        format!("{to} {} {word} {from}{log}", self.action.to_uppercase())
    }

    fn interface(&self, side: &str) -> Option<&'a str> {
        self.direction.split('!').find_map(|part| part.strip_prefix(side)?.strip_prefix('_'))
    }

    fn side(&self, side: &Side<'_>, interface: Option<&str>) -> String {
        let (to, from) = (&self.destination, &self.source);
        let of_profile = to.app.is_some() || from.app.is_some();
        let protocol = if of_profile || self.protocol == "any" { String::new() } else { format!("/{}", self.protocol) };
        let everywhere = to.address == from.address;
        let bare = if to.port == from.port { protocol.as_str() } else { "" };
        let mut shown = match (side.app.as_deref().unwrap_or(side.port), side.is_anywhere()) {
            ("any", true) => format!("Anywhere{}", if everywhere { bare } else { "" }),
            ("any", false) => format!("{}{bare}", side.address),
            (port, true) => format!("{port}{protocol}"),
            (port, false) => format!("{} {port}{protocol}", side.address),
        };
        if side.address == "::/0" && (everywhere || side.app.is_some() || side.port == "any") {
            shown.push_str(" (v6)");
        }
        if let Some(interface) = interface {
            shown.push_str(" on ");
            shown.push_str(interface);
        }
        shown
    }
}

impl Side<'_> {
    fn is_anywhere(&self) -> bool {
        matches!(self.address, "0.0.0.0/0" | "::/0")
    }
}
