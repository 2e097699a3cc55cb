//! The user's configuration, and where the credentials for each controller lie.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use common_tls::dial::DEFAULT_PORT;
use common_tls::files::write_atomic;
use serde::{Deserialize, Serialize};

/// What `config.yaml` holds.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The controller that is asked: `HOST:PORT`. Without one, everything runs in this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) controller: Option<String>,
}

/// Where configuration and credentials are.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    file: PathBuf,
    /// Whether the user named the file, so that it must be there.
    named: bool,
}

impl Location {
    /// The file given, or `config.yaml` in the user's configuration directory.
    pub(crate) fn find(given: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(file) = given {
            return Ok(Self { file: file.to_owned(), named: true });
        }
        let directory =
            user_directory("XDG_CONFIG_HOME", ".config").context("neither HOME nor XDG_CONFIG_HOME is set")?;
        Ok(Self { file: directory.join("dialtone/config.yaml"), named: false })
    }

    /// Reads the configuration; none is an empty one, unless the user named the file.
    pub(crate) fn read(&self) -> anyhow::Result<Config> {
        let file = self.file.display();
        match std::fs::read_to_string(&self.file) {
            Ok(text) if text.trim().is_empty() => Ok(Config::default()),
            Ok(text) => serde_yaml::from_str(&text).with_context(|| format!("{file} is not a valid configuration")),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.named => Ok(Config::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {file}")),
        }
    }

    /// Changes the configuration, making file and directory for the user alone where they are missing.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Config)) -> anyhow::Result<()> {
        let mut config = Self { named: false, ..self.clone() }.read()?;
        change(&mut config);
        let text = serde_yaml::to_string(&config)?;
        if let Some(directory) = self.file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            make_private(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        write_atomic(&self.file, text.as_bytes(), 0o600)
            .with_context(|| format!("cannot write {}", self.file.display()))
    }

    /// The key that its user approves plans with.
    pub(crate) fn approval_key(&self) -> PathBuf {
        self.directory().join("approval.key")
    }

    fn directory(&self) -> &Path {
        self.file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The directory with the credentials for the controller at `address`.
    pub(crate) fn credentials(&self, address: &str) -> PathBuf {
        let default = format!(":{DEFAULT_PORT}");
        let address = address.strip_suffix(&default).unwrap_or(address);
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
        // The trailing word keeps `.` and `..` from being names of directories.
        let name = format!("{}_credentials", address.chars().map(safe).collect::<String>());
        self.directory().join(name)
    }
}

/// The directory an XDG variable names, or its default below the home directory.
pub(crate) fn user_directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set(variable).filter(|path| path.is_absolute()).or_else(|| set("HOME").map(|home| home.join(below_home)))
}

/// Makes a directory, and those above it, for the user alone.
pub(crate) fn make_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: PathBuf) -> Location {
        Location { file, named: false }
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let location = at(directory.path().join("a/config.yaml"));
        assert_eq!(location.read().unwrap(), Config::default());
        location.update(|config| config.controller = Some("controller.example:7443".to_owned())).unwrap();
        assert_eq!(location.read().unwrap().controller.as_deref(), Some("controller.example:7443"));
    }

    #[test]
    fn a_broken_configuration_is_named_with_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.yaml");
        std::fs::write(&file, "contoller: x\n").unwrap();
        let error = format!("{:#}", at(file.clone()).read().unwrap_err());
        assert!(error.contains("config.yaml") && error.contains("contoller"), "{error}");
        std::fs::remove_file(&file).unwrap();
        assert!(Location { file, named: true }.read().is_err());
    }

    #[test]
    fn each_controller_has_its_own_credentials() {
        let location = at("/c/config.yaml".into());
        assert_eq!(location.credentials("a.example"), location.credentials("a.example:7443"));
        assert_eq!(location.credentials("[::1]:1"), Path::new("/c/___1__1_credentials"));
        assert_eq!(location.credentials(".."), Path::new("/c/.._credentials"));
    }
}
