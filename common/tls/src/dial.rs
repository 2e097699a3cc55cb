//! gRPC channels to a controller.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::UnixTime;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::connector;
use crate::credentials::{Credentials, InvalidCredentials};
use crate::failure::{DialError, millis};
use crate::pin::Pin;
use crate::verifier::PinVerifier;
use crate::{ALPN_H2, CONTROLLER_NAME, ENROLL_NAME, provider};

/// The port a controller listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 7443;

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Credentials in use, replaceable while channels stand: new connections use the new ones.
pub struct ClientIdentity(ArcSwap<InUse>);

struct InUse {
    credentials: Credentials,
    config: Arc<ClientConfig>,
}

/// Credentials that cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum UnusableCredentials {
    /// They do not make credentials.
    #[error(transparent)]
    Invalid(#[from] InvalidCredentials),
    /// rustls refuses them.
    #[error("the credentials cannot be used for TLS")]
    Tls(#[from] rustls::Error),
}

impl ClientIdentity {
    /// Starts with these.
    pub fn new(credentials: Credentials) -> Result<Self, UnusableCredentials> {
        Ok(Self(ArcSwap::from_pointee(InUse::new(credentials)?)))
    }

    /// From the next connection on, uses these.
    pub fn replace(&self, credentials: Credentials) -> Result<(), UnusableCredentials> {
        self.0.store(Arc::new(InUse::new(credentials)?));
        Ok(())
    }

    /// Those in use.
    pub fn credentials(&self) -> Credentials {
        self.0.load().credentials.clone()
    }
}

impl InUse {
    fn new(credentials: Credentials) -> Result<Self, UnusableCredentials> {
        let invalid = InvalidCredentials::from;
        let mut roots = RootCertStore::empty();
        for certificate in credentials.ca().map_err(invalid)? {
            roots.add(certificate)?;
        }
        let config = tls13()?
            .with_root_certificates(roots)
            .with_client_auth_cert(credentials.chain().map_err(invalid)?, credentials.key().map_err(invalid)?)?;
        Ok(Self { credentials, config: finish(config) })
    }
}

/// Connects to a controller with a client certificate. A connection that breaks is made anew on the next call, with the
/// credentials of that moment.
///
/// `address` is `HOST` or `HOST:PORT`. The server is verified as a controller of our CA, not by the name it is reached by.
pub async fn channel(address: &str, identity: Arc<ClientIdentity>) -> Result<Channel, DialError> {
    let address = with_default_port(address)?;
    let connector = service_fn(move |_| {
        let (address, used) = (address.clone(), identity.0.load_full());
        async move {
            let connected = connector::connect(&address, CONTROLLER_NAME, used.config.clone()).await;
            connected.map(TokioIo::new).map_err(|error| error.given(&used.credentials, millis(UnixTime::now())))
        }
    });
    endpoint().connect_with_connector(connector).await.map_err(|error| DialError::of_transport(&error))
}

/// Connects to a controller's enrollment service without a certificate, trusting only the pinned CA.
pub async fn enroll_channel(address: &str, pin: Pin) -> Result<Channel, DialError> {
    let address = with_default_port(address)?;
    let config = tls13()
        .map_err(|error| DialError::Other(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinVerifier(pin)))
        .with_no_client_auth();
    let config = finish(config);
    let connector = service_fn(move |_| {
        let (address, config) = (address.clone(), config.clone());
        async move { connector::connect(&address, ENROLL_NAME, config).await.map(TokioIo::new) }
    });
    endpoint().connect_with_connector(connector).await.map_err(|error| DialError::of_transport(&error))
}

fn tls13() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])
}

fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn endpoint() -> Endpoint {
    // The connector does TLS itself, so the scheme is http; the authority is only what HTTP/2 shows.
    Endpoint::from_static("http://controller.dialtone.internal")
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
}

fn with_default_port(address: &str) -> Result<String, DialError> {
    let invalid = || DialError::Address(address.chars().take(100).collect());
    let bare_v6 = !address.starts_with('[') && address.matches(':').count() > 1;
    let (host, port) = match address.rsplit_once(':') {
        _ if bare_v6 => (format!("[{address}]"), DEFAULT_PORT),
        Some((host, port)) if !address.ends_with(']') => (host.to_owned(), port.parse().map_err(|_| invalid())?),
        _ => (address.to_owned(), DEFAULT_PORT),
    };
    let valid = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/');
    if valid { Ok(format!("{host}:{port}")) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        for (given, meant) in [
            ("controller", "controller:7443"),
            ("controller:1", "controller:1"),
            ("::1", "[::1]:7443"),
            ("[::1]", "[::1]:7443"),
            ("[::1]:1", "[::1]:1"),
        ] {
            assert_eq!(with_default_port(given).unwrap(), meant);
        }
        for bad in ["", ":7443", "https://controller:7443", "a b", "host:port"] {
            assert!(matches!(with_default_port(bad), Err(DialError::Address(_))), "{bad}");
        }
    }
}
