//! One connection to a controller: TCP, TLS, and its first bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::ALPN_H2;
use crate::failure::DialError;

/// For TCP, per address, and again for TLS.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A connection on which the controller has spoken. In HTTP/2 the server's settings come first; in TLS 1.3 a refused
/// client certificate shows only on the first read. Reading before use thus gives the true reason here, and not as a
/// broken transport later.
pub(crate) struct Greeted {
    first: Vec<u8>,
    stream: TlsStream<TcpStream>,
}

/// Connects to `address` (`HOST:PORT`) and verifies the server under `server_name`.
pub(crate) async fn connect(
    address: &str,
    server_name: &'static str,
    config: Arc<ClientConfig>,
) -> Result<Greeted, DialError> {
    let tcp = connect_tcp(address).await?;
    let server_name = ServerName::try_from(server_name).map_err(|error| DialError::Other(error.to_string()))?;
    timeout(TIMEOUT, greet(address, tcp, server_name, config))
        .await
        .unwrap_or_else(|_| Err(DialError::TimedOut(format!("{address} (TLS)"))))
}

async fn connect_tcp(address: &str) -> Result<TcpStream, DialError> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let unresolved = |message: String| DialError::Unresolved { host: host.to_owned(), message };
    let resolved = timeout(TIMEOUT, lookup_host(address))
        .await
        .map_err(|_| unresolved("the resolver did not answer in time".to_owned()))?
        .map_err(|error| {
            unresolved(error.to_string().trim_start_matches("failed to lookup address information: ").to_owned())
        })?;
    let mut last = unresolved("it has no address".to_owned());
    for candidate in resolved {
        let result = timeout(TIMEOUT, TcpStream::connect(candidate))
            .await
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)));
        match result {
            Ok(tcp) => {
                tcp.set_nodelay(true).map_err(|error| DialError::of_connect(address, &error))?;
                return Ok(tcp);
            }
            Err(error) => last = DialError::of_connect(address, &error),
        }
    }
    Err(last)
}

async fn greet(
    address: &str,
    tcp: TcpStream,
    server_name: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> Result<Greeted, DialError> {
    let failed = |error: io::Error| DialError::of_handshake(address, &error);
    let mut stream = TlsConnector::from(config).connect(server_name, tcp).await.map_err(failed)?;
    if stream.get_ref().1.alpn_protocol() != Some(ALPN_H2) {
        return Err(DialError::NotAController(address.to_owned(), "it does not speak HTTP/2".to_owned()));
    }
    let mut first = vec![0; 64];
    let length = stream.read(&mut first).await.map_err(failed)?;
    if length == 0 {
        return Err(DialError::Other(format!("{address} closed the connection")));
    }
    first.truncate(length);
    Ok(Greeted { first, stream })
}

impl AsyncRead for Greeted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let length = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first[..length]);
        self.first.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Greeted {
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
