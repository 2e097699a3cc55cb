//! What a package is called and says of itself.

use std::path::PathBuf;

use serde::Deserialize;

use crate::workspace;

/// `deploy/<part>/package.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Name of the package, of its binary, and of its unit if it has one.
    pub(crate) name: String,
    /// The crate the binary is in.
    #[serde(rename = "crate")]
    pub(crate) crate_name: String,
    /// One line, without a full stop.
    pub(crate) summary: String,
    /// Lines of at most 78 characters.
    pub(crate) description: String,
    /// Whether it runs as a service, with a unit and a user of its own.
    pub(crate) service: bool,
    /// Programs beside its own, with units and state but without manual pages: people do not call them.
    #[serde(default)]
    pub(crate) helpers: Vec<Program>,
    /// Files of its folder that go to `/etc/dialtone` and are the administrator's from then on.
    #[serde(default)]
    pub(crate) config: Vec<String>,
    /// The folder it was read from.
    #[serde(skip)]
    pub(crate) folder: PathBuf,
}

/// A program and where it is built.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Program {
    /// Of the binary, and of its directory below `/var/lib`.
    pub(crate) name: String,
    /// The crate the binary is in.
    #[serde(rename = "crate")]
    pub(crate) crate_name: String,
}

impl Manifest {
    /// Reads the manifest of one folder of `deploy/`.
    pub(crate) fn read(part: &str) -> anyhow::Result<Manifest> {
        let folder = workspace::root().join("deploy").join(part);
        let manifest: Manifest = serde_yaml::from_str(&std::fs::read_to_string(folder.join("package.yaml"))?)?;
        Ok(Manifest { folder, ..manifest })
    }

    /// Names of its units, in order: the services and sockets of its folder.
    pub(crate) fn units(&self) -> anyhow::Result<Vec<String>> {
        let names = std::fs::read_dir(&self.folder)?.collect::<Result<Vec<_>, _>>()?;
        let names = names.iter().filter_map(|name| name.file_name().into_string().ok());
        let mut units: Vec<String> =
            names.filter(|name| name.ends_with(".service") || name.ends_with(".socket")).collect();
        units.sort();
        Ok(units)
    }
}
