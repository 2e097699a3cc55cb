//! Who the controller is to a cluster: a file of the administrator's, read whenever it is needed.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// The file: a cluster's name, or `*` for every other, and who the controller is to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    clusters: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    username: Option<String>,
    password: Option<String>,
    api_key: Option<String>,
    ca: Option<PathBuf>,
    #[serde(default)]
    over_plain_http: bool,
}

/// Who asks a cluster.
#[derive(Clone)]
pub(crate) struct Access {
    /// The value of the header `Authorization`, if any.
    pub(super) authorization: Option<String>,
    /// The CA the cluster's certificates have to be of.
    pub(super) ca_pem: Option<String>,
    /// Whether the credentials may go over a connection that anybody on the way can read.
    pub(super) over_plain_http: bool,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

/// Credentials that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// A file cannot be read.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// Anybody may read it.
    #[error("everybody may read {}: chmod 600 it", .0.display())]
    Open(PathBuf),
    /// Not what it should be. The text is not repeated: it holds secrets.
    #[error("{} is not valid{}", .0.display(), .1)]
    Invalid(PathBuf, String),
    /// The endpoint speaks plain HTTP.
    #[error("{0} speaks plain HTTP and is not sent credentials, unless the file of them says over_plain_http: true")]
    PlainHttp(String),
    /// The endpoint speaks TLS, and whom to trust is not said.
    #[error("{0} speaks TLS, and whom to trust is not said: give ca in the file of engine_api.credentials")]
    NoCa(String),
}

impl Access {
    /// What the file says of a cluster; none where it says nothing.
    pub(crate) fn read(path: &Path, cluster: &str) -> Result<Option<Self>, AccessError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| AccessError::Io(path, error)
        };
        let meta = std::fs::metadata(path).map_err(io(path))?;
        if meta.permissions().mode() & 0o007 != 0 {
            return Err(AccessError::Open(path.to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(io(path))?;
        let invalid = |why: String| AccessError::Invalid(path.to_owned(), why);
        let place =
            |error: serde_yaml::Error| error.location().map(|at| format!(" (line {})", at.line())).unwrap_or_default();
        let File { mut clusters } = serde_yaml::from_str(&text).map_err(|error| invalid(place(error)))?;
        let Some(entry) = clusters.remove(cluster).or_else(|| clusters.remove("*")) else { return Ok(None) };
        let authorization = match (entry.username, entry.password, entry.api_key) {
            (Some(user), Some(password), None) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            (None, None, Some(key)) => Some(format!("ApiKey {key}")),
            (None, None, None) => None,
            _ => return Err(invalid(format!(": give {cluster} username and password, or api_key"))),
        };
        let ca_pem = match &entry.ca {
            Some(ca) => Some(std::fs::read_to_string(ca).map_err(io(ca))?),
            None => None,
        };
        Ok(Some(Self { authorization, ca_pem, over_plain_http: entry.over_plain_http }))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    fn read(text: &str, mode: u32) -> Result<Option<Access>, AccessError> {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine-api.yaml");
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Access::read(&path, "logs")
    }

    #[test]
    fn a_clusters_own_entry_counts_before_that_of_all() {
        let own = read("clusters: {logs: {username: a, password: b}, '*': {api_key: k}}", 0o600).unwrap().unwrap();
        assert_eq!(own.authorization.as_deref(), Some("Basic YTpi"));
        let all = read("clusters: {other: {username: a, password: b}, '*': {api_key: k}}", 0o640).unwrap().unwrap();
        assert_eq!(all.authorization.as_deref(), Some("ApiKey k"));
        assert!(read("clusters: {other: {api_key: k}}", 0o600).unwrap().is_none());
    }

    #[test]
    fn a_file_that_everybody_reads_or_that_is_not_valid_is_refused_without_repeating_it() {
        assert!(matches!(read("clusters: {}", 0o644), Err(AccessError::Open(_))));
        for bad in
            ["clusters: {logs: {password: hunter2}}", "clusters: {logs: {pasword: hunter2}}", "clusters: [hunter2]"]
        {
            let error = read(bad, 0o600).unwrap_err().to_string();
            assert!(error.contains("is not valid") && !error.contains("hunter2"), "{error}");
        }
        let access = read("clusters: {logs: {api_key: hunter2}}", 0o600).unwrap().unwrap();
        assert!(!format!("{access:?}").contains("hunter2"));
    }
}
