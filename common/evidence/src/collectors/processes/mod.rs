//! The processes of an engine: what they were started with and their limits.

use std::collections::BTreeMap;
use std::time::Duration;

use common_model::Class;
use serde::{Deserialize, Serialize};

use crate::command::{self, Role};
use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed, parse_json};

/// What an agent reads and sends; the subject is the engine's name.
pub static COLLECTOR: Collector = Collector {
    kind: Processes::KIND,
    schema: 1,
    class: Class::State,
    sources: |engines| engines.iter().map(|engine| (engine.name.clone(), Source::Processes(engine.clone()))).collect(),
    triggers: |_| vec![Trigger::UnitJournal, Trigger::Every(Duration::from_secs(2))],
    redact: crate::redact::process_json,
};

/// The engine's processes; empty when none runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Processes {
    /// In order of process id.
    pub processes: Vec<Process>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Parent's process id. From Elasticsearch 8.3 on the sockets belong to a child of the unit's main process.
    pub parent: u32,
    /// Effective user id.
    pub uid: u32,
    /// Command line, secrets removed. `-E` settings stand on the launcher's, not on the child's, from 8.3 on.
    pub command: Vec<String>,
    /// Start, milliseconds since 1970, by the node's clock.
    pub started_at_ms: i64,
    /// Resource limits by the kernel's name (`Max open files`): soft and hard, none for unlimited.
    pub limits: BTreeMap<String, Limit>,
    /// State letter of `/proc/PID/stat`: `R`, `S`, `D`, `T` (stopped) …
    pub state: String,
}

/// A resource limit; none is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// In force.
    pub soft: Option<u64>,
    /// The most the process may raise it to.
    pub hard: Option<u64>,
}

impl Processes {
    /// The `-E` settings the running engine was started with, each `key=value`. None when it cannot be told: no process
    /// runs, or only the child of a launcher is seen, which is given its settings by other means.
    pub fn settings(&self) -> Option<Vec<String>> {
        let of = |role| {
            self.processes.iter().find(|process| command::recognise(&process.command).is_some_and(|(_, is)| is == role))
        };
        if let Some(launcher) = of(Role::Launcher) {
            return Some(command::settings(&launcher.command));
        }
        let server = of(Role::Server)?;
        let child = server.command.iter().any(|word| word.starts_with("org.elasticsearch.server/"));
        (!child).then(|| command::settings(&server.command))
    }

    /// The process that owns the engine's sockets.
    pub fn server(&self) -> Option<&Process> {
        self.processes.iter().find(|process| matches!(command::recognise(&process.command), Some((_, Role::Server))))
    }
}

impl Evidence for Processes {
    const KIND: &'static str = "processes";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        parse_json(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(commands: &[&str]) -> Processes {
        let process =
            |command: &&str| Process { command: command.split(' ').map(str::to_owned).collect(), ..Process::default() };
        Processes { processes: commands.iter().map(process).collect() }
    }

    #[test]
    fn settings_come_from_whoever_was_given_them() {
        let launcher = "java -Dcli.name=server org.elasticsearch.launcher.CliToolLauncher -Ehttp.port=9201";
        let child = "java --module-path /l -m org.elasticsearch.server/org.elasticsearch.bootstrap.Elasticsearch";
        assert_eq!(running(&[launcher, child]).settings().unwrap(), ["http.port=9201"]);
        assert_eq!(running(&[child]).settings(), None);
        assert_eq!(running(&[]).settings(), None);
        let one = "java org.opensearch.bootstrap.OpenSearch -E cluster.name=a";
        assert_eq!(running(&[one]).settings().unwrap(), ["cluster.name=a"]);
        assert!(running(&[launcher, child]).server().unwrap().command.contains(&"-m".to_owned()));
    }
}
