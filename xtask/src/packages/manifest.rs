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
    /// The folder it was read from.
    #[serde(skip)]
    pub(crate) folder: PathBuf,
}

impl Manifest {
    /// Reads the manifest of one folder of `deploy/`.
    pub(crate) fn read(part: &str) -> anyhow::Result<Manifest> {
        let folder = workspace::root().join("deploy").join(part);
        let manifest: Manifest = serde_yaml::from_str(&std::fs::read_to_string(folder.join("package.yaml"))?)?;
        Ok(Manifest { folder, ..manifest })
    }
}
