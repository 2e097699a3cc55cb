//! Who a certificate speaks for: a URI in its subject alternative names, `dialtone://node/NAME` or
//! `dialtone://operator/NAME?role=ROLE`. A controller has none: its certificate is good for serving only.

use std::fmt;
use std::str::FromStr;

use common_model::{NodeName, Timestamp};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What an operator may do. Each role may do all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look and diagnose.
    Viewer,
    /// Propose.
    Operator,
    /// Approve.
    Approver,
    /// Manage identities.
    Admin,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Operator, Role::Approver, Role::Admin];

    /// The role as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Approver => "approver",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a role: give viewer, operator, approver or admin")]
pub struct InvalidRole(String);

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| InvalidRole(text.chars().take(40).collect()))
    }
}

/// The name of a person: 1 to 64 of `a-z A-Z 0-9 . _ - @`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorName(String);

/// A text that is not an operator's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an operator name: give 1 to 64 of a-z, A-Z, 0-9, '.', '_', '-' and '@', beginning with a letter or digit"
)]
pub struct InvalidOperatorName(String);

impl OperatorName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OperatorName {
    type Err = InvalidOperatorName;

    fn from_str(text: &str) -> Result<Self, InvalidOperatorName> {
        let valid = (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@'));
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidOperatorName(text.chars().take(80).collect())) }
    }
}

/// Who a client certificate speaks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A node's agent.
    Node(NodeName),
    /// A person.
    Operator {
        /// Who.
        name: OperatorName,
        /// What they may do.
        role: Role,
    },
}

impl fmt::Display for Identity {
    /// `node es-1`, `operator alice (viewer)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Node(name) => write!(f, "node {name}"),
            Identity::Operator { name, role } => write!(f, "operator {name} ({role})"),
        }
    }
}

/// A certificate that does not say who it speaks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentity {
    /// Not an X.509 certificate.
    #[error("not an X.509 certificate")]
    Certificate,
    /// No `dialtone://` name in it, or several.
    #[error("the certificate does not carry exactly one dialtone:// name")]
    Names,
    /// A name of an unknown shape.
    #[error("the certificate's name {0:?} is not dialtone://node/NAME or dialtone://operator/NAME?role=ROLE")]
    Uri(String),
}

impl Identity {
    /// The URI that stands in the certificate.
    pub fn uri(&self) -> String {
        match self {
            Identity::Node(name) => format!("dialtone://node/{name}"),
            Identity::Operator { name, role } => format!("dialtone://operator/{name}?role={role}"),
        }
    }

    fn from_uri(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix("dialtone://")?;
        if let Some(name) = rest.strip_prefix("node/") {
            return name.parse().ok().map(Identity::Node);
        }
        let (name, role) = rest.strip_prefix("operator/")?.split_once("?role=")?;
        Some(Identity::Operator { name: name.parse().ok()?, role: role.parse().ok()? })
    }
}

/// What a verified client certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Who.
    pub identity: Identity,
    /// The certificate's serial number, lower-case hex.
    pub serial: String,
    /// End of its validity.
    pub not_after: Timestamp,
}

impl Peer {
    /// Reads identity, serial number and end of validity from a certificate whose chain has been verified.
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidIdentity> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| InvalidIdentity::Certificate)?;
        let names = certificate.subject_alternative_name().map_err(|_| InvalidIdentity::Names)?;
        let mut uris = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with("dialtone://") => Some(*uri),
            _ => None,
        });
        let (Some(uri), None) = (uris.next(), uris.next()) else {
            return Err(InvalidIdentity::Names);
        };
        let identity = Identity::from_uri(uri).ok_or_else(|| InvalidIdentity::Uri(uri.chars().take(120).collect()))?;
        Ok(Self {
            identity,
            serial: crate::pin::hex(certificate.raw_serial()),
            not_after: Timestamp(certificate.validity().not_after.timestamp().saturating_mul(1000)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_round_trip_through_their_uri() {
        let node = Identity::Node("es-1".parse().unwrap());
        let operator = Identity::Operator { name: "alice@example".parse().unwrap(), role: Role::Approver };
        for identity in [node, operator] {
            assert_eq!(Identity::from_uri(&identity.uri()), Some(identity));
        }
    }

    #[test]
    fn what_is_not_an_identity_is_refused() {
        for uri in [
            "dialtone://node/",
            "dialtone://node/ES 1",
            "dialtone://operator/alice",
            "dialtone://operator/alice?role=root",
            "dialtone://operator/../x?role=admin",
            "dialtone://controller/x",
            "spiffe://node/es-1",
        ] {
            assert_eq!(Identity::from_uri(uri), None, "{uri}");
        }
    }

    #[test]
    fn roles_are_ordered() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Approver && Role::Approver < Role::Admin);
    }
}
