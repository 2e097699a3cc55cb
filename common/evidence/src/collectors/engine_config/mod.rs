//! The engine's yml: every setting with its line, and what is wrong with the file.

use common_model::Class;

use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed};

/// What an agent reads and sends; the subject is the file's path.
pub static COLLECTOR: Collector = Collector {
    kind: EngineConfig::KIND,
    schema: 1,
    class: Class::State,
    sources: |engines| {
        engines
            .iter()
            .map(|engine| (engine.config_file(), Source::File { path: engine.config_file(), cap: 512 * 1024 }))
            .collect()
    },
    triggers: |engines| engines.iter().map(|engine| Trigger::Directory(engine.config_dir.clone())).collect(),
    redact: |raw| raw,
};

/// A yml file, understood as far as it can be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineConfig {
    /// Path of the file.
    pub path: String,
    /// Its text, secrets removed, line for line as on the node.
    pub text: String,
    /// When it was last written, milliseconds since 1970, by the node's clock.
    pub modified_ms: i64,
    /// `owner:group`.
    pub owner: String,
    /// Permission bits, for example `0660`.
    pub mode: String,
    /// Settings in file order, nested keys flattened to dotted ones; a key that stands twice is here twice.
    pub settings: Vec<Setting>,
    /// Why the engine would refuse the file; the engine then does not start.
    pub fatal: Option<SyntaxProblem>,
    /// Why the agent could not read it.
    pub unreadable: Option<String>,
}

/// One setting of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Dotted key, for example `network.host`.
    pub key: String,
    /// Its value or values; a list has several, an empty value none. A comma string is split as the engine does.
    pub values: Vec<String>,
    /// Line of the key, from 1.
    pub line: usize,
    /// Column of the key, from 1.
    pub column: usize,
}

/// Something the engine's loader refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxProblem {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, where known.
    pub column: Option<usize>,
    /// The key concerned, where known.
    pub key: Option<String>,
    /// What is wrong, for people.
    pub message: String,
}

impl EngineConfig {
    /// The setting in force for a key: the last one in the file, as engines from 7.0 on have it.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().rev().find(|setting| setting.key == key)
    }
}

impl Evidence for EngineConfig {
    const KIND: &'static str = "engine-config";

    fn parse(_raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        Parsed::default()
    }
}
