//! What a foreign TLS server shows, trusted or not. For probes only: nothing secret may go over such a connection.

use std::io;
use std::sync::Arc;

use common_model::Timestamp;
use common_model::probe::TlsSeen;
use common_model::text::printable_line;
use rustls::{ClientConfig, ProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::failure::rustls_error;
use crate::pin::sha256_hex;
use crate::provider;
use crate::verifier::RecordingVerifier;

/// The most subject alternative names that are kept.
const MAX_NAMES: usize = 64;

/// How a TLS hello went.
pub struct Observed<S> {
    /// The connection, when the handshake completed. With TLS 1.3 a server that wants a client certificate says so only
    /// on the first read; [`describe_error`] names it.
    pub stream: Option<TlsStream<S>>,
    /// What was seen, also when the handshake failed later.
    pub seen: TlsSeen,
    /// Why it did not complete.
    pub error: Option<io::Error>,
}

/// Sends a TLS 1.2/1.3 hello over `io` and records what comes back. The caller sets the time limit.
pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(io: S, host: &str) -> Observed<S> {
    let recorder = Arc::new(RecordingVerifier::default());
    let result = match config(recorder.clone(), host) {
        Ok((config, server_name)) => TlsConnector::from(config).connect(server_name, io).await,
        Err(error) => Err(error),
    };
    let mut seen = describe_chain(&recorder.chain());
    match result {
        Ok(stream) => {
            seen.established = true;
            seen.version = stream.get_ref().1.protocol_version().map(version_name);
            Observed { stream: Some(stream), seen, error: None }
        }
        Err(error) => {
            seen.error = Some(describe_error(&error));
            Observed { stream: None, seen, error: Some(error) }
        }
    }
}

fn config(recorder: Arc<RecordingVerifier>, host: &str) -> io::Result<(Arc<ClientConfig>, ServerName<'static>)> {
    let server_name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(recorder)
        .with_no_client_auth();
    Ok((Arc::new(config), server_name))
}

fn version_name(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A TLS or I/O error in plain words, safe to show.
pub fn describe_error(error: &io::Error) -> String {
    match rustls_error(error) {
        Some(rustls::Error::InvalidMessage(_)) => "the server answered with bytes that are not TLS".to_owned(),
        Some(rustls::Error::AlertReceived(alert)) => format!("the server sent the TLS alert {alert:?}"),
        Some(other) => printable_line(&other.to_string()),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the server closed the connection during the TLS handshake".to_owned()
        }
        None => printable_line(&error.to_string()),
    }
}

/// True when the peer's bytes were not TLS at all.
pub fn is_not_tls(error: &io::Error) -> bool {
    matches!(rustls_error(error), Some(rustls::Error::InvalidMessage(_)))
}

/// The certificate fields of a chain, leaf first, DER. What cannot be parsed is left out.
pub fn describe_chain(chain: &[Vec<u8>]) -> TlsSeen {
    let mut seen = TlsSeen {
        established: false,
        version: None,
        subject: None,
        issuer: None,
        names: Vec::new(),
        fingerprint_sha256: chain.first().map(|der| sha256_hex(der)),
        ca_fingerprint_sha256: chain.iter().rfind(|der| is_ca(der)).map(|der| sha256_hex(der)),
        not_after: None,
        error: None,
    };
    let leaf = chain.first().and_then(|der| X509Certificate::from_der(der).ok());
    let Some((_, leaf)) = leaf else {
        return seen;
    };
    seen.subject = Some(printable_line(&leaf.subject().to_string()));
    seen.issuer = Some(printable_line(&leaf.issuer().to_string()));
    seen.not_after = Some(Timestamp(leaf.validity().not_after.timestamp().saturating_mul(1000)));
    if let Ok(Some(names)) = leaf.subject_alternative_name() {
        seen.names = names.value.general_names.iter().filter_map(name).take(MAX_NAMES).collect();
    }
    seen
}

fn is_ca(der: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, certificate)| certificate.is_ca())
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(printable_line(name)),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
            _ => None,
        },
        _ => None,
    }
}
