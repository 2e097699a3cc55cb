//! Putting approved edits into an engine's own file: which files, which keys, and which never.

use common_yml::{Edit, Key};
use serde::{Deserialize, Serialize};

use crate::names::{ConfigFile, Digest, Label, UnitName};

/// The most edits of one plan.
pub const MAX_EDITS: usize = 32;

/// [`crate::Step::ConfigInstall`]: the file gets exactly these edits, and its engine is restarted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigInstall {
    /// The file.
    pub file: ConfigFile,
    /// What is changed in it.
    pub edits: Vec<Edit>,
    /// What the file holds now, else nothing is done.
    pub from: Digest,
    /// What it holds with the edits made.
    pub to: Digest,
    /// The unit that reads it, restarted.
    pub unit: UnitName,
    /// The `ActiveState` the unit must have, else nothing is done.
    pub state: Label,
}

/// Settings that are never installed by a plan, since an old file put back does not take back what the engine has done by then:
/// where and how it stores, what it is in the cluster, how a cluster is founded, and who may do what.
const NEVER: [&str; 14] = [
    "path",
    "node.roles",
    "node.master",
    "node.data",
    "node.ingest",
    "node.attr",
    "node.store",
    "cluster.name",
    "cluster.initial_master_nodes",
    "cluster.initial_cluster_manager_nodes",
    "index",
    "xpack.security",
    "plugins.security",
    "opendistro_security",
];

impl ConfigInstall {
    /// Every key that is set, taken away or renamed.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.edits.iter().flat_map(|edit| {
            let renamed = match edit {
                Edit::Rename { to, .. } => Some(to),
                Edit::Set { .. } | Edit::Unset { .. } => None,
            };
            std::iter::once(edit.key()).chain(renamed)
        })
    }

    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.edits.is_empty() || self.edits.len() > MAX_EDITS || self.from == self.to {
            return Err("a file gets one to 32 edits, and they change it");
        }
        if self.keys().any(is_never_reverted) {
            return Err("it edits a setting that a plan cannot take back");
        }
        if !matches!(self.state.as_str(), "active" | "inactive" | "failed") {
            return Err("its unit is in between two states");
        }
        Ok(())
    }
}

/// Whether a key is one of those that no plan may touch.
pub fn is_never_reverted(key: &Key) -> bool {
    let key = key.as_str();
    NEVER.iter().any(|never| key.strip_prefix(never).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_taken_back_is_never_edited() {
        let never = |key: &str| is_never_reverted(&key.parse().unwrap());
        for key in [
            "path.data",
            "node.roles",
            "cluster.initial_master_nodes",
            "xpack.security.http.ssl.enabled",
            "node.store.allow_mmap",
        ] {
            assert!(never(key), "{key}");
        }
        for key in ["http.host", "network.host", "discovery.seed_hosts", "pathological.x", "node.name"] {
            assert!(!never(key), "{key}");
        }
    }
}
