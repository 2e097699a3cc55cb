//! Definitions of the services that may be an engine's.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use common_evidence::collectors::engines::{UNIT_DIRS, UnitFile, mentions_engine};

use crate::root::Root;

/// Bytes read of a unit's file or drop-in.
const CAP: usize = 64 * 1024;

/// The services whose definition mentions an engine, and those named `running`; with what could not be searched.
pub(crate) fn read(root: &Root, running: &BTreeSet<String>) -> (Vec<UnitFile>, Vec<String>) {
    let mut problems = Vec::new();
    let listed = list(root, &mut problems);
    let mut names: BTreeSet<String> = listed.files.keys().filter(|name| !name.contains("@.")).cloned().collect();
    names.extend(listed.instances.iter().cloned());
    names.extend(running.iter().cloned());
    let units = names.into_iter().filter_map(|name| {
        let text = definition(root, &listed, &name)?;
        (running.contains(&name) || mentions_engine(&text)).then_some(UnitFile { name, text })
    });
    (units.collect(), problems)
}

/// What stands in the directories of units.
#[derive(Default)]
struct Listed {
    /// The file of each service, the one that wins.
    files: BTreeMap<String, String>,
    /// Drop-in files by the directory's name (`elasticsearch.service.d`), then by their own, the one that wins.
    drop_ins: BTreeMap<String, BTreeMap<String, String>>,
    /// Instances of templates that something wants started.
    instances: BTreeSet<String>,
}

fn list(root: &Root, problems: &mut Vec<String>) -> Listed {
    let mut listed = Listed::default();
    for dir in UNIT_DIRS {
        let names = match root.names(dir) {
            Ok(names) => names,
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    problems.push(format!("{dir}: {error}"));
                }
                continue;
            }
        };
        for name in names {
            let path = format!("{dir}/{name}");
            if name.ends_with(".service.d") {
                let drop_ins = listed.drop_ins.entry(name).or_default();
                for file in root.names(&path).unwrap_or_default().into_iter().filter(|file| file.ends_with(".conf")) {
                    drop_ins.entry(file.clone()).or_insert_with(|| format!("{path}/{file}"));
                }
            } else if name.ends_with(".wants") || name.ends_with(".requires") {
                let wanted = root.names(&path).unwrap_or_default();
                listed
                    .instances
                    .extend(wanted.into_iter().filter(|unit| unit.ends_with(".service") && template(unit).is_some()));
            } else if name.ends_with(".service") && !is_alias(root, &path, &name) && root.at(&path).is_file() {
                listed.files.entry(name).or_insert(path);
            }
        }
    }
    listed
}

/// True for a link to a unit of another name.
fn is_alias(root: &Root, path: &str, name: &str) -> bool {
    let target = std::fs::read_link(root.at(path)).ok();
    target
        .as_deref()
        .and_then(Path::file_name)
        .is_some_and(|target| target != name && target.to_string_lossy().ends_with(".service"))
}

/// `elasticsearch@.service` for `elasticsearch@a.service`.
fn template(name: &str) -> Option<String> {
    let (before, instance) = name.split_once('@')?;
    (instance != ".service").then(|| format!("{before}@.service"))
}

/// Text of the file, then of the drop-ins.
fn definition(root: &Root, listed: &Listed, name: &str) -> Option<String> {
    let template = template(name);
    let file = listed.files.get(name).or_else(|| listed.files.get(template.as_ref()?))?;
    let mut drop_ins = BTreeMap::new();
    for unit in template.iter().map(String::as_str).chain([name]) {
        drop_ins.extend(listed.drop_ins.get(&format!("{unit}.d")).into_iter().flatten());
    }
    let mut text = read_text(root, file)?;
    for path in drop_ins.values() {
        text.push('\n');
        text.push_str(&read_text(root, path).unwrap_or_default());
    }
    Some(text)
}

fn read_text(root: &Root, path: &str) -> Option<String> {
    let (bytes, _) = root.read(path, CAP).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn write(dir: &Path, path: &str, text: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn winning_files_drop_ins_instances_and_running_units() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().to_owned());
        let d = dir.path();
        write(d, "usr/lib/systemd/system/elasticsearch.service", "[Service]\nExecStart=/usr/share/elasticsearch/bin/x");
        write(d, "etc/systemd/system/elasticsearch.service.d/override.conf", "LimitNOFILE=1");
        write(d, "usr/lib/systemd/system/elasticsearch.service.d/override.conf", "LimitNOFILE=2");
        write(d, "usr/lib/systemd/system/es@.service", "ExecStart=/opt/elasticsearch-%i/bin/elasticsearch");
        fs::create_dir_all(d.join("etc/systemd/system/multi-user.target.wants")).unwrap();
        symlink(
            "/usr/lib/systemd/system/es@.service",
            d.join("etc/systemd/system/multi-user.target.wants/es@a.service"),
        )
        .unwrap();
        symlink("/usr/lib/systemd/system/elasticsearch.service", d.join("etc/systemd/system/search.service")).unwrap();
        symlink("/dev/null", d.join("etc/systemd/system/elasticsearch.service")).unwrap();
        write(d, "etc/systemd/system/mine.service", "ExecStart=/opt/run.sh");
        write(d, "etc/systemd/system/cron.service", "ExecStart=/usr/sbin/cron");
        let (units, problems) = read(&root, &BTreeSet::from(["mine.service".to_owned(), "gone.service".to_owned()]));
        assert_eq!(problems, Vec::<String>::new());
        let names: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names, ["elasticsearch.service", "es@a.service", "mine.service"]);
        assert!(units[0].text.ends_with("\nLimitNOFILE=1"), "{}", units[0].text);
    }
}
