//! PEM to rustls' types.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A PEM text that does not hold what it should.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPem {
    /// Not a certificate, or none.
    #[error("no certificate in the PEM text")]
    Certificate,
    /// Not a private key, or none.
    #[error("no private key in the PEM text")]
    Key,
}

/// All certificates, in order; at least one.
pub(crate) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, InvalidPem> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| InvalidPem::Certificate)?;
    if certificates.is_empty() { Err(InvalidPem::Certificate) } else { Ok(certificates) }
}

/// The private key.
pub(crate) fn key(pem: &str) -> Result<PrivateKeyDer<'static>, InvalidPem> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| InvalidPem::Key)
}
