//! `/etc/dialtone/agent.yaml`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use common_model::NodeName;
use serde::{Deserialize, Serialize};

/// Where the configuration is unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/dialtone/agent.yaml";

/// The file's settings; one that is not known is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// The controller, `HOST` or `HOST:PORT`.
    pub controller: String,
    /// This node's name, which `join` writes down for the actuator: it takes plans for no other node, whoever signed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// Where key, certificate and queue are kept.
    #[serde(default = "default_state_dir")]
    pub state_dir: PathBuf,
    /// Mebibytes that evidence may take on disk while the controller cannot be reached.
    #[serde(default = "default_spool_mib")]
    pub spool_mib: u32,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is none.
    #[error("there is no {}: run `dialtone-agent join HOST:PORT --token T --ca-pin sha256:…` first", .0.display())]
    Missing(PathBuf),
    /// The system said no.
    #[error("cannot access {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// It is not what it should be.
    #[error("{} is not valid", .0.display())]
    Invalid(PathBuf, #[source] serde_yaml::Error),
}

impl ConfigFile {
    /// The settings of a node that joined this controller under this name, the rest as it comes.
    pub fn new(controller: String, node: NodeName) -> Self {
        Self { controller, node: Some(node), state_dir: default_state_dir(), spool_mib: default_spool_mib() }
    }

    /// Reads the file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ConfigError::Missing(path.to_owned()),
            _ => ConfigError::Io(path.to_owned(), error),
        })?;
        serde_yaml::from_str(&text).map_err(|error| ConfigError::Invalid(path.to_owned(), error))
    }

    /// Where key and certificate are kept.
    pub fn credentials_dir(&self) -> PathBuf {
        self.state_dir.join("credentials")
    }

    /// Bytes for the queue.
    pub fn spool_quota(&self) -> u64 {
        u64::from(self.spool_mib) * 1024 * 1024
    }
}

fn default_state_dir() -> PathBuf {
    PathBuf::from("/var/lib/dialtone-agent")
}

fn default_spool_mib() -> u32 {
    64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<ConfigFile, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        ConfigFile::load(file.path())
    }

    #[test]
    fn the_controller_is_enough_and_a_typing_error_is_told() {
        let joined = ConfigFile::new("c:7443".into(), "es-1".parse().unwrap());
        assert_eq!(load("controller: c:7443\nnode: es-1\n").unwrap(), joined);
        // As written before nodes had their name in it.
        assert_eq!(load("controller: c:7443\n").unwrap(), ConfigFile { node: None, ..joined });
        let error = load("controller: c\nspool_mb: 3\n").unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("spool_mb"), "{source}");
        let missing = ConfigFile::load(Path::new("/no/such/agent.yaml")).unwrap_err().to_string();
        assert!(missing.contains("dialtone-agent join"), "{missing}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let config = ConfigFile {
            controller: "[::1]:1".into(),
            node: Some("es-1".parse().unwrap()),
            state_dir: "/a b".into(),
            spool_mib: 7,
        };
        assert_eq!(load(&serde_yaml::to_string(&config).unwrap()).unwrap(), config);
    }
}
