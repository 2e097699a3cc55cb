//! Keys are made where they are used; only a signing request leaves.

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::credentials::{Credentials, InvalidCredentials};

/// A fresh P-256 key with the request to have it certified.
pub struct NewKey {
    key_pem: String,
    csr_der: Vec<u8>,
}

/// The random number generator or the encoder failed.
#[derive(Debug, thiserror::Error)]
#[error("making a key failed")]
pub struct KeyError(#[from] rcgen::Error);

impl NewKey {
    /// Makes a key. The request carries nothing but the public key: who it is for is the CA's decision.
    pub fn generate() -> Result<Self, KeyError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let csr = CertificateParams::default().serialize_request(&key)?;
        Ok(Self { key_pem: key.serialize_pem(), csr_der: csr.der().to_vec() })
    }

    /// The signing request, DER.
    pub fn csr_der(&self) -> &[u8] {
        &self.csr_der
    }

    /// The credentials, once the CA has answered. Fails when the certificate is not for this key.
    pub fn with_certificate(self, chain_pem: &str, ca_pem: &str) -> Result<Credentials, InvalidCredentials> {
        Credentials::new(ca_pem.to_owned(), chain_pem.to_owned(), self.key_pem)
    }
}
