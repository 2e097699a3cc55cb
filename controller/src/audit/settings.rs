//! What `controller.yaml` says of the audit log.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where every entry goes besides the controller's own store. Only this file says so: nobody who reaches the API can turn it off.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditExport {
    /// Appended to this file, one JSON object a line.
    pub file: Option<PathBuf>,
    /// Sent to the local syslog or journal, facility authpriv.
    pub syslog: bool,
}
