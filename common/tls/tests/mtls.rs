//! Both ends against each other over real sockets.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common_model::Timestamp;
use common_tls::ca::Ca;
use common_tls::dial::{ClientIdentity, channel, enroll_channel};
use common_tls::keys::NewKey;
use common_tls::server::{Incoming, PeerInfo, ServerTls, accept};
use common_tls::{Credentials, DialError, Identity, Pin, observe};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(elapsed.as_millis()).unwrap())
}

fn node() -> Identity {
    Identity::Node("es-1".parse().unwrap())
}

fn controller_credentials(ca: &Ca) -> Credentials {
    controller_credentials_at(ca, now())
}

/// As a controller issues its own when its clock says this.
fn controller_credentials_at(ca: &Ca, now: Timestamp) -> Credentials {
    let key = NewKey::generate().unwrap();
    let issued = ca.issue_controller(key.csr_der(), &["localhost".to_owned()], DAY, now).unwrap();
    key.with_certificate(&issued.chain_pem, ca.certificate_pem()).unwrap()
}

/// A node's credentials that trust `trusted` but were issued by `ca`.
fn node_credentials(ca: &Ca, trusted: &Ca, validity: Duration, now: Timestamp) -> Arc<ClientIdentity> {
    let key = NewKey::generate().unwrap();
    let issued = ca.issue_client(key.csr_der(), &node(), validity, now).unwrap();
    let credentials = key.with_certificate(&issued.chain_pem, trusted.certificate_pem()).unwrap();
    Arc::new(ClientIdentity::new(credentials).unwrap())
}

struct Running {
    address: String,
    tls: Arc<ServerTls>,
    peers: tokio::sync::mpsc::UnboundedReceiver<PeerInfo>,
}

/// A controller without services that reports its authenticated peers.
async fn start(ca: &Ca) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let tls = Arc::new(ServerTls::new(&controller_credentials(ca)).unwrap());
    let Incoming { authenticated, enrolling, .. } = accept(listener, tls.clone());
    let (seen, peers) = tokio::sync::mpsc::unbounded_channel();
    let authenticated = authenticated.map(move |connection| {
        let connection = connection?;
        drop(seen.send(connection.connect_info()));
        Ok::<_, std::io::Error>(connection)
    });
    tokio::spawn(Server::builder().serve_with_incoming(Routes::default(), authenticated));
    tokio::spawn(Server::builder().serve_with_incoming(Routes::default(), enrolling));
    Running { address, tls, peers }
}

#[tokio::test]
async fn a_node_is_known_by_its_certificate() {
    let ca = Ca::create(now()).unwrap();
    let mut server = start(&ca).await;
    let identity = node_credentials(&ca, &ca, DAY, now());
    let _channel = channel(&server.address, identity.clone()).await.unwrap();
    let peer = server.peers.recv().await.unwrap();
    assert_eq!(peer.peer.identity, node());
    assert_eq!(peer.valid_until(), identity.credentials().not_after());
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_told_apart_from_an_expired_one() {
    let (ca, foreign) = (Ca::create(now()).unwrap(), Ca::create(now()).unwrap());
    let server = start(&ca).await;
    let stranger = channel(&server.address, node_credentials(&foreign, &ca, DAY, now())).await;
    assert_eq!(stranger.unwrap_err(), DialError::UnknownCa);

    let past = now().plus_millis(-3_600_000);
    let late = channel(&server.address, node_credentials(&ca, &ca, Duration::from_secs(60), past)).await;
    assert_eq!(late.unwrap_err(), DialError::Expired);
}

/// How far the clocks of the tests below are off.
const OFF: i64 = 30 * 3_600_000;

#[tokio::test]
async fn clocks_that_differ_are_named_with_both_times() {
    let begun = now();
    let ca = Ca::create(begun.plus_millis(-OFF)).unwrap();
    let server = start(&ca).await;
    for (off, wanted) in [(OFF, "This clock is behind"), (-OFF, "This clock is ahead")] {
        // The controller's clock is off by this much; for the client that is the same as its own being off the other way.
        let credentials = controller_credentials_at(&ca, now().plus_millis(off));
        server.tls.replace(&credentials).unwrap();
        let joining = enroll_channel(&server.address, ca.pin()).await.unwrap_err();
        let connecting = channel(&server.address, node_credentials(&ca, &ca, DAY, now())).await.unwrap_err();
        for error in [joining, connecting] {
            let (here, there) = match &error {
                DialError::ClockBehind { now, valid_from } => (*now, *valid_from),
                DialError::ClockAhead { now, valid_until } => (*now, *valid_until),
                other => panic!("{other:?}"),
            };
            // Certificates count in whole seconds.
            assert!((begun.plus_millis(-1000)..=now()).contains(&here), "{here}");
            assert!([credentials.not_before(), credentials.not_after()].contains(&there), "{there}");
            let said = error.to_string();
            assert!(
                [here.to_string(), there.to_string(), wanted.to_owned()].iter().all(|part| said.contains(part)),
                "{said}"
            );
        }
    }
}

#[tokio::test]
async fn a_certificate_that_only_the_controller_takes_for_ended_is_a_matter_of_clocks() {
    let ca = Ca::create(now().plus_millis(-OFF)).unwrap();
    let server = start(&ca).await;
    // Issued by a controller whose clock was ahead and has been set back.
    let early = node_credentials(&ca, &ca, DAY, now().plus_millis(OFF));
    let shown = early.credentials();
    let error = channel(&server.address, early).await.unwrap_err();
    let DialError::ClockDisputed { now: here, valid_from, valid_until } = &error else { panic!("{error:?}") };
    assert_eq!((*valid_from, *valid_until), (shown.not_before(), shown.not_after()));
    let said = error.to_string();
    assert!([here, valid_from, valid_until].iter().all(|time| said.contains(&time.to_string())), "{said}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_told_from_one_that_refuses() {
    let error = enroll_channel("controller.invalid:7443", Pin::of(b"any")).await.unwrap_err();
    let DialError::Unresolved { host, .. } = &error else { panic!("{error:?}") };
    assert_eq!(host, "controller.invalid");
    assert!(error.to_string().contains("does not resolve"), "{error}");
}

#[tokio::test]
async fn a_controller_of_another_ca_is_not_trusted() {
    let (ca, other) = (Ca::create(now()).unwrap(), Ca::create(now()).unwrap());
    let server = start(&ca).await;
    let error = channel(&server.address, node_credentials(&other, &other, DAY, now())).await.unwrap_err();
    assert!(matches!(error, DialError::ControllerCertificate(_)), "{error:?}");
}

#[tokio::test]
async fn enrolling_needs_the_right_pin_and_names_both() {
    let (ca, other) = (Ca::create(now()).unwrap(), Ca::create(now()).unwrap());
    let mut server = start(&ca).await;
    enroll_channel(&server.address, ca.pin()).await.unwrap();
    assert!(server.peers.try_recv().is_err(), "an enrolling connection came out as an authenticated one");

    let error = enroll_channel(&server.address, other.pin()).await.unwrap_err();
    let expected = DialError::PinMismatch { expected: other.pin().to_string(), presented: ca.pin().to_string() };
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_node_certificate_does_not_make_a_controller() {
    let ca = Ca::create(now()).unwrap();
    let key = NewKey::generate().unwrap();
    let issued = ca.issue_client(key.csr_der(), &node(), DAY, now()).unwrap();
    let credentials = key.with_certificate(&issued.chain_pem, ca.certificate_pem()).unwrap();
    let server = start(&ca).await;
    server.tls.replace(&credentials).unwrap();
    let error = enroll_channel(&server.address, ca.pin()).await.unwrap_err();
    assert!(matches!(error, DialError::ControllerCertificate(_)), "{error:?}");
}

#[tokio::test]
async fn a_closed_port_is_refused_and_a_foreign_server_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let pin = Pin::of(b"any");
    let answer = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut hello = [0; 1024];
        tokio::io::AsyncReadExt::read(&mut tcp, &mut hello).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut tcp, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let error = enroll_channel(&address, pin.clone()).await.unwrap_err();
    assert!(matches!(error, DialError::NotAController(..)), "{error:?}");
    answer.await.unwrap();
    assert_eq!(enroll_channel(&address, pin).await.unwrap_err(), DialError::Refused(address));
}

#[tokio::test]
async fn replaced_credentials_serve_the_next_connection() {
    let ca = Ca::create(now()).unwrap();
    let mut server = start(&ca).await;
    let identity = node_credentials(&ca, &ca, DAY, now());
    let _first = channel(&server.address, identity.clone()).await.unwrap();
    identity.replace(node_credentials(&ca, &ca, 2 * DAY, now()).credentials()).unwrap();
    server.tls.replace(&controller_credentials(&ca)).unwrap();
    let _second = channel(&server.address, identity.clone()).await.unwrap();
    let (first, second) = (server.peers.recv().await.unwrap(), server.peers.recv().await.unwrap());
    assert_ne!(first.peer.serial, second.peer.serial);
    assert_eq!(second.valid_until(), identity.credentials().not_after());
}

#[tokio::test]
async fn an_observer_sees_the_chain_of_a_server_it_cannot_trust() {
    let ca = Ca::create(now()).unwrap();
    let server = start(&ca).await;
    let tcp = TcpStream::connect(&server.address).await.unwrap();
    let observed = observe::handshake(tcp, "127.0.0.1").await;
    let seen = observed.seen;
    assert_eq!(seen.version.as_deref(), Some("TLSv1.3"));
    assert_eq!(seen.issuer.as_deref(), Some("CN=Dialtone CA"));
    assert!(seen.names.contains(&"localhost".to_owned()));
    assert_eq!(format!("sha256:{}", seen.ca_fingerprint_sha256.unwrap()), ca.pin().to_string());
    // The server wants a client certificate; in TLS 1.3 that shows on the first read.
    let error = tokio::io::AsyncReadExt::read(&mut observed.stream.unwrap(), &mut [0; 16]).await.unwrap_err();
    assert!(observe::describe_error(&error).contains("CertificateRequired"), "{error}");
}

#[tokio::test]
async fn clients_that_say_nothing_do_not_keep_others_out() {
    let ca = Ca::create(now()).unwrap();
    let server = start(&ca).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(&server.address).await.unwrap());
    }
    let honest = channel(&server.address, node_credentials(&ca, &ca, DAY, now()));
    tokio::time::timeout(Duration::from_secs(4), honest).await.unwrap().unwrap();
    // Nor do they hold their places for long.
    for tcp in &mut silent {
        let mut nothing = [0; 1];
        let closed = tokio::io::AsyncReadExt::read(tcp, &mut nothing);
        assert_eq!(tokio::time::timeout(Duration::from_secs(20), closed).await.unwrap().unwrap(), 0);
    }
}
