//! The controller's end. One port, two kinds of connection that never mix: a client that asks for [`ENROLL_NAME`] is not
//! asked for a certificate and comes out of [`Incoming::enrolling`]; every other client must show one of our CA and comes
//! out of [`Incoming::authenticated`].

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use common_model::Timestamp;
use rustls::server::{Acceptor, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{CertificateError, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tracing::{debug, info, warn};

use crate::credentials::{Credentials, InvalidCredentials};
use crate::dial::UnusableCredentials;
use crate::failure::{millis, rustls_error};
use crate::identity::Peer;
use crate::{ALPN_H2, ENROLL_NAME, provider};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same while many are under way: clients that never finish then hold their places for a shorter time.
const CROWDED_TIMEOUT: Duration = Duration::from_secs(1);
/// Handshakes under way at once; a connection beyond is closed unread.
const MAX_HANDSHAKES: usize = 4096;
/// After an accept failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The controller's TLS configuration, replaceable while connections stand.
pub struct ServerTls(ArcSwap<Configs>);

struct Configs {
    enrolling: Arc<ServerConfig>,
    authenticated: Arc<ServerConfig>,
}

impl ServerTls {
    /// Serves under these credentials and trusts clients of their CA.
    pub fn new(credentials: &Credentials) -> Result<Self, UnusableCredentials> {
        Ok(Self(ArcSwap::from_pointee(configs(credentials)?)))
    }

    /// From the next connection on, serves under these.
    pub fn replace(&self, credentials: &Credentials) -> Result<(), UnusableCredentials> {
        self.0.store(Arc::new(configs(credentials)?));
        Ok(())
    }
}

fn configs(credentials: &Credentials) -> Result<Configs, UnusableCredentials> {
    let invalid = InvalidCredentials::from;
    let mut roots = RootCertStore::empty();
    for certificate in credentials.ca().map_err(invalid)? {
        roots.add(certificate)?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let builder = || ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13]);
    let finish = |builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>| {
        let mut config =
            builder.with_single_cert(credentials.chain().map_err(invalid)?, credentials.key().map_err(invalid)?)?;
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        // A resumed session would skip the client's certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok::<_, UnusableCredentials>(Arc::new(config))
    };
    Ok(Configs {
        enrolling: finish(builder()?.with_no_client_auth())?,
        authenticated: finish(builder()?.with_client_cert_verifier(clients))?,
    })
}

/// Connections whose handshake is done. Dropping both streams ends the accepting.
pub struct Incoming {
    /// Clients that proved who they are.
    pub authenticated: ReceiverStream<io::Result<Connection<PeerInfo>>>,
    /// Clients nothing is known of.
    pub enrolling: ReceiverStream<io::Result<Connection<AnonymousInfo>>>,
    /// Clients whose certificate, or want of one, was refused. Those that nobody takes in time are not told.
    pub refused: mpsc::Receiver<RefusedClient>,
}

/// A client that was turned away at the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedClient {
    /// From where.
    pub remote: SocketAddr,
    /// Why.
    pub why: String,
}

/// What a request on an authenticated connection carries among its extensions.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// Who.
    pub peer: Peer,
    /// From where.
    pub remote: SocketAddr,
    valid_until: Arc<AtomicI64>,
}

impl PeerInfo {
    /// Until when this connection may be used: the end of the certificate it was made with, or of one renewed over it.
    pub fn valid_until(&self) -> Timestamp {
        Timestamp(self.valid_until.load(Ordering::Relaxed))
    }

    /// The peer has renewed its certificate over this connection.
    pub fn extend(&self, not_after: Timestamp) {
        self.valid_until.fetch_max(not_after.0, Ordering::Relaxed);
    }
}

/// What a request on an unauthenticated connection carries among its extensions.
#[derive(Debug, Clone)]
pub struct AnonymousInfo {
    /// From where.
    pub remote: SocketAddr,
}

/// An accepted TLS connection that tells tonic about its peer.
pub struct Connection<I> {
    stream: TlsStream<TcpStream>,
    info: I,
}

/// Accepts connections in a task of its own until both streams are dropped.
pub fn accept(listener: TcpListener, tls: Arc<ServerTls>) -> Incoming {
    let (authenticated, authenticated_stream) = mpsc::channel(64);
    let (enrolling, enrolling_stream) = mpsc::channel(16);
    let (refused, refused_stream) = mpsc::channel(64);
    let outputs = Outputs { authenticated, enrolling, refused };
    tokio::spawn(accept_loop(listener, tls, outputs));
    Incoming {
        authenticated: ReceiverStream::new(authenticated_stream),
        enrolling: ReceiverStream::new(enrolling_stream),
        refused: refused_stream,
    }
}

#[derive(Clone)]
struct Outputs {
    authenticated: mpsc::Sender<io::Result<Connection<PeerInfo>>>,
    enrolling: mpsc::Sender<io::Result<Connection<AnonymousInfo>>>,
    refused: mpsc::Sender<RefusedClient>,
}

async fn accept_loop(listener: TcpListener, tls: Arc<ServerTls>, outputs: Outputs) {
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let closed = async {
        outputs.authenticated.closed().await;
        outputs.enrolling.closed().await;
    };
    tokio::pin!(closed);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut closed => return,
        };
        let (tcp, remote) = match accepted {
            // An IPv4 client of a socket that takes both is shown as one.
            Ok((tcp, remote)) => (tcp, SocketAddr::new(remote.ip().to_canonical(), remote.port())),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = handshakes.clone().try_acquire_owned() else {
            debug!(%remote, "too many handshakes under way");
            continue;
        };
        let crowded = handshakes.available_permits() < MAX_HANDSHAKES / 2;
        let limit = if crowded { CROWDED_TIMEOUT } else { HANDSHAKE_TIMEOUT };
        let (configs, outputs) = (tls.0.load_full(), outputs.clone());
        tokio::spawn(async move {
            let handshake = timeout(limit, handshake(tcp, remote, &configs)).await;
            drop(permit);
            match handshake {
                Err(_) => debug!(%remote, "the TLS handshake took too long"),
                Ok(Err(error)) => match rustls_error(&error) {
                    Some(rustls::Error::InvalidCertificate(reason)) => {
                        let why = refusal(reason);
                        info!(%remote, "refused a client certificate: {why}");
                        // Nobody may be listening.
                        outputs.refused.try_send(RefusedClient { remote, why }).ok();
                    }
                    Some(rustls::Error::NoCertificatesPresented) => {
                        let why = "it shows no certificate".to_owned();
                        outputs.refused.try_send(RefusedClient { remote, why }).ok();
                    }
                    // Port scans and probes.
                    _ => debug!(%remote, %error, "refused a connection"),
                },
                // The receivers are gone only when the server is shutting down.
                Ok(Ok(Accepted::Peer(connection))) => drop(outputs.authenticated.send(Ok(connection)).await),
                Ok(Ok(Accepted::Anonymous(connection))) => drop(outputs.enrolling.send(Ok(connection)).await),
            }
        });
    }
}

/// Why a client's certificate is not taken, for the log. Validity is by this machine's clock, now and when it signed.
fn refusal(reason: &CertificateError) -> String {
    match reason {
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "it is good from {} on, but the clock here says {}: this clock has been set back since it was issued, or was \
             ahead then; compare `date -u` here and there",
            millis(*not_before),
            millis(*time)
        ),
        CertificateError::ExpiredContext { time, not_after } => format!(
            "it ended at {}, and the clock here says {}: the client was away for too long and has to join or log in \
             again, or one of the two clocks is wrong; compare `date -u` here and there",
            millis(*not_after),
            millis(*time)
        ),
        other => other.to_string(),
    }
}

enum Accepted {
    Peer(Connection<PeerInfo>),
    Anonymous(Connection<AnonymousInfo>),
}

async fn handshake(tcp: TcpStream, remote: SocketAddr, configs: &Configs) -> io::Result<Accepted> {
    tcp.set_nodelay(true)?;
    let start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
    if start.client_hello().server_name() == Some(ENROLL_NAME) {
        let stream = start.into_stream(configs.enrolling.clone()).await?;
        return Ok(Accepted::Anonymous(Connection { stream, info: AnonymousInfo { remote } }));
    }
    let stream = start.into_stream(configs.authenticated.clone()).await?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let leaf = leaf.ok_or_else(|| io::Error::other("no client certificate"))?;
    let peer = Peer::from_der(leaf).map_err(io::Error::other)?;
    let valid_until = Arc::new(AtomicI64::new(peer.not_after.0));
    Ok(Accepted::Peer(Connection { stream, info: PeerInfo { peer, remote, valid_until } }))
}

impl<I: Clone + Send + Sync + 'static> Connected for Connection<I> {
    type ConnectInfo = I;

    fn connect_info(&self) -> I {
        self.info.clone()
    }
}

impl<I: Unpin> AsyncRead for Connection<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<I: Unpin> AsyncWrite for Connection<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
