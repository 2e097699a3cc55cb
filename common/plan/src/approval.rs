//! An operator's signature over a plan's exact bytes.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::plan::PlanBytes;

/// Goes before the bytes that are signed, so that a signature made for something else is none for a plan.
const CONTEXT: &[u8] = b"dialtone plan approval 1\0";
const PREFIX: &str = "ed25519:";

/// The public half of an operator's approval key, as text `ed25519:BASE64`. Nodes trust those listed in their own policy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

/// A text or file that is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an approval key: a public key is written ed25519:BASE64, a private one is PKCS#8")]
pub struct InvalidKey;

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX).ok_or(InvalidKey)?).map_err(|_| InvalidKey)?;
        bytes.try_into().map(Self).map_err(|_| InvalidKey)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The private half. Shown by nothing.
pub struct ApprovalKey(Ed25519KeyPair);

impl ApprovalKey {
    /// Reads a PKCS#8 document.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, InvalidKey> {
        Ed25519KeyPair::from_pkcs8(document).map(Self).map_err(|_| InvalidKey)
    }

    /// The public half.
    pub fn public(&self) -> Result<PublicKey, InvalidKey> {
        self.0.public_key().as_ref().try_into().map(PublicKey).map_err(|_| InvalidKey)
    }

    /// Approves a plan.
    pub fn approve(&self, plan: &PlanBytes) -> Result<Approval, InvalidKey> {
        let signature = STANDARD.encode(self.0.sign(&message(plan)).as_ref());
        Ok(Approval { key: self.public()?, signature })
    }
}

#[cfg(test)]
impl ApprovalKey {
    pub(crate) fn of(pair: Ed25519KeyPair) -> Self {
        Self(pair)
    }
}

impl fmt::Debug for ApprovalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApprovalKey(…)")
    }
}

/// A signature and the key it claims to be of. Whose key that is only the node's own policy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The key.
    pub key: PublicKey,
    /// The signature, base64.
    pub signature: String,
}

impl Approval {
    /// Whether it is the key's signature over these bytes.
    pub fn holds_for(&self, plan: &PlanBytes) -> bool {
        let Ok(signature) = STANDARD.decode(&self.signature) else { return false };
        UnparsedPublicKey::new(&ED25519, self.key.0).verify(&message(plan), &signature).is_ok()
    }
}

fn message(plan: &PlanBytes) -> Vec<u8> {
    [CONTEXT, plan.as_slice()].concat()
}
