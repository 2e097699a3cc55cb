//! What an action is asked to mend.

use std::net::IpAddr;
use std::str::FromStr;

use common_evidence::collectors::engine_config::EngineConfig;
use common_evidence::collectors::host::Host;
use common_evidence::collectors::interfaces::Interfaces;
use common_model::diagnosis::ChangeSeen;
use common_model::probe::Product;
use common_model::text::printable_line;
use common_model::{Endpoint, Network, Scheme, Verdict};
use controller_correlate::{EngineView, NodePicture, Picture, Target};

use crate::shell;

/// Characters of a foreign text in a title kept at most.
const SHOWN: usize = 160;

/// A verdict with the node and engine it is about.
pub struct Ask<'a> {
    /// What is to be mended.
    pub verdict: &'a Verdict,
    /// The change that brought it, if one is known.
    pub change: Option<&'a ChangeSeen>,
    /// What is known.
    pub picture: &'a Picture,
    /// The node meant, when it can be told.
    pub node: Option<&'a NodePicture>,
    /// The engine meant, when it can be told.
    pub engine: Option<EngineView>,
    /// Addresses of the node a client arrives at.
    pub addresses: Vec<IpAddr>,
}

impl<'a> Ask<'a> {
    /// Prepares a verdict on a picture.
    pub fn new(verdict: &'a Verdict, change: Option<&'a ChangeSeen>, picture: &'a Picture) -> Self {
        let target = Target::of(picture);
        let found = target.found();
        let node = found.map(|found| found.node);
        let addresses = found.map(|found| found.addresses.clone()).unwrap_or_default();
        let engines = node.and_then(EngineView::all).unwrap_or_default();
        let engine = EngineView::choose(&engines, picture.endpoint.port).and_then(|index| engines.get(index).cloned());
        Self { verdict, change, picture, node, engine, addresses }
    }

    /// A text of the verdict's detail.
    pub fn detail(&self, key: &str) -> Option<&str> {
        self.verdict.detail.get(key)?.as_str()
    }

    /// A number of the verdict's detail.
    pub fn number<T: TryFrom<u64>>(&self, key: &str) -> Option<T> {
        T::try_from(self.verdict.detail.get(key)?.as_u64()?).ok()
    }

    /// A text of the verdict's detail that has to be of some form, such as an address.
    pub fn parsed<T: FromStr>(&self, key: &str) -> Option<T> {
        self.detail(key)?.parse().ok()
    }

    /// The engine's own words that the verdict rests on: of a detail that has them, else of the link that names the cause.
    pub fn message(&self) -> &str {
        let cause = self.verdict.cause.as_str();
        let link = || self.verdict.chain.iter().find(|link| link.cause == cause).map(|link| link.sentence.as_str());
        self.detail("message").or_else(link).unwrap_or_default()
    }

    /// The engine's unit, when it is one that a command line can take.
    pub fn unit(&self) -> Option<&str> {
        self.engine.as_ref()?.unit_name().filter(|unit| shell::is_name(unit))
    }

    /// The commands that start the engine anew: none without a unit. Where it takes more than one remedy, they say so.
    pub fn restart(&self) -> Vec<String> {
        let checks = self.verdict.detail.get("checks").and_then(|checks| checks.as_array()).map_or(0, Vec::len);
        let waits = match checks {
            0 | 1 => String::new(),
            several => format!("   # comes up once all {several} failed checks are mended"),
        };
        self.unit().map(|unit| format!("sudo systemctl restart {unit}{waits}")).into_iter().collect()
    }

    /// The engine in words: its unit, else its product.
    pub fn who(&self) -> String {
        self.unit().map_or_else(|| self.product().title().to_owned(), str::to_owned)
    }

    /// The product, Elasticsearch where it is not known.
    pub fn product(&self) -> Product {
        self.engine.as_ref().map_or(Product::Elasticsearch, EngineView::product)
    }

    /// The user the engine runs as: its unit's, else the one its package makes.
    pub fn user(&self) -> &str {
        let unit = self.engine.as_ref().and_then(|engine| engine.unit.known());
        let user = unit.map(|unit| unit.value.user.as_str()).filter(|user| shell::is_name(user) && *user != "root");
        user.unwrap_or(self.product().slug())
    }

    /// The engine's yml, as a word of a command line.
    pub fn yml(&self) -> Option<String> {
        shell::path(&self.engine.as_ref()?.engine.config_file())
    }

    /// The engine's configuration directory, as a word of a command line.
    pub fn config_dir(&self) -> Option<String> {
        shell::path(self.engine.as_ref()?.engine.config_dir.trim_end_matches('/'))
    }

    /// What the yml says, where it was read whole.
    pub fn config(&self) -> Option<&EngineConfig> {
        let config = &self.engine.as_ref()?.config.known()?.value;
        (config.unreadable.is_none() && !config.cut && shell::path(&config.path).is_some()).then_some(config)
    }

    /// A program of the engine, such as `elasticsearch-plugin` for `plugin`, as a word of a command line.
    pub fn program(&self, name: &str) -> Option<String> {
        let home = self.engine.as_ref()?.engine.home.as_deref()?.trim_end_matches('/');
        shell::path(&format!("{home}/bin/{}-{name}", self.product().slug()))
    }

    /// Major and minor version, where known.
    pub fn version(&self) -> Option<(u32, u32)> {
        let mut parts = self.engine.as_ref()?.engine.version.as_deref()?.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }

    /// What is known of the node's host.
    pub fn host(&self) -> Option<Host> {
        self.node?.one::<Host>("").known().map(|host| host.value.clone())
    }

    /// The node's addresses, where they are known.
    pub fn interfaces(&self) -> Option<Interfaces> {
        self.node?.one::<Interfaces>("").known().map(|interfaces| interfaces.value.clone())
    }

    /// The endpoint with another scheme or port.
    pub fn endpoint(&self, scheme: Option<Scheme>, port: u16) -> Endpoint {
        Endpoint { scheme: scheme.or(self.picture.endpoint.scheme), port, ..self.picture.endpoint.clone() }
    }

    /// Who is let in for the sake of a client at `source`. Clients of one network come and go; a network the node itself is in with
    /// `destination` is let in whole, a distant client alone.
    pub fn client_network(&self, source: IpAddr, destination: IpAddr) -> Network {
        let local = self.interfaces().and_then(|interfaces| interfaces.holder(destination).cloned());
        let network = local.map(|held| Network::new(held.address, held.prefix));
        network.filter(|network| network.contains(source)).unwrap_or_else(|| Network::host(source))
    }

    /// Where the node is, for titles: ` on es-1`, or nothing.
    pub fn on_node(&self) -> String {
        self.node.map(|node| format!(" on {}", node.name)).unwrap_or_default()
    }

    /// The node by name, for titles.
    pub fn node_name(&self) -> &str {
        self.node.map_or("the node", |node| node.name.as_str())
    }
}

/// A foreign text, fit for a title.
pub(crate) fn shown(text: &str) -> String {
    let text = printable_line(text);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
