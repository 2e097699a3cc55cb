//! An engine on a node, and where its things are.

use common_model::probe::Product;
use serde::{Deserialize, Serialize};

/// One Elasticsearch or OpenSearch instance found on a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineRef {
    /// Unique on its node: the unit without `.service`, else the product, else product and process id.
    pub name: String,
    /// Which product; none only in a default value.
    pub product: Option<Product>,
    /// Its systemd unit, with `.service`.
    pub unit: Option<String>,
    /// Its package's name, where a package manager knows one.
    pub package: Option<String>,
    /// Its version, from the package or the jar's name.
    pub version: Option<String>,
    /// Directory of `elasticsearch.yml` or `opensearch.yml`.
    pub config_dir: String,
    /// Home directory, where known.
    pub home: Option<String>,
    /// The engine's own log file for this configuration, where it can be told.
    pub log_file: Option<String>,
    /// Process ids running it now, the one that owns the sockets last.
    pub pids: Vec<u32>,
    /// `-E` settings of its unit's command line, each `key=value`, secrets removed; without a unit, those of its process.
    /// What a unit's process was started with may differ and is in the evidence of its processes.
    pub arguments: Vec<String>,
    /// What showed that it is there: `unit`, `package`, `process`, `config`.
    pub found_by: Vec<String>,
}

impl EngineRef {
    /// Path of the engine's yml.
    pub fn config_file(&self) -> String {
        let slug = self.product.map_or("elasticsearch", Product::slug);
        format!("{}/{slug}.yml", self.config_dir.trim_end_matches('/'))
    }
}
