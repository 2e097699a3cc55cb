//! TLS to a foreign server that is trusted by a CA given for it. What may carry credentials.

use std::io;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{pem, provider};

/// Shakes hands over `io` with a server that has to prove itself as `host` by a certificate of one of the CAs in `ca_pem`. The
/// caller sets the time limit.
pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(io: S, host: &str, ca_pem: &str) -> io::Result<TlsStream<S>> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(ca_pem).map_err(io::Error::other)? {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server_name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(server_name, io).await
}
