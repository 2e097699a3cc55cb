//! What the probes say together: what a client gets, and from where.

use std::collections::BTreeMap;
use std::net::IpAddr;

use common_evidence::collectors::interfaces::Interfaces;
use common_model::probe::HttpAnswer;
use common_model::{Probe, Symptom};
use controller_correlate::{Found, Picture, Resolution};

use crate::client_error;

/// The probes of a picture, judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Wire<'a> {
    /// Each vantage's most successful probe, worst vantage first; those from outside the node before those on it.
    by_vantage: Vec<Seen<'a>>,
    all: &'a [Probe],
    client: Option<Symptom>,
    unresolved: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen<'a> {
    probe: &'a Probe,
    local: bool,
}

impl<'a> Wire<'a> {
    /// Judges the probes, given the node they were meant for.
    pub fn of(picture: &'a Picture, found: Option<&Found<'_>>) -> Self {
        let mut best: BTreeMap<&str, Seen<'a>> = BTreeMap::new();
        for probe in picture.probes.iter().filter(|probe| probe.outcome != Symptom::None) {
            let seen = Seen { probe, local: is_local(probe, found) };
            let held = best.entry(probe.vantage.as_str()).or_insert(seen);
            // A client tries every address of a name; the one that gets furthest is what it experiences.
            if progress(probe) > progress(held.probe) {
                *held = seen;
            }
        }
        let mut by_vantage: Vec<Seen<'a>> = best.into_values().collect();
        by_vantage.sort_by_key(|seen| (seen.local, progress(seen.probe)));
        Self {
            by_vantage,
            all: &picture.probes,
            client: picture.client_error.as_deref().and_then(client_error::symptom),
            unresolved: matches!(picture.resolution, Resolution::Failed(_)),
        }
    }

    /// The probe that tells what the client gets: of the vantages outside the node the one that fares worst.
    pub fn deciding(&self) -> Option<&'a Probe> {
        self.by_vantage.first().map(|seen| seen.probe)
    }

    /// Whether the deciding probe was made from another machine than the node's.
    pub fn is_from_outside(&self) -> bool {
        self.by_vantage.first().is_some_and(|seen| !seen.local)
    }

    /// What the client gets.
    pub fn symptom(&self) -> Symptom {
        match self.deciding() {
            Some(probe) => probe.outcome,
            None if self.unresolved => Symptom::Unresolved,
            None => self.client.unwrap_or(Symptom::None),
        }
    }

    /// What the client's own message says it got.
    pub fn client(&self) -> Option<Symptom> {
        self.client
    }

    /// True when the symptom is that no TCP connection was made.
    pub fn is_unconnected(&self) -> bool {
        match self.deciding() {
            Some(probe) => !probe.connected,
            None => matches!(self.symptom(), Symptom::Refused | Symptom::Timeout | Symptom::Unreachable),
        }
    }

    /// True when the first packet was never answered, or answered by "unreachable": something before the socket took it.
    pub fn is_before_socket(&self) -> bool {
        self.is_unconnected() && matches!(self.symptom(), Symptom::Timeout | Symptom::Unreachable)
    }

    /// A probe that connected to the address and port, from outside if there is one.
    pub fn connected(&self) -> Option<&'a Probe> {
        self.deciding().filter(|probe| probe.connected)
    }

    /// A probe with an answer of the protocol that was asked for.
    pub fn answered(&self) -> Option<&'a Probe> {
        self.deciding().filter(|probe| probe.outcome == Symptom::Ok)
    }

    /// Another probe of the same vantage that did better on another address.
    pub fn others(&self) -> impl Iterator<Item = &'a Probe> {
        self.by_vantage.iter().skip(1).map(|seen| seen.probe)
    }

    /// A probe of the deciding address and port on which a TLS handshake completed.
    pub fn tls_established(&self) -> Option<&'a Probe> {
        let deciding = self.deciding()?;
        self.all
            .iter()
            .find(|probe| same_socket(probe, deciding) && probe.tls.as_ref().is_some_and(|tls| tls.established))
    }

    /// A probe of the deciding address and port on which plain HTTP was answered.
    pub fn plain_http(&self) -> Option<&'a Probe> {
        let deciding = self.deciding()?;
        self.all.iter().find(|probe| {
            let answered = probe.http.as_ref().is_some_and(|http| !http.over_tls && http.answer == HttpAnswer::Http);
            same_socket(probe, deciding) && answered
        })
    }
}

fn same_socket(a: &Probe, b: &Probe) -> bool {
    a.address == b.address && a.port == b.port
}

/// How far an attempt got.
fn progress(probe: &Probe) -> u8 {
    match (probe.outcome, probe.connected) {
        (Symptom::Ok, _) => 9,
        (Symptom::HttpError, _) => 8,
        (Symptom::TlsFailure, _) => 7,
        (Symptom::Eof | Symptom::Reset, _) => 6,
        (_, true) => 5,
        (Symptom::Refused, false) => 4,
        (Symptom::Timeout, false) => 3,
        (Symptom::Unreachable, false) => 2,
        (Symptom::Denied, false) => 1,
        (Symptom::Unresolved | Symptom::None, false) => 0,
    }
}

/// Whether a probe was made on the node itself: from one of its addresses, or by its own agent.
fn is_local(probe: &Probe, found: Option<&Found<'_>>) -> bool {
    if probe.address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    let Some(found) = found else { return false };
    if probe.vantage == found.node.name.as_str() {
        return true;
    }
    let held = |source: IpAddr| {
        source.is_loopback()
            || found.node.one::<Interfaces>("").known().is_some_and(|held| held.value.holder(source).is_some())
    };
    probe.source.is_some_and(held)
}
