//! The engines found on the node.

mod discover;
mod facts;
mod unit_text;

use std::time::Duration;

use common_model::Class;
use serde::{Deserialize, Serialize};

use crate::engine::EngineRef;
use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed, parse_json};

pub use discover::{discover, is_engine, wanted};
pub use facts::{EngineProcess, Facts, FileFact, PACKAGES, Package, UNIT_DIRS, UnitFile, Wanted, mentions_engine};

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: Engines::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| vec![(String::new(), Source::Engines)],
    triggers: |_| {
        let units = UNIT_DIRS.iter().map(|dir| Trigger::Directory((*dir).to_owned()));
        units.chain([Trigger::UnitJournal, Trigger::Every(Duration::from_secs(15))]).collect()
    },
    redact: crate::redact::engines_json,
};

/// Every engine found; an empty list says that all the places were searched and none was there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Engines {
    /// In order of name.
    pub engines: Vec<EngineRef>,
    /// Places that could not be searched.
    pub problems: Vec<String>,
}

impl Evidence for Engines {
    const KIND: &'static str = "engines";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        parse_json(raw)
    }
}
