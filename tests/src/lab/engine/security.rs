//! OpenSearch with TLS and users.

use anyhow::Result;

use super::Engine;
use crate::lab::Host;
use crate::lab::tls::Issued;

/// Whether the engine knows its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// It answers nobody: 503, "OpenSearch Security not initialized."
    NotInitialized,
    /// The demonstration users; anybody else gets 401.
    Demonstration,
}

/// Puts an authority's and a node's certificate beside the configuration of
/// OpenSearch, and gives the settings of a healthy single node that uses them
/// on both ports.
///
/// # Errors
/// When the host refuses a write.
pub fn secure(host: &Host, authority: &str, node: &Issued, users: Users) -> Result<String> {
    let directory = "/etc/opensearch";
    for (name, text) in [("ca.pem", authority), ("node.pem", &node.certificate), ("node-key.pem", &node.key)] {
        let path = format!("{directory}/{name}");
        host.write(&path, text)?;
        host.check(&["chown", "opensearch:opensearch", &path])?;
        host.check(&["chmod", "600", &path])?;
    }
    let rules = format!("{directory}/opensearch-security");
    let delivered = "/usr/share/opensearch/plugins/opensearch-security/config";
    host.check(&["cp", "--recursive", "--no-target-directory", delivered, &rules])?;
    host.check(&["chown", "--recursive", "opensearch:opensearch", &rules])?;
    Ok(settings(users))
}

fn settings(users: Users) -> String {
    let plain = Engine::OpenSearch.healthy_yml();
    let mut text = plain.replace("plugins.security.disabled: true\n", "");
    for layer in ["transport", "http"] {
        for (setting, file) in [("cert", "node.pem"), ("key", "node-key.pem"), ("trustedcas", "ca.pem")] {
            text += &format!("plugins.security.ssl.{layer}.pem{setting}_filepath: {file}\n");
        }
    }
    text += "plugins.security.ssl.http.enabled: true\n\
             plugins.security.ssl.transport.enforce_hostname_verification: false\n\
             plugins.security.authcz.admin_dn: [\"CN=admin\"]\n";
    let initialize = users == Users::Demonstration;
    text + &format!("plugins.security.allow_default_init_securityindex: {initialize}\n")
}
