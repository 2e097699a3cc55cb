//! Settings whose values are known to hold no secret.

/// Words that make a value secret wherever its key stands.
static SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "private",
    "secure_",
    "auth_key",
];

/// Families of settings that hold addresses, names, paths, numbers and switches.
static PUBLIC_FAMILIES: &[&str] = &[
    "network.",
    "http.",
    "transport.",
    "cluster.",
    "node.",
    "path.",
    "discovery.",
    "bootstrap.",
    "indices.",
    "gateway.",
    "action.",
    "thread_pool.",
    "script.",
    "search.",
    "readiness.",
    "remote_cluster.",
    "remote_cluster_server.",
    "processors",
    "ingest.geoip.",
    "monitor.",
    "aux.transport.",
];

/// In the security features' families only these are public: switches, and paths of files.
static PUBLIC_SECURITY: &[&str] = &[
    "enabled",
    "disabled",
    "key",
    "certificate",
    "certificate_authorities",
    "verification_mode",
    "client_authentication",
    "supported_protocols",
    "cipher_suites",
    "path",
    "type",
    "pemcert_filepath",
    "pemkey_filepath",
    "pemtrustedcas_filepath",
    "keystore_filepath",
    "truststore_filepath",
    "keystore_type",
    "truststore_type",
    "enforce_hostname_verification",
    "resolve_hostname",
    "clientauth_mode",
    "enabled_protocols",
    "enabled_ciphers",
    "nodes_dn",
    "admin_dn",
    "ssl_only",
    "allow_unsafe_democertificates",
    "allow_default_init_securityindex",
    "allow",
    "deny",
];

static SECURITY_FAMILIES: &[&str] = &["xpack.", "plugins.security.", "opendistro_security."];

/// True when the value of this setting may leave the node.
pub(super) fn is_public(key: &str) -> bool {
    let key = key.strip_prefix("force.").unwrap_or(key).to_ascii_lowercase();
    // `network.host.0` is one of a list.
    let key = key.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('.');
    let last = key.rsplit('.').next().unwrap_or(key);
    if matches!(last, "enabled" | "disabled") {
        return true;
    }
    if is_secret(key) || key.starts_with("node.attr.") {
        return false;
    }
    let begins = |families: &[&str]| families.iter().any(|family| key.starts_with(family));
    begins(PUBLIC_FAMILIES) || (begins(SECURITY_FAMILIES) && PUBLIC_SECURITY.contains(&last))
}

/// True when a name says that what it names is secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_diagnosis_needs_is_public() {
        for key in [
            "network.host",
            "http.port",
            "transport.tcp.port",
            "cluster.name",
            "discovery.seed_hosts.0",
            "path.data",
            "bootstrap.memory_lock",
            "force.network.host",
            "xpack.security.enabled",
            "xpack.security.http.ssl.keystore.path",
            "xpack.security.http.ssl.key",
            "xpack.security.authc.token.enabled",
            "plugins.security.disabled",
            "plugins.security.ssl.http.pemkey_filepath",
        ] {
            assert!(is_public(key), "{key}");
        }
    }

    #[test]
    fn what_may_be_secret_is_not() {
        for key in [
            "xpack.security.http.ssl.keystore.password",
            "xpack.security.http.ssl.secure_key_passphrase",
            "foo",
            "",
            "xpack.notification.email.account.work.smtp.user",
            "s3.client.default.access_key",
            "node.attr.note",
            "discovery.ec2.secret_key",
            "plugins.security.ssl.http.keystore_password",
            "cluster.remote.a.credentials",
            "plugins.security.compliance.salt",
        ] {
            assert!(!is_public(key), "{key}");
        }
    }
}
