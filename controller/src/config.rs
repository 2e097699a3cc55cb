//! `/etc/dialtone/controller.yaml`.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common_plan::{Action, Carrier};
use controller_cloud::AwsConfig;
use controller_remedy::plan::Terms;
use serde::{Deserialize, Serialize};

use crate::audit::settings::AuditExport;
use crate::watch::settings::{Incidents, Unwatchable};

/// Where the configuration is unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/dialtone/controller.yaml";
/// Where the state is unless told otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/dialtone-controller";

/// The configuration. Every key may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port for agents and operators, for example `[::]:7443` (IPv6 and IPv4).
    pub listen: String,
    /// The CA and the store.
    pub state_dir: PathBuf,
    /// Host names and addresses that stand in the controller's certificate.
    pub names: Vec<String>,
    /// Seconds a certificate is good for.
    pub certificate_seconds: u64,
    /// Milliseconds a diagnosis waits for agents to read their sources again.
    pub refresh_ms: u32,
    /// How endpoints are watched.
    pub incidents: Incidents,
    /// Where the audit log goes, too.
    pub audit: AuditExport,
    /// How many persons have to approve plans that the controller carries out itself, by their action; one where nothing is said.
    pub approvals: BTreeMap<Action, u8>,
    /// How long plans are good for.
    pub plans: Terms,
    /// How the engines' own API is asked, for rolling restarts.
    pub engine_api: EngineApiConfig,
    /// The cloud the nodes are in, which the controller then asks what is in front of them.
    pub cloud: CloudConfig,
}

/// Clouds the nodes are in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudConfig {
    /// Amazon's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsConfig>,
}

/// `engine_api` in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineApiConfig {
    /// A file that says who the controller is to which cluster, and whom to trust; none: nobody in particular.
    pub credentials: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "[::]:7443".to_owned(),
            state_dir: PathBuf::from(DEFAULT_STATE_DIR),
            names: Vec::new(),
            certificate_seconds: 86_400,
            refresh_ms: 400,
            engine_api: EngineApiConfig::default(),
            incidents: Incidents::default(),
            audit: AuditExport::default(),
            approvals: BTreeMap::new(),
            cloud: CloudConfig::default(),
            plans: Terms::default(),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is none.
    #[error("there is no {}: run dialtone-controller init first", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("cannot read {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// Not the YAML it should be.
    #[error("{} is not a valid configuration", .0.display())]
    Yaml(PathBuf, #[source] serde_yaml::Error),
    /// The validity is too short to renew in, or too long to mean anything.
    #[error("certificate_seconds is {0}: give 10 to 2592000")]
    Validity(u64),
    /// What is to be watched cannot be, or not like this.
    #[error("incidents")]
    Incidents(#[from] Unwatchable),
    /// Nobody would have to approve, or the nodes decide.
    #[error("approvals: {0}: {1}")]
    Approvals(Action, &'static str),
    /// Plans would be over before anybody could read them, or stay on trial for longer than anybody waits.
    #[error("plans: {0} is {1}: give {first} to {last}", first = .2.start(), last = .2.end())]
    Terms(&'static str, u32, RangeInclusive<u32>),
}

impl Config {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ConfigError::Missing(path.to_owned()),
            _ => ConfigError::Io(path.to_owned(), source),
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        // An empty document is null, not a mapping.
        let config: Option<Self> =
            serde_yaml::from_str(text).map_err(|source| ConfigError::Yaml(path.to_owned(), source))?;
        let config = config.unwrap_or_default();
        if !(10..=2_592_000).contains(&config.certificate_seconds) {
            return Err(ConfigError::Validity(config.certificate_seconds));
        }
        config.incidents.check()?;
        for (action, persons) in &config.approvals {
            if action.carrier() == Carrier::Node {
                return Err(ConfigError::Approvals(*action, "each node's own policy.yaml says how many approve it"));
            }
            if *persons == 0 {
                return Err(ConfigError::Approvals(*action, "at least one person has to approve"));
            }
        }
        match config.plans.out_of_bounds() {
            Some((name, value, bounds)) => Err(ConfigError::Terms(name, value, bounds)),
            None => Ok(config),
        }
    }

    /// The directory of the CA's certificate and key.
    pub fn ca_dir(&self) -> PathBuf {
        self.state_dir.join("ca")
    }

    /// The directory of the store.
    pub fn store_dir(&self) -> PathBuf {
        self.state_dir.join("store")
    }

    /// How long a certificate is good for.
    pub fn validity(&self) -> Duration {
        Duration::from_secs(self.certificate_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("controller.yaml"))
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        assert_eq!(parse("").unwrap(), Config::default());
        let config = parse("listen: 127.0.0.1:1\nnames: [a, 10.0.0.5]\n").unwrap();
        assert_eq!((config.listen.as_str(), config.names.len()), ("127.0.0.1:1", 2));
        assert_eq!(config.validity(), Duration::from_secs(86_400));
    }

    #[test]
    fn who_approves_what_nodes_do_is_not_for_the_controller_to_say() {
        let error = parse("approvals: {sysctl-set: 2}\n").unwrap_err();
        assert!(error.to_string().contains("policy.yaml"), "{error}");
    }

    #[test]
    fn a_cloud_is_a_region_and_where_the_credentials_are() {
        let config = parse("cloud: {aws: {region: eu-central-1, credentials_file: /etc/dialtone/aws}}\n").unwrap();
        assert_eq!(config.cloud.aws.unwrap().region.as_str(), "eu-central-1");
        assert!(parse("cloud: {aws: {region: 'http://x'}}\n").is_err());
        assert!(parse("cloud: {aws: {region: eu-central-1, secret: x}}\n").is_err());
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = parse("listn: x\n").unwrap_err();
        let ConfigError::Yaml(_, source) = error else { panic!("{error:?}") };
        assert!(source.to_string().contains("listn"), "{source}");
        assert!(matches!(parse("certificate_seconds: 1\n"), Err(ConfigError::Validity(1))));
        let error = parse("plans: {prove_seconds: 5}\n").unwrap_err();
        assert_eq!(error.to_string(), "plans: prove_seconds is 5: give 10 to 900");
        assert_eq!(parse("plans: {valid_seconds: 60}\n").unwrap().plans.prove_seconds, 60);
    }
}
