//! One picture, prepared for the rules: which node and engine are meant, what the wire says, how fresh the evidence is.

use std::net::IpAddr;

use common_evidence::Evidence;
use common_evidence::collectors::journal::JournalLine;
use common_evidence::collectors::sockets::{Listener, Sockets};
use common_model::change::Topic;
use common_model::diagnosis::{Citation, MissingEvidence};
use common_model::time::{clock_difference, span};
use common_model::{Certainty, Change, Class, Envelope, NodeName, Symptom, Timestamp};
use controller_correlate::changes::{Relived, timeline};
use controller_correlate::{Cited, EngineView, Filters, Found, FoundBy, NodePicture, Picture, Target};

use crate::cite;
use crate::finding::{Finding, Step, missing};
use crate::wire::Wire;

/// Evidence not confirmed for longer than this is stale: a few missed heartbeats.
const STALE_AFTER_MS: i64 = 15_000;

/// A picture, prepared.
pub struct Case<'a> {
    /// What is known.
    pub picture: &'a Picture,
    /// What the probes say.
    pub wire: Wire<'a>,
    /// The packet filters of the node, if any was read.
    pub filters: Option<Filters>,
    target: Target<'a>,
    changes: Vec<Change>,
    relived: Relived,
    engines: Option<Vec<EngineView>>,
    chosen: Option<usize>,
}

impl<'a> Case<'a> {
    /// Prepares a picture.
    pub fn of(picture: &'a Picture) -> Self {
        let target = Target::of(picture);
        let wire = Wire::of(picture, target.found());
        let engines = target.found().and_then(|found| EngineView::all(found.node));
        let chosen = engines.as_deref().and_then(|engines| EngineView::choose(engines, picture.endpoint.port));
        let filters = target.found().and_then(|found| Filters::of(found.node));
        let changes = target.found().map(|found| timeline(found.node)).unwrap_or_default();
        let relived = target.found().map(|found| Relived::of(found.node)).unwrap_or_default();
        Self { picture, wire, filters, target, changes, relived, engines, chosen }
    }

    /// The node meant, and how it was told.
    pub fn found(&self) -> Option<&Found<'a>> {
        self.target.found()
    }

    /// The node meant.
    pub fn node(&self) -> Option<&'a NodePicture> {
        self.found().map(|found| found.node)
    }

    /// The name of the node meant.
    pub fn node_name(&self) -> Option<NodeName> {
        self.node().map(|node| node.name.clone())
    }

    /// The engine meant, or what is missing to tell.
    pub fn engine(&self) -> Result<&EngineView, Vec<MissingEvidence>> {
        let chosen = self.chosen.and_then(|index| self.engines.as_deref()?.get(index));
        chosen.ok_or_else(|| self.why_no_engine())
    }

    /// Every engine of the node; none when nobody looked.
    pub fn engines(&self) -> Option<&[EngineView]> {
        self.engines.as_deref()
    }

    fn why_no_engine(&self) -> Vec<MissingEvidence> {
        let host = &self.picture.endpoint.host;
        vec![match (&self.target, self.engines.as_deref()) {
            (Target::Ambiguous(nodes), _) => {
                let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
                missing(
                    format!("which node {host} means: {} could be", names.join(", ")),
                    "name the node, or give an address that only one of them has",
                )
            }
            (Target::Unknown, _) => missing(
                format!("anything from the host behind {host}: no agent speaks for it"),
                format!(
                    "run `sudo dialtone diagnose http://localhost:{}` on that host, or join an agent there",
                    self.picture.endpoint.port
                ),
            ),
            (Target::Node(found), None) => {
                missing(format!("which engines are on {}", found.node.name), "update or restart its agent")
            }
            (Target::Node(found), Some([])) => missing(
                format!("an engine on {}: none was found", found.node.name),
                "install one, or check the address",
            ),
            (Target::Node(found), Some(engines)) => {
                let names: Vec<&str> = engines.iter().map(|engine| engine.engine.name.as_str()).collect();
                missing(
                    format!(
                        "which engine of {} should answer on port {}: {}",
                        found.node.name,
                        self.picture.endpoint.port,
                        names.join(", ")
                    ),
                    "set http.port in each engine's yml",
                )
            }
        }]
    }

    /// The node's addresses a client arrives at.
    pub fn addresses(&self) -> &[IpAddr] {
        self.found().map_or(&[], |found| &found.addresses)
    }

    /// The first address a client tries with the port, for sentences.
    pub fn destination(&self) -> String {
        let address =
            self.wire.deciding().and_then(|probe| probe.address).or_else(|| self.addresses().first().copied());
        match address {
            Some(address) => std::net::SocketAddr::new(address, self.picture.endpoint.port).to_string(),
            None => format!("{}:{}", self.picture.endpoint.host, self.picture.endpoint.port),
        }
    }

    /// The instant of the picture by the node's clock.
    pub fn node_now(&self) -> Timestamp {
        let offset = self.node().map_or(0, |node| node.agent.clock_offset_ms);
        self.picture.at.plus_millis(offset)
    }

    /// A time of the node, for sentences.
    pub fn time(&self, at: Timestamp) -> String {
        cite::time(at, self.node_now())
    }

    /// Why the node's evidence may no longer be so; none while it is fresh.
    pub fn staleness(&self) -> Option<MissingEvidence> {
        let node = self.node()?;
        let heard = node.agent.confirmed_at.or(node.agent.last_seen);
        let age = heard.map(|at| self.picture.at.millis_since(at));
        if node.agent.online && age.is_none_or(|age| age <= STALE_AFTER_MS) {
            return None;
        }
        let name = &node.name;
        let (what, how) = match (heard, age) {
            (Some(at), Some(age)) if node.agent.online => (
                format!(
                    "{name}'s agent is connected but has not confirmed its evidence since {}; it is {} old",
                    cite::time(at, self.picture.at),
                    span(age)
                ),
                format!("on {name}: sudo journalctl -u dialtone-agent -n 20; df /var/lib/dialtone-agent"),
            ),
            (Some(at), Some(age)) => (
                format!(
                    "{name}'s agent was last heard at {}; its evidence is {} old",
                    cite::time(at, self.picture.at),
                    span(age)
                ),
                format!("on {name}: sudo systemctl start dialtone-agent"),
            ),
            _ => (
                format!("{name}'s agent is not connected; how old its evidence is is not known"),
                format!("on {name}: sudo systemctl start dialtone-agent"),
            ),
        };
        Some(missing(what, how))
    }

    /// That the node's journal cannot be read, which would tell who did what and how starts ended; none while it can.
    pub fn unread_journal(&self) -> Option<MissingEvidence> {
        let node = self.node()?;
        let is_journal = |held: &Envelope| held.class == Class::State && held.kind.as_str() == JournalLine::KIND;
        let (_, failure) = node.failures().find(|(held, _)| is_journal(held))?;
        let what = format!("{}'s journal, which would tell who did it: {}", node.name, cite::shown(&failure.message));
        Some(missing(what, format!("on {}: sudo journalctl --since -1h", node.name)))
    }

    /// That the node's agent still reads what there is now; none when it has answered.
    pub fn still_reading(&self) -> Option<MissingEvidence> {
        let node = self.node().filter(|node| node.agent.online && node.agent.late)?;
        let as_of = node.agent.confirmed_at.map(|at| format!(", which is as of {}", cite::time(at, self.picture.at)));
        Some(missing(
            format!(
                "what {} reads at this moment: its agent did not finish in time, and this rests on what it sent before{}",
                node.name,
                as_of.unwrap_or_default()
            ),
            "ask again; if it stays so, raise refresh_ms in /etc/dialtone/controller.yaml",
        ))
    }

    /// The listener of the HTTP ports of the engine; what is missing when that cannot be told.
    pub fn http_listeners<'e>(&self, engine: &'e EngineView) -> Result<Vec<&'e Listener>, Vec<MissingEvidence>> {
        let node = &engine.node;
        let no_sockets =
            || vec![missing(format!("the listening sockets of {node}"), format!("on {node}: sudo ss -ltnp"))];
        let (Some(http), Some(transport)) = (engine.http_ports(), engine.transport_ports()) else {
            return Err(vec![missing(
                format!("the engine's yml on {node}"),
                format!("on {node}: sudo cat {}", engine.engine.config_file()),
            )]);
        };
        engine.http_listeners(&http, &transport).ok_or_else(no_sockets)
    }

    /// The finding of a listen-stage rule when the engine already took the connection. One that another process of the node took
    /// says nothing of the engine.
    pub fn accepted(&self) -> Option<Finding> {
        let answered = self.wire.answered().is_some();
        let probe =
            self.wire.connected().filter(|_| answered || (self.wire.is_from_outside() && !self.is_taken_by_other()))?;
        let because = format!("a connection from {} to {} stands", probe.vantage, self.destination());
        Some(Finding::ruled_out(because, cite::probe(probe)))
    }

    /// Whether it is known that no socket of the engine, but one of another process, takes the address and port.
    pub fn is_taken_by_other(&self) -> bool {
        let Ok(engine) = self.engine() else { return false };
        let port = self.picture.endpoint.port;
        let takes = |listener: &&Listener| {
            listener.port == port && self.addresses().iter().any(|address| listener.accepts(*address))
        };
        let own = engine.listeners().is_none_or(|listeners| listeners.iter().any(takes));
        !own && engine.unattributed_listeners(port).is_empty() && engine.foreign_listeners(port).iter().any(takes)
    }

    /// Whether a socket that takes the address and port has more connections waiting than it holds: the kernel then drops new ones.
    pub fn accept_queue_full(&self) -> bool {
        let port = self.picture.endpoint.port;
        let full = |listener: &Listener| {
            listener.backlog_full
                && listener.port == port
                && self.addresses().iter().any(|address| listener.accepts(*address))
        };
        self.node().is_some_and(|node| {
            node.one::<Sockets>("").known().is_some_and(|sockets| sockets.value.listeners.iter().any(full))
        })
    }

    /// The first link of a chain: what the client sees.
    pub fn symptom_step(&self, cause: &'static str, sentence: &str, cites: Vec<Citation>) -> Step {
        let mut all = self.wire.deciding().map(cite::probe).unwrap_or_default();
        all.extend(cites);
        let seen = match self.wire.deciding() {
            Some(probe) => {
                format!("; from {}: {}", vantage(probe.vantage.as_str()), outcome_words(self.wire.symptom()))
            }
            None => String::new(),
        };
        Step::new(cause, format!("{sentence}{seen}"), all)
    }

    /// The newest entry of the node's change log that passes `explains`, told with who did it where that is known. None where
    /// the node's clock went through that time twice: it cannot be told what came before what.
    pub fn newest_change(&self, explains: impl Fn(&Change) -> bool) -> Option<Change> {
        self.changes.iter().rev().find(|change| !self.relived.contains(change.at) && explains(change)).cloned()
    }

    /// What the node's clock makes uncertain: its times beside those of other machines, and what came before what where it
    /// was set back.
    pub fn clock_gaps(&self) -> Vec<MissingEvidence> {
        let Some(node) = self.node() else { return Vec::new() };
        let name = &node.name;
        let how = format!("on {name}: timedatectl; date -u");
        let mut gaps = Vec::new();
        if let Some(difference) = clock_difference(node.agent.clock_offset_ms) {
            let (there, here) =
                (cite::time(self.node_now(), self.picture.at), cite::time(self.picture.at, self.node_now()));
            gaps.push(missing(
                format!(
                    "when by other clocks: {name}'s is {difference} the controller's ({there}, not {here}), and dates what \
                     happened there"
                ),
                how.clone(),
            ));
        }
        let out_of_order = |change: &&Change| change.topic != Topic::Clock && self.relived.contains(change.at);
        let set_back = self.changes.iter().rev().find(|change| change.topic == Topic::Clock);
        if let (Some(set_back), Some(_)) = (set_back, self.changes.iter().find(out_of_order)) {
            gaps.push(missing(
                format!(
                    "what changed before what on {name} in the time its clock went through twice: {}",
                    set_back.what
                ),
                how,
            ));
        }
        gaps
    }

    /// Certain, unless what the client sees does not fit a socket that refuses.
    pub fn fits_refusal(&self) -> Certainty {
        match self.wire.symptom() {
            Symptom::Refused => Certainty::Certain,
            Symptom::None if self.wire.deciding().is_none() => Certainty::Certain,
            _ => Certainty::Likely,
        }
    }

    /// Whether it is taken for granted, not known, that the endpoint means this node.
    pub fn guesses_node(&self) -> Option<MissingEvidence> {
        let found = self.found().filter(|found| found.by == FoundBy::Loopback)?;
        let host = &self.picture.endpoint.host;
        Some(missing(
            format!("whether {host} means {}: it means the machine the client runs on", found.node.name),
            format!("give the address of {}", found.node.name),
        ))
    }

    /// Quotes a parsed piece of evidence of the node meant.
    pub fn cite<T: Evidence>(&self, cited: &Cited<T>, excerpt: &str, source: &str) -> Vec<Citation> {
        self.node().map(|node| cite::evidence(&node.name, cited, excerpt, source)).unwrap_or_default()
    }
}

/// A vantage, for sentences.
pub(crate) fn vantage(name: &str) -> &str {
    match name {
        "here" => "this machine",
        "controller" => "the controller",
        node => node,
    }
}

/// A symptom, for sentences.
pub(crate) fn outcome_words(symptom: Symptom) -> &'static str {
    match symptom {
        Symptom::Ok => "answered",
        Symptom::Refused => "connection refused",
        Symptom::Timeout => "no answer, timed out",
        Symptom::Unreachable => "no route to host",
        Symptom::Reset => "connection reset",
        Symptom::Eof => "closed without an answer",
        Symptom::TlsFailure => "TLS handshake failed",
        Symptom::HttpError => "an answer that is an error",
        Symptom::Unresolved => "name not resolved",
        Symptom::Denied => "permission denied on the client",
        Symptom::None => "not tried",
    }
}
