//! One HTTP call on a connection of its own, within limits of time and size. Nothing is followed, nothing is kept.

use std::time::Duration;

use bytes::Bytes;
use common_model::{Endpoint, Scheme};
use common_tls::trusted;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Access, AccessError};

/// For TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(3);
/// From the request to the whole of its answer; a flush of many shards takes its time.
const ANSWER: Duration = Duration::from_secs(20);
/// The most bytes of an answer.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Why there is no answer.
pub(super) enum Failed {
    /// Credentials were not sent where they do not belong.
    Credentials(AccessError),
    /// The connection was not made, or broke.
    Connection(String),
}

fn broken(error: impl std::fmt::Display) -> Failed {
    Failed::Connection(common_model::text::printable_line(&error.to_string()))
}

/// The answer's status and its JSON; null where it is none.
pub(super) async fn call(
    endpoint: &Endpoint,
    access: Option<&Access>,
    method: &Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(u16, Value), Failed> {
    let authorization = access.and_then(|access| access.authorization.as_deref());
    let authority = Endpoint { scheme: None, ..endpoint.clone() }.to_string();
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, concat!("dialtone/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(broken)?;
    let address = (endpoint.host.as_str(), endpoint.port);
    let tcp = timeout(CONNECT, TcpStream::connect(address))
        .await
        .map_err(|_| broken("no answer in time"))?
        .map_err(broken)?;
    if endpoint.scheme != Some(Scheme::Https) {
        if authorization.is_some() && !access.is_some_and(|access| access.over_plain_http) {
            return Err(Failed::Credentials(AccessError::PlainHttp(endpoint.to_string())));
        }
        return send(tcp, request).await;
    }
    let Some(ca_pem) = access.and_then(|access| access.ca_pem.as_deref()) else {
        return Err(Failed::Credentials(AccessError::NoCa(endpoint.to_string())));
    };
    let tls = timeout(CONNECT, trusted::handshake(tcp, &endpoint.host, ca_pem)).await;
    send(tls.map_err(|_| broken("no TLS answer in time"))?.map_err(broken)?, request).await
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(u16, Value), Failed>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let exchange = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let (answer, ()) = tokio::join!(
            async {
                let response = sender.send_request(request).await.map_err(broken)?;
                // Dropped with the answer read, so that the connection ends.
                drop(sender);
                let status = response.status().as_u16();
                let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(broken)?;
                Ok((status, serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null)))
            },
            // Its end shows in the answer.
            async { connection.await.unwrap_or_default() }
        );
        answer
    };
    timeout(ANSWER, exchange).await.map_err(|_| broken("no answer in time"))?
}
