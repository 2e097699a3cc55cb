//! The controller's own credentials: from the file it was told, else from the environment, else from the instance it runs on. They
//! are never logged; the types that hold them cannot be printed.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use reqwest::Client;
use serde::Deserialize;

use crate::error::CloudError;

/// Where an instance asks about itself (IMDSv2).
pub(crate) const METADATA: &str = "http://169.254.169.254";
/// For each question there. It answers at once, or nobody is there.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
const SECONDS: &str = "300";
const ROLE: &str = "/latest/meta-data/iam/security-credentials/";

/// From a file in the form of the AWS tools' `credentials`: `[profile]`, then `aws_access_key_id = …` and the others.
pub(crate) fn from_file(path: &Path, profile: &str) -> Result<Credentials, CloudError> {
    let bad = |because: String| CloudError::CredentialsFile { path: path.to_owned(), because };
    let metadata = std::fs::metadata(path).map_err(|error| bad(error.to_string()))?;
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(bad(format!("everybody on this host may use it; chmod 0640 {}", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    parse(&text, profile).map_err(bad)
}

fn parse(text: &str, profile: &str) -> Result<Credentials, String> {
    let mut section = None;
    let mut values = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = Some(name.trim());
        } else if let (Some(name), Some((key, value))) = (section, line.split_once('='))
            && name == profile
        {
            values.insert(key.trim(), value.trim());
        }
    }
    let value = |key: &str| {
        let value = values.get(key).filter(|value| !value.is_empty());
        value.ok_or_else(|| format!("[{profile}] has no {key}")).copied()
    };
    let token = values.get("aws_session_token").map(|token| (*token).to_owned());
    Ok(of(value("aws_access_key_id")?, value("aws_secret_access_key")?, token, None))
}

/// From the variables the AWS tools use.
pub(crate) fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Credentials> {
    let value = |name: &str| variable(name).filter(|value| !value.is_empty());
    let (key, secret) = (value("AWS_ACCESS_KEY_ID")?, value("AWS_SECRET_ACCESS_KEY")?);
    Some(of(&key, &secret, value("AWS_SESSION_TOKEN"), None))
}

/// From the role of the instance this runs on.
pub(crate) async fn from_instance(http: &Client, metadata: &str) -> Result<Credentials, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Role {
        access_key_id: String,
        secret_access_key: String,
        token: String,
        expiration: String,
    }
    let said = |error: reqwest::Error| format!("{metadata} gives none: {}", reason(&error));
    let token =
        http.put(format!("{metadata}/latest/api/token")).header("X-aws-ec2-metadata-token-ttl-seconds", SECONDS);
    let token = token.timeout(METADATA_TIMEOUT).send().await.and_then(reqwest::Response::error_for_status);
    let token = token.map_err(said)?.text().await.map_err(said)?;
    let get = async |path: &str| {
        let asked = http.get(format!("{metadata}{path}")).header("X-aws-ec2-metadata-token", &token);
        let answer = asked.timeout(METADATA_TIMEOUT).send().await.and_then(reqwest::Response::error_for_status);
        answer.map_err(said)?.text().await.map_err(said)
    };
    let roles = get(ROLE).await?;
    let name = roles.lines().next().unwrap_or_default().trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+' | '=' | ',');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("{metadata} names no role of this instance"));
    }
    let role: Role = serde_json::from_str(&get(&format!("{ROLE}{name}")).await?)
        .map_err(|_| format!("{metadata} does not give the credentials of role {name}"))?;
    let expires: jiff::Timestamp =
        role.expiration.parse().map_err(|_| format!("{metadata} does not say when the credentials of {name} end"))?;
    Ok(of(&role.access_key_id, &role.secret_access_key, Some(role.token), Some(expires.into())))
}

fn of(key: &str, secret: &str, token: Option<String>, expires: Option<SystemTime>) -> Credentials {
    Credentials::new(key, secret, token, expires, "dialtone")
}

/// An error of the network with its deepest cause, which says most, and without the URL.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.is_timeout() { "it did not answer in time".to_owned() } else { cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# ours\n[other]\naws_access_key_id=B\n\n[default]\naws_access_key_id = AKIA1\naws_secret_access_key = s=e/c+\n";

    #[test]
    fn a_profile_of_the_file_is_read() {
        let read = parse(FILE, "default").unwrap();
        assert_eq!((read.access_key_id(), read.secret_access_key(), read.session_token()), ("AKIA1", "s=e/c+", None));
        assert_eq!(parse(FILE, "other").unwrap_err(), "[other] has no aws_secret_access_key");
        assert_eq!(parse(FILE, "none").unwrap_err(), "[none] has no aws_access_key_id");
    }

    #[test]
    fn a_file_that_everybody_can_read_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("aws");
        std::fs::write(&path, FILE).unwrap();
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert!(from_file(&path, "default").unwrap_err().to_string().contains("chmod 0640"));
        mode(0o640);
        assert!(from_file(&path, "default").is_ok());
        let missing = from_file(Path::new("/nonexistent/aws"), "default").unwrap_err().to_string();
        assert!(missing.contains("/nonexistent/aws") && missing.contains("No such file"), "{missing}");
    }

    #[test]
    fn nothing_secret_is_printed() {
        assert!(!format!("{:?}", parse(FILE, "default").unwrap()).contains("s=e/c+"));
    }

    #[test]
    fn the_environment_needs_both() {
        let only_key = |name: &str| (name == "AWS_ACCESS_KEY_ID").then(|| "A".to_owned());
        assert!(from_environment(only_key).is_none());
        assert!(from_environment(|name| Some(name.to_owned())).is_some());
    }
}
