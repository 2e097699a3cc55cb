//! One engine of a node with all its evidence joined: what it is configured to do, what runs, what listens.

mod history;
mod listeners;
mod settings;
#[cfg(test)]
mod tests;

use common_evidence::collectors::engine_config::EngineConfig;
use common_evidence::collectors::engine_log::EngineLog;
use common_evidence::collectors::engines::Engines;
use common_evidence::collectors::journal::JournalLine;
use common_evidence::collectors::processes::{Process, Processes};
use common_evidence::collectors::sockets::Sockets;
use common_evidence::collectors::unit::Unit;
use common_evidence::engine::EngineRef;
use common_evidence::settings::Origin;
use common_model::probe::Product;
use common_model::{EvidenceId, NodeName, Timestamp};

use crate::changes::Relived;
use crate::picture::{Cited, NodePicture, Reading};

pub use history::{Ending, Failed, LastRun};
pub use settings::{HTTP_BIND, TRANSPORT_ADDRESS};

/// An engine, joined.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineView {
    /// The node it is on.
    pub node: NodeName,
    /// What it is and where its things are.
    pub engine: EngineRef,
    /// The evidence that found it.
    pub found_by: EvidenceId,
    /// Its systemd unit; missing when it has none.
    pub unit: Reading<Unit>,
    /// Its processes.
    pub processes: Reading<Processes>,
    /// Its yml.
    pub config: Reading<EngineConfig>,
    /// The end of its own log.
    pub log: Reading<EngineLog>,
    /// All listeners of the node.
    pub sockets: Reading<Sockets>,
    /// Journal lines about its unit, oldest first.
    pub journal: Vec<Cited<JournalLine>>,
    /// User ids of other engines' processes on the node: a socket known by its user alone is not told apart from theirs.
    shared_uids: Vec<u32>,
    /// What is dated so is in no order.
    relived: Relived,
}

/// Whether the engine runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Running {
    /// It does; when the process that owns the sockets started, where known.
    Yes(Option<Timestamp>),
    /// It does not.
    No,
    /// The evidence does not tell.
    Unknown,
}

impl EngineView {
    /// Every engine of a node, in order of name. None when the agent never said which there are.
    pub fn all(node: &NodePicture) -> Option<Vec<EngineView>> {
        let reading = node.one::<Engines>("");
        let found = reading.known()?;
        let journal = node.all::<JournalLine>();
        let views: Vec<EngineView> =
            found.value.engines.iter().map(|engine| join(node, engine, &found.id, &journal)).collect();
        let uids: Vec<Vec<u32>> = views.iter().map(EngineView::uids).collect();
        let views = views.into_iter().enumerate().map(|(index, mut view)| {
            view.shared_uids = uids
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index)
                .flat_map(|(_, uids)| uids.clone())
                .collect();
            view
        });
        Some(views.collect())
    }

    /// Which of a node's engines should answer HTTP on `port`: the one that does, else the only one that is configured so.
    pub fn choose(engines: &[EngineView], port: u16) -> Option<usize> {
        if engines.len() == 1 {
            return Some(0);
        }
        let only = |test: &dyn Fn(&EngineView) -> bool| {
            let mut fitting = engines.iter().enumerate().filter(|(_, engine)| test(engine)).map(|(index, _)| index);
            fitting.next().filter(|_| fitting.next().is_none())
        };
        let listens = |engine: &EngineView| {
            engine.listeners().is_some_and(|listeners| listeners.iter().any(|listener| listener.port == port))
        };
        let may = |engine: &EngineView| {
            engine.http_ports().is_some_and(|ports| ports.iter().any(|range| range.contains(&port)))
        };
        let must = |engine: &EngineView| may(engine) && engine.settings().http.port.origin != Origin::Default;
        only(&listens).or_else(|| only(&must)).or_else(|| only(&may))
    }

    /// The product, Elasticsearch where it is not said.
    pub fn product(&self) -> Product {
        self.engine.product.unwrap_or(Product::Elasticsearch)
    }

    /// `Elasticsearch` or `OpenSearch`, with the engine's own name where that adds something.
    pub fn title(&self) -> String {
        let title = self.product().title();
        if self.engine.name == self.product().slug() {
            title.to_owned()
        } else {
            format!("{title} ({})", self.engine.name)
        }
    }

    /// The unit's name, where there is one.
    pub fn unit_name(&self) -> Option<&str> {
        self.engine.unit.as_deref()
    }

    /// What the engine's processes are, empty when unknown.
    pub fn running_processes(&self) -> &[Process] {
        self.processes.known().map_or(&[], |cited| &cited.value.processes)
    }

    /// Whether it runs, and since when.
    pub fn running(&self) -> Running {
        if let Some(processes) = self.processes.known() {
            return match processes.value.processes.iter().map(|process| process.started_at_ms).max() {
                Some(started) => Running::Yes((started > 0).then_some(Timestamp(started))),
                None => self.launching(),
            };
        }
        match self.unit.known().map(|unit| unit.value.active_state.as_str()) {
            Some("active" | "reloading") => Running::Yes(self.unit.known().and_then(|unit| unit.value.main_started_at)),
            Some("inactive" | "failed") => Running::No,
            // Who holds a listening socket runs.
            _ if self.listeners().is_some_and(|listeners| !listeners.is_empty()) => Running::Yes(None),
            _ => Running::Unknown,
        }
    }

    /// Whether systemd has begun to start it without a process that is known for an engine's: a script or launcher comes first.
    fn launching(&self) -> Running {
        let unit = self.unit.known().map(|unit| &unit.value);
        match unit.filter(|unit| unit.active_state == "activating" && unit.sub_state == "start" && unit.main_pid > 0) {
            Some(unit) => Running::Yes(unit.main_started_at),
            None => Running::No,
        }
    }

    /// When the running engine was started: the oldest of its processes, since a launcher reads the settings before its child runs.
    pub fn started_at(&self) -> Option<Timestamp> {
        let oldest = self.running_processes().iter().map(|process| process.started_at_ms).filter(|at| *at > 0).min();
        oldest.map(Timestamp).or_else(|| match self.running() {
            Running::Yes(started) => started,
            Running::No | Running::Unknown => None,
        })
    }

    /// Whether the yml was written after the running engine read it. None when either time is unknown, or the file's may be of
    /// before the node's clock was set back.
    pub fn edited_since_start(&self) -> Option<bool> {
        let modified = self.config.known().map(|config| Timestamp(config.value.modified_ms)).filter(|at| at.0 > 0)?;
        (!self.relived.contains(modified)).then_some(modified > self.started_at()?)
    }

    fn uids(&self) -> Vec<u32> {
        self.running_processes().iter().map(|process| process.uid).collect()
    }
}

fn join(node: &NodePicture, engine: &EngineRef, found_by: &EvidenceId, journal: &[Cited<JournalLine>]) -> EngineView {
    let unit_name = engine.unit.as_deref();
    EngineView {
        node: node.name.clone(),
        engine: engine.clone(),
        found_by: found_by.clone(),
        unit: unit_name.map_or(Reading::Missing, |unit| node.one(unit)),
        processes: node.one(&engine.name),
        config: node.one(&engine.config_file()),
        log: engine.log_file.as_deref().map_or(Reading::Missing, |path| node.one(path)),
        sockets: node.one(""),
        journal: match unit_name {
            Some(unit) => journal.iter().filter(|line| line.value.unit.as_deref() == Some(unit)).cloned().collect(),
            None => Vec::new(),
        },
        shared_uids: Vec::new(),
        relived: Relived::of(node),
    }
}
