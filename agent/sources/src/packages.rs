//! Versions of the engines' packages, from dpkg's own file or from rpm.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use common_evidence::collectors::engines::{PACKAGES, Package};
use common_evidence::source::Program;

use crate::command;
use crate::root::Root;

const DPKG_STATUS: &str = "/var/lib/dpkg/status";
/// The databases of rpm: today's, and those of older releases.
const RPM_DATABASES: [&str; 4] = [
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/Packages.db",
    "/var/lib/rpm/Packages",
];
/// Bytes read of dpkg's file, which has a few megabytes on a large host.
const STATUS_CAP: u64 = 64 * 1024 * 1024;
const RPM_TIMEOUT: Duration = Duration::from_secs(10);

/// The packages, read again only when the package manager's database changed.
#[derive(Debug, Default)]
pub(crate) struct PackageReader {
    dpkg: Cached,
    rpm: Cached,
}

/// Size and modification time of a database, and what was in it.
#[derive(Debug, Default)]
struct Cached {
    print: Option<(u64, i64, i64)>,
    packages: Vec<Package>,
}

impl PackageReader {
    /// The engine packages that are installed, and what could not be searched.
    pub(crate) async fn read(&mut self, root: &Root) -> (Vec<Package>, Vec<String>) {
        let mut problems = Vec::new();
        let print = print(root, DPKG_STATUS);
        if self.dpkg.print != print {
            let root = root.clone();
            let read = tokio::task::spawn_blocking(move || print.map_or(Ok(Vec::new()), |_| dpkg(&root)));
            match read.await.map_err(|error| error.to_string()).flatten() {
                Ok(packages) => self.dpkg = Cached { print, packages },
                Err(problem) => problems.push(problem),
            }
        }
        let print = RPM_DATABASES.iter().find_map(|path| self::print(root, path));
        if self.rpm.print != print {
            match rpm(print.is_some()).await {
                Ok(packages) => self.rpm = Cached { print, packages },
                Err(problem) => problems.push(problem),
            }
        }
        ([&self.dpkg.packages[..], &self.rpm.packages[..]].concat(), problems)
    }
}

fn print(root: &Root, path: &str) -> Option<(u64, i64, i64)> {
    let metadata = root.at(path).metadata().ok()?;
    Some((metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}

fn dpkg(root: &Root) -> Result<Vec<Package>, String> {
    let (file, _) = root.open(DPKG_STATUS).map_err(|error| format!("{DPKG_STATUS}: {error}"))?;
    Ok(parse_status(BufReader::new(file.take(STATUS_CAP))))
}

/// Paragraphs of `Field: value` lines, an empty line between them.
fn parse_status(mut reader: BufReader<impl Read>) -> Vec<Package> {
    let mut packages = Vec::new();
    let (mut name, mut version, mut installed) = (String::new(), String::new(), false);
    let mut line = Vec::new();
    loop {
        line.clear();
        let len = reader.read_until(b'\n', &mut line).unwrap_or(0);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.is_empty() {
            if installed && PACKAGES.contains(&name.as_str()) {
                packages.push(Package { name: std::mem::take(&mut name), version: std::mem::take(&mut version) });
            }
            installed = false;
        } else if let Some(value) = text.strip_prefix("Package: ") {
            value.clone_into(&mut name);
        } else if let Some(value) = text.strip_prefix("Version: ") {
            value.clone_into(&mut version);
        } else if let Some(value) = text.strip_prefix("Status: ") {
            installed = value.ends_with(" installed");
        }
        if len == 0 {
            return packages;
        }
    }
}

async fn rpm(database: bool) -> Result<Vec<Package>, String> {
    if !database {
        return Ok(Vec::new());
    }
    let mut args: Vec<String> =
        ["-qa", "--queryformat", "%{NAME}\\t%{VERSION}-%{RELEASE}\\n"].map(str::to_owned).to_vec();
    args.extend(PACKAGES.iter().map(|name| (*name).to_owned()));
    let output =
        command::output(Program::Rpm, &args, RPM_TIMEOUT, 64 * 1024).await.map_err(|failure| failure.message)?;
    let text = String::from_utf8_lossy(&output);
    let packages = text.lines().filter_map(|line| line.split_once('\t'));
    Ok(packages.map(|(name, version)| Package { name: name.to_owned(), version: version.to_owned() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn installed_engines_are_found_and_removed_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().to_owned());
        let mut reader = PackageReader::default();
        assert_eq!(reader.read(&root).await, (Vec::new(), Vec::new()));
        std::fs::create_dir_all(dir.path().join("var/lib/dpkg")).unwrap();
        let status = "Package: bash\nStatus: install ok installed\nVersion: 5.2\n\n\
                      Package: opensearch\nStatus: deinstall ok config-files\nVersion: 2.1\n\n\
                      Package: elasticsearch\nStatus: install ok installed\nDescription: x\n Package: y\nVersion: 8.18.0\n";
        std::fs::write(dir.path().join("var/lib/dpkg/status"), status).unwrap();
        let (packages, problems) = reader.read(&root).await;
        assert_eq!(packages, [Package { name: "elasticsearch".into(), version: "8.18.0".into() }]);
        assert_eq!(problems, Vec::<String>::new());
    }
}
