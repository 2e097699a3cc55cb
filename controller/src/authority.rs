//! Signing: for members that enrol or renew, and for the controller itself.

use common_model::{NodeName, Timestamp};
use common_tls::ca::{Ca, CaError, Issued};
use common_tls::credentials::InvalidCredentials;
use common_tls::keys::{KeyError, NewKey};
use common_tls::{Credentials, Identity, OperatorName, Role};

use crate::clock::now;
use crate::config::Config;
use crate::registry::{MemberName, Registry, RegistryError};

/// The CA with what it needs to know to sign.
pub struct Authority {
    ca: Ca,
    config: Config,
    registry: Registry,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The request is not valid, or signing failed.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What was signed does not fit.
    #[error(transparent)]
    Credentials(#[from] InvalidCredentials),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The member was revoked.
    #[error("the {0} has been revoked")]
    Revoked(String),
}

impl Authority {
    pub(crate) fn new(ca: Ca, config: Config, registry: Registry) -> Self {
        Self { ca, config, registry }
    }

    /// The CA's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        self.ca.certificate_pem()
    }

    /// Signs for a member and notes the certificate before it is handed out, so that a revocation finds it. Blocking.
    pub fn certify(&self, csr_der: &[u8], identity: &Identity) -> Result<Issued, AuthorityError> {
        let at = now();
        let issued = self.ca.issue_client(csr_der, identity, self.config.validity(), at)?;
        self.registry.issued(&member_name(identity), &issued.serial, issued.not_after, at)?;
        Ok(issued)
    }

    /// As [`Authority::certify`], unless the member was revoked. An operator gets the role held now. Blocking.
    pub fn renew(&self, csr_der: &[u8], identity: &Identity) -> Result<Issued, AuthorityError> {
        let who = member_name(identity);
        let member = self.registry.member(&who)?.unwrap_or_default();
        if member.revoked_at.is_some() {
            return Err(AuthorityError::Revoked(identity.to_string()));
        }
        match (identity, member.role.as_deref().map(str::parse::<Role>)) {
            (Identity::Operator { name, .. }, Some(Ok(role))) => {
                self.certify(csr_der, &Identity::Operator { name: name.clone(), role })
            }
            _ => self.certify(csr_der, identity),
        }
    }

    /// A key and certificate for a member on this machine. Blocking.
    pub fn credentials(&self, identity: &Identity) -> Result<Credentials, AuthorityError> {
        let key = NewKey::generate()?;
        let issued = self.certify(key.csr_der(), identity)?;
        Ok(key.with_certificate(&issued.chain_pem, self.ca_pem())?)
    }

    /// A key and certificate for the controller's own port.
    pub fn own_credentials(&self) -> Result<Credentials, AuthorityError> {
        let key = NewKey::generate()?;
        let issued = self.ca.issue_controller(key.csr_der(), &self.config.names, self.config.validity(), now())?;
        Ok(key.with_certificate(&issued.chain_pem, self.ca_pem())?)
    }
}

/// A certificate that lets root on the controller's host manage identities, good for five minutes. It is not noted
/// anywhere: whoever can read the CA's key needs no registry.
pub fn local_admin(ca: &Ca, at: Timestamp) -> Result<Credentials, AuthorityError> {
    let key = NewKey::generate()?;
    let name: OperatorName = "root".parse().map_err(|_| CaError::Name("root".to_owned()))?;
    let identity = Identity::Operator { name, role: Role::Admin };
    let issued = ca.issue_client(key.csr_der(), &identity, std::time::Duration::from_secs(300), at)?;
    Ok(key.with_certificate(&issued.chain_pem, ca.certificate_pem())?)
}

/// The registry's name of an identity.
pub(crate) fn member_name(identity: &Identity) -> MemberName {
    match identity {
        Identity::Node(name) => MemberName::Node(name.clone()),
        Identity::Operator { name, .. } => MemberName::Operator(name.clone()),
    }
}

/// The node an identity is, if it is one.
pub(crate) fn node_of(identity: &Identity) -> Option<&NodeName> {
    match identity {
        Identity::Node(name) => Some(name),
        Identity::Operator { .. } => None,
    }
}
