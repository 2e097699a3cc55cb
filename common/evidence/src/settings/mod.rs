//! What an engine's settings come to: which key decides each address and port, and where it is set.
//!
//! Precedence is that of `NetworkService`, `HttpTransportSettings` and `TransportSettings`, the same in all versions but for
//! the differences noted at each chain.

mod logs;
mod resolve;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

pub use logs::log_file;
pub use resolve::{Settings, resolve};
pub use value::Loopback;

/// The settings that decide whether and where an engine can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The HTTP side.
    pub http: Bind,
    /// The transport side, its default profile. Its addresses decide whether bootstrap checks are enforced.
    pub transport: Bind,
    /// Whether HTTP is spoken at all (`http.enabled`, Elasticsearch 6).
    pub http_enabled: Switch,
    /// Whether HTTP is asked to use TLS; see [`Resolved::tls`] for whether it does.
    pub http_ssl: Switch,
    /// Whether the security features are on.
    pub security: Switch,
    /// `discovery.type`.
    pub discovery_type: ResolvedSetting,
    /// `cluster.name`.
    pub cluster_name: ResolvedSetting,
    /// `path.logs`; no values for the default, `logs` in the home directory.
    pub path_logs: ResolvedSetting,
    /// `path.data`; no values for the default, `data` in the home directory.
    pub path_data: ResolvedSetting,
}

/// Addresses and port of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// What it binds to.
    pub bind: ResolvedSetting,
    /// What it tells others to connect to.
    pub publish: ResolvedSetting,
    /// Port, range, or list of both.
    pub port: ResolvedSetting,
}

/// A setting, the key that decided it, and where that key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedSetting {
    /// Its values, the engine's default when nothing sets it.
    pub values: Vec<String>,
    /// The key that decided; for a default the most general key that would have.
    pub setting: String,
    /// Where it stands.
    pub origin: Origin,
}

/// A setting that is on or off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// On or off; none when it cannot be told.
    pub on: Option<bool>,
    /// The key that decided, or would have.
    pub setting: String,
    /// Where it stands.
    pub origin: Origin,
}

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of the engine's yml.
    File {
        /// Path of the file.
        path: String,
        /// Line, from 1.
        line: usize,
    },
    /// `-E` on the command line.
    Argument,
    /// An environment variable of the service, by name; its value is not known here.
    Environment(String),
    /// Nothing sets it.
    Default,
    /// It cannot be told; why.
    Unknown(String),
}

impl Origin {
    /// True when the value in force is known.
    pub fn is_known(&self) -> bool {
        !matches!(self, Origin::Environment(_) | Origin::Unknown(_))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "{path}:{line}"),
            Origin::Argument => f.write_str("argument"),
            Origin::Environment(_) => f.write_str("environment"),
            Origin::Default => f.write_str("default"),
            Origin::Unknown(_) => f.write_str("unknown"),
        }
    }
}

impl Resolved {
    /// Whether HTTP speaks TLS: it has to be asked to, and the security features that do it have to be on.
    pub fn tls(&self) -> Option<bool> {
        match (self.http_ssl.on, self.security.on) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }
}
