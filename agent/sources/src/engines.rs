//! Gathering the facts in which engines are found.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use common_evidence::collectors::engines::{EngineProcess, Facts, FileFact, Package, discover, is_engine, wanted};
use common_model::Failure;

use crate::clock::BootClock;
use crate::failure::json;
use crate::root::Root;
use crate::{proc, units};

/// Bytes read of a configuration or environment file.
const FILE_CAP: usize = 512 * 1024;
/// How often what was read may name more to read.
const ROUNDS: usize = 8;
/// A launcher becomes the engine by `exec` within this time of its start.
const SETTLED: Duration = Duration::from_secs(60);
/// A process id may name another process by now.
const FORGET: Duration = Duration::from_secs(300);

/// Finds engines; remembers the processes that are none, so that a busy host's are not all read every time.
#[derive(Debug, Default)]
pub(crate) struct Searcher {
    others: BTreeMap<u32, Instant>,
    forgotten: Option<Instant>,
}

impl Searcher {
    /// The body of `Source::Engines`.
    pub(crate) fn body(
        &mut self,
        root: &Root,
        boot: &BootClock,
        packages: Vec<Package>,
        mut problems: Vec<String>,
    ) -> Result<Vec<u8>, Failure> {
        let processes = self.processes(root, boot, &mut problems);
        let running: BTreeSet<String> = processes.iter().filter_map(|process| process.unit.clone()).collect();
        let (units, more) = units::read(root, &running);
        problems.extend(more);
        let mut facts = Facts { units, packages, processes, problems, ..Facts::default() };
        for _ in 0..ROUNDS {
            let wanted = wanted(&facts);
            if wanted.is_empty() {
                break;
            }
            facts.files.extend(wanted.files.into_iter().map(|path| (path.clone(), file(root, &path))));
            for path in wanted.listings {
                let names = root.names(&path).unwrap_or_else(|error| {
                    if error.kind() != ErrorKind::NotFound {
                        facts.problems.push(format!("{path}: {error}"));
                    }
                    Vec::new()
                });
                facts.listings.insert(path, names);
            }
        }
        json(&discover(&facts))
    }

    fn processes(&mut self, root: &Root, boot: &BootClock, problems: &mut Vec<String>) -> Vec<EngineProcess> {
        let now = Instant::now();
        if self.forgotten.is_none_or(|at| now.duration_since(at) > FORGET) {
            self.others.clear();
            self.forgotten = Some(now);
        }
        let pids = match proc::pids(root) {
            Ok(pids) => pids,
            Err(error) => {
                problems.push(format!("/proc: {error}"));
                return Vec::new();
            }
        };
        if !pids.contains(&1) {
            problems.push("/proc hides the processes of other users (hidepid)".to_owned());
        }
        let present: BTreeSet<u32> = pids.iter().copied().collect();
        self.others.retain(|pid, _| present.contains(pid));
        let mut engines = Vec::new();
        for pid in pids {
            if self.others.get(&pid).is_some_and(|seen| now.duration_since(*seen) > SETTLED) {
                continue;
            }
            // A process that ends meanwhile is none.
            match proc::command(root, pid) {
                Ok(command) if is_engine(&command) => engines.extend(engine(root, boot, pid, command)),
                Ok(_) => {
                    self.others.entry(pid).or_insert(now);
                }
                Err(_) => {}
            }
        }
        engines
    }
}

fn engine(root: &Root, boot: &BootClock, pid: u32, command: Vec<String>) -> Option<EngineProcess> {
    let stat = proc::stat(root, pid).ok()?;
    let status = proc::status(root, pid).ok()?;
    Some(EngineProcess {
        pid,
        parent: stat.parent,
        uid: status.uid,
        started_at_ms: stat.started_at_ms(boot),
        command,
        unit: proc::unit(root, pid),
        container: status.container,
    })
}

fn file(root: &Root, path: &str) -> FileFact {
    match root.read(path, FILE_CAP) {
        Ok((bytes, _)) => FileFact::Text(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => FileFact::Missing,
        Err(error) => FileFact::Unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common_evidence::collectors::engines::Engines;
    use std::fs;

    #[test]
    fn an_engine_is_found_by_its_unit_configuration_and_process() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().to_owned());
        for (path, text) in [
            (
                "usr/lib/systemd/system/elasticsearch.service",
                "[Service]\nUser=elasticsearch\nEnvironment=ES_PATH_CONF=/etc/elasticsearch\nEnvironment=ES_HOME=/usr/share/elasticsearch\nExecStart=/usr/share/elasticsearch/bin/systemd-entrypoint -p x\n",
            ),
            ("etc/elasticsearch/elasticsearch.yml", "network.host: 0.0.0.0\n"),
            ("proc/1/cmdline", "/sbin/init\0"),
            (
                "proc/40/cmdline",
                "/usr/share/elasticsearch/jdk/bin/java\0-Des.path.home=/usr/share/elasticsearch\0-Des.path.conf=/etc/elasticsearch\0org.elasticsearch.bootstrap.Elasticsearch\0",
            ),
            ("proc/40/cgroup", "0::/system.slice/elasticsearch.service\n"),
            ("proc/40/status", "Name:\tjava\nUid:\t1\t107\t107\t107\nNSpid:\t40\n"),
            ("proc/40/stat", &format!("40 (java) S 1{} 900 0", " 0".repeat(17))),
        ] {
            fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            fs::write(dir.path().join(path), text).unwrap();
        }
        let mut searcher = Searcher::default();
        let read = |searcher: &mut Searcher| -> Engines {
            serde_json::from_slice(&searcher.body(&root, &BootClock::Fixed(0), Vec::new(), Vec::new()).unwrap())
                .unwrap()
        };
        let found = read(&mut searcher);
        assert_eq!(found.problems, Vec::<String>::new());
        assert_eq!(found.engines.len(), 1, "{found:?}");
        let engine = &found.engines[0];
        assert_eq!((engine.unit.as_deref(), engine.pids.as_slice()), (Some("elasticsearch.service"), &[40][..]));
        fs::remove_dir_all(dir.path().join("proc/40")).unwrap();
        assert_eq!(read(&mut searcher).engines[0].pids, Vec::<u32>::new());
    }
}
