//! Probes against listeners that behave the way engines, proxies and broken hosts do.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common_model::probe::{HttpAnswer, Product};
use common_model::{Endpoint, Probe, Scheme, Symptom};
use common_probe::{Limits, Resolved, probe_endpoint};
use rcgen::CertifiedKey;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::server::{WebPkiClientVerifier, danger::ClientCertVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::ring};

const BANNER: &str =
    r#"{"name":"es-1","cluster_name":"prod","version":{"number":"8.18.0"},"tagline":"You Know, for Search"}"#;

/// Short where the peer stays silent on purpose, so that the test need not wait long.
const SHORT: Limits = Limits {
    resolve: Duration::from_secs(5),
    connect: Duration::from_millis(300),
    answer: Duration::from_millis(300),
    address: Duration::from_millis(800),
};

/// Long where an answer is certain to come, so that a busy machine does not matter.
const LONG: Limits = Limits {
    resolve: Duration::from_secs(20),
    connect: Duration::from_secs(20),
    answer: Duration::from_secs(20),
    address: Duration::from_secs(40),
};

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Serves every connection with `serve` for as long as the test runs.
async fn server<F, R>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn probe(scheme: Option<Scheme>, address: SocketAddr, limits: Limits) -> Probe {
    let endpoint = Endpoint { scheme, host: address.ip().to_string(), port: address.port() };
    let report = probe_endpoint(&endpoint, "here", &limits).await;
    assert_eq!(report.resolution, Resolved::Addresses(vec![address.ip()]));
    let [probe] = <[Probe; 1]>::try_from(report.probes).unwrap();
    assert_eq!((probe.vantage.as_str(), probe.id.as_str()), ("here", "probe/here/0"));
    assert_eq!((probe.address, probe.port), (Some(address.ip()), address.port()));
    probe
}

/// Reads the request's head, and answers. What the peer does with the answer is its own affair.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, text: String) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    stream.write_all(text.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}

fn banner() -> String {
    format!("HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\ncontent-length: {}\r\n\r\n{BANNER}", BANNER.len())
}

fn tls_acceptor(ask_for_a_certificate: bool) -> TlsAcceptor {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["es-1".to_owned()]).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let verifier: Arc<dyn ClientCertVerifier> = match ask_for_a_certificate {
        true => WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
        false => WebPkiClientVerifier::no_client_auth(),
    };
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config =
        config.with_client_cert_verifier(verifier).with_single_cert(vec![cert.der().clone()], key.into()).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// As the engines do: a plain request to the TLS port is closed without a byte.
async fn tls_server(ask_for_a_certificate: bool) -> SocketAddr {
    let acceptor = tls_acceptor(ask_for_a_certificate);
    server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut first = [0];
            match stream.peek(&mut first).await {
                Ok(1) if first == [0x16] => {}
                _ => return,
            }
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, banner()).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_closed_port_refuses() {
    // Bound and not listening: nobody else can take the port while the test runs.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let seen = probe(None, socket.local_addr().unwrap(), LONG).await;
    assert_eq!((seen.outcome, seen.errno.as_deref()), (Symptom::Refused, Some("ECONNREFUSED")));
    assert!(!seen.connected && seen.rtt_ms.is_some());
    assert_eq!(seen.source, Some([127, 0, 0, 1].into()));
    assert!(seen.message.ends_with(": connection refused"), "{}", seen.message);
}

#[tokio::test]
async fn a_dropped_syn_times_out() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nothing accepts: once the queue is full the kernel drops every further SYN.
    let mut queued = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        queued.push(stream.unwrap());
        assert!(queued.len() < 64, "the queue does not fill");
    }
    let seen = probe(None, address, SHORT).await;
    assert_eq!((seen.outcome, seen.connected, seen.rtt_ms), (Symptom::Timeout, false, None));
    assert!(seen.message.ends_with("no answer to the SYN within 300 ms"), "{}", seen.message);
}

#[tokio::test]
async fn an_engine_answers_with_its_banner() {
    let address = server(|stream| answer(stream, banner())).await;
    for scheme in [None, Some(Scheme::Http)] {
        let seen = probe(scheme, address, LONG).await;
        assert_eq!((seen.outcome, seen.connected), (Symptom::Ok, true));
        let http = seen.http.unwrap();
        assert_eq!((http.over_tls, http.status, http.product), (false, Some(200), Some(Product::Elasticsearch)));
        assert_eq!((http.version.as_deref(), http.cluster_name.as_deref()), (Some("8.18.0"), Some("prod")));
        assert_eq!(seen.tls, None);
    }
}

#[tokio::test]
async fn a_request_for_credentials_is_an_open_way() {
    let refusal =
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"security\"\r\ncontent-length: 0\r\n\r\n";
    let address = server(|stream| answer(stream, refusal.to_owned())).await;
    let seen = probe(None, address, LONG).await;
    assert_eq!((seen.outcome, seen.http.unwrap().status), (Symptom::Ok, Some(401)));
}

#[tokio::test]
async fn another_server_is_not_an_engine() {
    let page = "HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n<html>";
    let address = server(|stream| answer(stream, page.to_owned())).await;
    let seen = probe(None, address, LONG).await;
    assert_eq!((seen.outcome, seen.http.unwrap().product), (Symptom::HttpError, None));
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_eof() {
    let address = server(|stream| async move { drop(stream) }).await;
    let seen = probe(Some(Scheme::Http), address, LONG).await;
    // Closing before the request is read resets it; which of the two the client sees first is up to the kernel.
    assert!(matches!(seen.outcome, Symptom::Eof | Symptom::Reset), "{seen:?}");
    assert!(seen.connected && !seen.tls.unwrap().established);
}

#[tokio::test]
async fn a_server_that_reads_and_closes_is_eof() {
    let address = server(|mut stream| async move {
        assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
        stream.shutdown().await.ok();
    })
    .await;
    let seen = probe(Some(Scheme::Http), address, LONG).await;
    assert_eq!((seen.outcome, seen.http.unwrap().answer), (Symptom::Eof, HttpAnswer::Empty));
}

#[tokio::test]
async fn a_server_that_resets_is_reset() {
    let address = server(|mut stream| async move {
        if stream.read_u8().await.is_ok() {
            stream.set_zero_linger().unwrap();
        }
    })
    .await;
    for scheme in [Scheme::Http, Scheme::Https] {
        let seen = probe(Some(scheme), address, LONG).await;
        assert_eq!((seen.outcome, seen.errno.as_deref()), (Symptom::Reset, Some("ECONNRESET")), "{scheme}");
        assert_eq!((seen.http.unwrap().answer, seen.tls.unwrap().established), (HttpAnswer::Reset, false));
    }
}

#[tokio::test]
async fn a_silent_server_connects_and_times_out() {
    let address = server(|mut stream| async move {
        let mut sink = Vec::new();
        stream.read_to_end(&mut sink).await.ok();
    })
    .await;
    for scheme in [Scheme::Http, Scheme::Https] {
        let seen = probe(Some(scheme), address, SHORT).await;
        assert_eq!((seen.outcome, seen.connected, seen.errno), (Symptom::Timeout, true, None), "{scheme}");
        assert!(!seen.tls.unwrap().established);
    }
}

#[tokio::test]
async fn plain_http_to_tls_says_so() {
    let address = tls_server(false).await;
    for scheme in [None, Some(Scheme::Http)] {
        let seen = probe(scheme, address, LONG).await;
        assert!(matches!(seen.outcome, Symptom::Eof | Symptom::Reset), "{seen:?}");
        let tls = seen.tls.unwrap();
        assert_eq!((tls.established, tls.version.as_deref()), (true, Some("TLSv1.3")));
        assert_eq!((tls.names, tls.fingerprint_sha256.unwrap().len()), (vec!["es-1".to_owned()], 64));
        let http = seen.http.unwrap();
        assert_eq!((http.over_tls, http.product), (true, Some(Product::Elasticsearch)));
    }
}

#[tokio::test]
async fn tls_to_tls_is_answered() {
    let seen = probe(Some(Scheme::Https), tls_server(false).await, LONG).await;
    assert_eq!((seen.outcome, seen.http.unwrap().over_tls), (Symptom::Ok, true));
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_fails_the_handshake() {
    let seen = probe(Some(Scheme::Https), tls_server(true).await, LONG).await;
    assert_eq!(seen.outcome, Symptom::TlsFailure, "{seen:?}");
    let tls = seen.tls.unwrap();
    assert!(!tls.established && tls.error.unwrap().contains("CertificateRequired"));
}

#[tokio::test]
async fn tls_to_plain_http_says_so() {
    let address = server(|mut stream| async move {
        let mut first = [0];
        if stream.peek(&mut first).await.is_ok() && first == [0x16] {
            stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n{}").await.ok();
            stream.shutdown().await.ok();
            let mut sink = Vec::new();
            stream.read_to_end(&mut sink).await.ok();
        } else {
            answer(stream, banner()).await;
        }
    })
    .await;
    let seen = probe(Some(Scheme::Https), address, LONG).await;
    assert_eq!(seen.outcome, Symptom::TlsFailure, "{seen:?}");
    let http = seen.http.unwrap();
    assert_eq!((http.over_tls, http.product), (false, Some(Product::Elasticsearch)));
}

#[tokio::test]
async fn the_transport_port_is_not_http() {
    let address = server(|stream| answer(stream, "This is not an HTTP port".to_owned())).await;
    let seen = probe(None, address, LONG).await;
    assert_eq!((seen.outcome, seen.tls), (Symptom::HttpError, None));
    let http = seen.http.unwrap();
    assert_eq!((http.answer, http.excerpt.as_str()), (HttpAnswer::NotHttp, "This is not an HTTP port"));
}

#[tokio::test]
async fn a_flood_is_cut() {
    let address = server(|mut stream| async move {
        stream.write_all(&vec![b'A'; 16 * 1024 * 1024]).await.ok();
    })
    .await;
    let seen = probe(None, address, LONG).await;
    let http = seen.http.unwrap();
    assert_eq!((seen.outcome, http.answer, http.excerpt.len()), (Symptom::HttpError, HttpAnswer::NotHttp, 512));
}

#[tokio::test]
async fn a_trickle_ends_at_the_limit() {
    let address = server(|mut stream| async move {
        while stream.write_all(b"H").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let start = Instant::now();
    let seen = probe(None, address, SHORT).await;
    assert_eq!(seen.http.unwrap().answer, HttpAnswer::NotHttp);
    assert!(start.elapsed() < SHORT.address + Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_name_without_address_is_unresolved() {
    let endpoint = Endpoint { scheme: None, host: "es-1.invalid".to_owned(), port: 9200 };
    let report = probe_endpoint(&endpoint, "here", &SHORT).await;
    assert!(matches!(report.resolution, Resolved::Failed(_)));
    let [probe] = <[Probe; 1]>::try_from(report.probes).unwrap();
    assert_eq!((probe.outcome, probe.address, probe.connected), (Symptom::Unresolved, None, false));
    assert!(probe.message.starts_with("resolve es-1.invalid: "), "{}", probe.message);
}
