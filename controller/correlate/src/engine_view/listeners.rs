//! Which listening sockets are the engine's. The owner decides, never the port alone.

use std::ops::RangeInclusive;

use common_evidence::collectors::sockets::Listener;

use super::EngineView;

/// Whose a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Engine,
    Other,
    Unknown,
}

impl EngineView {
    /// The engine's listeners, transport and HTTP, in order of port. None when the node's sockets are unknown.
    pub fn listeners(&self) -> Option<Vec<&Listener>> {
        let sockets = self.sockets.known()?;
        Some(sockets.value.listeners.iter().filter(|listener| self.holder(listener) == Holder::Engine).collect())
    }

    /// The engine's listeners that speak HTTP: those on a port of `http` that is not also one of `transport`, which the
    /// engine takes first.
    pub fn http_listeners(
        &self,
        http: &[RangeInclusive<u16>],
        transport: &[RangeInclusive<u16>],
    ) -> Option<Vec<&Listener>> {
        let within = |ranges: &[RangeInclusive<u16>], port: u16| ranges.iter().any(|range| range.contains(&port));
        let reported = self.reported_http_ports();
        let mut listeners = self.listeners()?;
        listeners.retain(|listener| match &reported {
            Some(ports) => ports.contains(&listener.port),
            None => within(http, listener.port) && !within(transport, listener.port),
        });
        Some(listeners)
    }

    /// The listeners on `port` that are somebody else's.
    pub fn foreign_listeners(&self, port: u16) -> Vec<&Listener> {
        let listeners = self.sockets.known().map_or(&[][..], |sockets| &sockets.value.listeners);
        listeners.iter().filter(|listener| listener.port == port && self.holder(listener) == Holder::Other).collect()
    }

    /// The listeners on `port` whose owner the agent could not see and whose user does not tell.
    pub fn unattributed_listeners(&self, port: u16) -> Vec<&Listener> {
        let listeners = self.sockets.known().map_or(&[][..], |sockets| &sockets.value.listeners);
        listeners.iter().filter(|listener| listener.port == port && self.holder(listener) == Holder::Unknown).collect()
    }

    /// Ports the HTTP layer of the running engine reported in its log.
    fn reported_http_ports(&self) -> Option<Vec<u16>> {
        let log = &self.log.known()?.value;
        // An older process's log does not speak for the running one.
        let first = log.newest_start.first().and_then(|line| line.at)?;
        if !log.started || first < self.started_at()? {
            return None;
        }
        let ports: Vec<u16> =
            log.http_bound.iter().filter_map(|bound| bound.rsplit_once(':')?.1.parse().ok()).collect();
        (!ports.is_empty()).then_some(ports)
    }

    fn holder(&self, listener: &Listener) -> Holder {
        if let Some(owner) = &listener.owner {
            let by_unit = self.unit_name().is_some() && owner.unit.as_deref() == self.unit_name();
            let by_pid = match self.processes.known() {
                Some(processes) => processes.value.processes.iter().any(|process| process.pid == owner.pid),
                None => self.engine.pids.contains(&owner.pid),
            };
            return if by_unit || by_pid { Holder::Engine } else { Holder::Other };
        }
        let uids = self.uids();
        if uids.contains(&listener.uid) {
            // Root runs much else, and another engine may run as the same user.
            return if listener.uid == 0 || self.shared_uids.contains(&listener.uid) {
                Holder::Unknown
            } else {
                Holder::Engine
            };
        }
        if uids.is_empty() { Holder::Unknown } else { Holder::Other }
    }
}
