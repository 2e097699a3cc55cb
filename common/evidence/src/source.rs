//! The closed set of ways in which an agent reads its host. A collector declares which it needs; only `agent-sources` carries them out.

use std::time::Duration;

use common_model::Class;

use crate::engine::EngineRef;

/// The declaration of one kind of evidence: what to read, when to read it again, and what to hide.
pub struct Collector {
    /// The kind; equals the folder's name with `-` for `_`.
    pub kind: &'static str,
    /// Version of the raw bytes' shape.
    pub schema: u32,
    /// State or event.
    pub class: Class,
    /// What it reads on a node that has these engines. One envelope per pair of subject and source.
    pub sources: fn(&[EngineRef]) -> Vec<(String, Source)>,
    /// What tells that it may have changed, beside the slow poll every collector gets.
    pub triggers: fn(&[EngineRef]) -> Vec<Trigger>,
    /// Removes secrets from what was read. Runs on the node, before anything is written or sent.
    pub redact: fn(Vec<u8>) -> Vec<u8>,
}

/// One read of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file's content, at most `cap` bytes from its start. Body: [`FileRead`] as JSON.
    File {
        /// Absolute path.
        path: String,
        /// Bytes read at most.
        cap: usize,
    },
    /// The last `cap` bytes of a file, beginning at a line. Body: [`FileRead`] as JSON.
    FileTail {
        /// Absolute path.
        path: String,
        /// Bytes read at most.
        cap: usize,
    },
    /// The files of some directories that end in a suffix, in directory order then name order. Body: `Vec<FileRead>` as JSON.
    Files {
        /// Absolute directories or plain files; missing ones are skipped.
        places: Vec<String>,
        /// For example `.conf`; empty for every file.
        suffix: &'static str,
        /// Bytes read of each.
        cap: usize,
    },
    /// What a program of the allow-list prints. Body: its standard output.
    Command {
        /// Which.
        program: Program,
        /// Its arguments; never from outside text except unit names that were checked.
        args: Vec<String>,
        /// Killed after this.
        timeout: Duration,
        /// Bytes of output kept.
        cap: usize,
    },
    /// All TCP listeners with their owners, by netlink. Body: `collectors::sockets::Sockets` as JSON.
    Sockets,
    /// Interfaces, addresses and routes, by netlink. Body: `collectors::interfaces::Interfaces` as JSON.
    Interfaces,
    /// Values of kernel settings, by dotted name. Body: a JSON object from name to value.
    Sysctls(&'static [&'static str]),
    /// The processes of an engine: command line, limits, start time. Body: `collectors::process::Processes` as JSON.
    Processes(EngineRef),
    /// The host: boot, kernel, memory, mounts. Body: `collectors::host::Host` as JSON.
    Host,
    /// The engines found. Body: `collectors::engines::Engines` as JSON.
    Engines,
    /// Lines of the journal from now on, and those since the last start of the units. Body of each envelope: one line of `journalctl -o json`.
    Journal {
        /// `journalctl` match arguments, each `FIELD=value` or `+`.
        matches: Vec<String>,
    },
}

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct FileRead {
    /// Absolute path.
    pub path: String,
    /// Content, lossily decoded where it is not UTF-8.
    pub text: String,
    /// Size of the whole file in bytes.
    pub size: u64,
    /// True when `text` is not the whole file.
    pub cut: bool,
    /// Modification time, milliseconds since 1970; 0 for files of `/proc`.
    pub modified_ms: i64,
    /// Owner, for example `root:elasticsearch`, names where they are known.
    pub owner: String,
    /// Permission bits, for example `0660`.
    pub mode: String,
    /// Why it could not be read; `text` is then empty.
    pub error: Option<String>,
}

/// The only programs an agent may start. Absolute paths are resolved from a fixed list of directories, never from `PATH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Program {
    /// `nft`
    Nft,
    /// `iptables-save`
    IptablesSave,
    /// `ip6tables-save`
    Ip6tablesSave,
    /// `iptables-legacy-save`
    IptablesLegacySave,
    /// `ip6tables-legacy-save`
    Ip6tablesLegacySave,
    /// `systemctl`
    Systemctl,
    /// `journalctl`
    Journalctl,
    /// `dpkg-query`
    DpkgQuery,
    /// `rpm`
    Rpm,
}

/// What tells that a source may have changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// Something was written, created, renamed or deleted in this directory.
    Directory(String),
    /// Read again every so often; for sources that are cheap to read and tell nothing.
    Every(Duration),
    /// The kernel says that the nftables ruleset changed.
    Nftables,
    /// The kernel says that an interface, address or route changed.
    Network,
    /// The journal has a new line about one of the engines' units.
    UnitJournal,
}
