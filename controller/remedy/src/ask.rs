//! What an action is asked to mend.

use std::net::IpAddr;

use common_model::diagnosis::ChangeSeen;
use common_model::{Endpoint, Scheme, Verdict};
use controller_correlate::{EngineView, NodePicture, Picture, Target};

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

    /// The engine's unit, when it is one that a command line can take.
    pub fn unit(&self) -> Option<&str> {
        let unit = self.engine.as_ref()?.unit_name()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':');
        (!unit.starts_with('-') && unit.chars().all(plain)).then_some(unit)
    }

    /// The endpoint with another scheme or port.
    pub fn endpoint(&self, scheme: Option<Scheme>, port: u16) -> Endpoint {
        Endpoint { scheme: scheme.or(self.picture.endpoint.scheme), port, ..self.picture.endpoint.clone() }
    }

    /// Where the node is, for titles: ` on es-1`, or nothing.
    pub fn on_node(&self) -> String {
        self.node.map(|node| format!(" on {}", node.name)).unwrap_or_default()
    }
}
