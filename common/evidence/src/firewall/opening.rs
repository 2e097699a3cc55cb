//! The exact commands that let one client in, through whatever owns the firewall.

use super::{Decision, Firewalls, Network, Packet};

/// How to let a client in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opening {
    /// In order, each exact enough to paste.
    pub commands: Vec<String>,
    /// What makes it last past a restart; commands, or a line and the file it belongs in as a comment.
    pub persist: Vec<String>,
    /// What takes it back.
    pub undo: Vec<String>,
    /// What can go wrong, for people.
    pub risk: String,
}

/// How to let `client` reach the packet's port past `decision`. Never opens the port for everyone: a network that is not
/// narrower than the whole address family, or that the packet's source is not in, is replaced by the source alone.
pub fn opening(_firewalls: &Firewalls, _decision: &Decision, _packet: &Packet, _client: Network) -> Opening {
    Opening::default()
}
