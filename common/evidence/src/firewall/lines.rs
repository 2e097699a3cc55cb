//! Rules as lines, to quote and to compare.

use super::Firewalls;

/// One rule, policy or set element as text, without counters and handles, so that equal rules are equal lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleLine {
    /// Where it stands: `inet filter input`, `iptables filter INPUT`, `ufw`, `firewalld public`.
    pub place: String,
    /// The rule as its own tool prints it.
    pub text: String,
}

/// The lines that speak of a TCP port, for quoting.
pub fn rules_for_port(_firewalls: &Firewalls, _port: u16) -> Vec<RuleLine> {
    Vec::new()
}
