//! What an agent gathers for [`super::discover`] to find the engines in: plain facts, not interpreted.
//!
//! In steps: fill `units`, `packages` and `processes`; then, until [`super::wanted`] is empty, read what it names into
//! `files` and `listings`; then call [`super::discover`].

use std::collections::BTreeMap;

/// Directories of system units, the one that wins first.
pub static UNIT_DIRS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Names of the packages that hold an engine, to be asked of `dpkg-query` and `rpm`.
pub static PACKAGES: &[&str] =
    &["elasticsearch", "elasticsearch-oss", "opendistroforelasticsearch", "opensearch", "wazuh-indexer"];

/// Everything gathered on one node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Service units whose definition [`mentions_engine`], and those that a process of `processes` belongs to.
    pub units: Vec<UnitFile>,
    /// Those of [`PACKAGES`] that are installed.
    pub packages: Vec<Package>,
    /// Processes for which [`super::is_engine`] holds.
    pub processes: Vec<EngineProcess>,
    /// Files by absolute path, those of [`Wanted::files`] at least.
    pub files: BTreeMap<String, FileFact>,
    /// Names of a directory's entries, those of [`Wanted::listings`] at least; empty for one that is missing.
    pub listings: BTreeMap<String, Vec<String>>,
    /// Places that could not be searched, for people.
    pub problems: Vec<String>,
}

/// A service unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitFile {
    /// Its name, for example `elasticsearch.service`. An enabled or running instance (`elasticsearch@a.service`) has its
    /// own entry with the template's text; the template alone has none.
    pub name: String,
    /// Text of the unit's file, then of its drop-ins in order of name, each on a line of its own.
    pub text: String,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, as the package manager has it.
    pub version: String,
}

/// A process of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineProcess {
    /// Process id.
    pub pid: u32,
    /// Parent's process id.
    pub parent: u32,
    /// Effective user id.
    pub uid: u32,
    /// Start, milliseconds since 1970.
    pub started_at_ms: i64,
    /// Command line.
    pub command: Vec<String>,
    /// The `.service` of its control group, for example `elasticsearch.service`; none in a session.
    pub unit: Option<String>,
    /// True when it runs in a container: `NSpid` of `/proc/PID/status` has several numbers. Its paths are then not the host's.
    pub container: bool,
}

/// A file that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFact {
    /// Its text.
    Text(String),
    /// There is none.
    Missing,
    /// It is there, or may be, but could not be read; why.
    Unreadable(String),
}

/// What [`super::discover`] has still to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Absolute paths of files, for [`Facts::files`].
    pub files: Vec<String>,
    /// Absolute paths of directories, for [`Facts::listings`].
    pub listings: Vec<String>,
}

impl Wanted {
    /// True when nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.listings.is_empty()
    }
}

/// True when a unit's definition is worth keeping for [`super::discover`], which then decides.
pub fn mentions_engine(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["elasticsearch", "opensearch", "es_path_conf", "wazuh-indexer"].iter().any(|word| lower.contains(word))
}
