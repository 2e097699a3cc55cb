//! The stream against a controller that does what a test wants, over real mTLS.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent::queue::Queue;
use agent::uplink::{self, Uplink};
use agent_spool::Spool;
use common_model::{Body, Class, Envelope, Incarnation, NodeName, Timestamp};
use common_tls::ca::Ca;
use common_tls::dial::ClientIdentity;
use common_tls::keys::NewKey;
use common_tls::server::{ServerTls, accept};
use common_tls::{Credentials, Identity};
use proto::v1;
use proto::v1::agent_message::Message as Up;
use proto::v1::agent_server::{Agent, AgentServer};
use proto::v1::controller_message::Message as Down;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// For anything that is certain to come.
const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY_MS: i64 = 86_400_000;
/// What the short certificate of a test is good for.
const SHORT: Duration = Duration::from_secs(5);

fn now() -> Timestamp {
    Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap())
}

fn day_ahead() -> Timestamp {
    now().plus_millis(DAY_MS)
}

fn day_behind() -> Timestamp {
    now().plus_millis(-DAY_MS)
}

fn name() -> NodeName {
    "es-1".parse().unwrap()
}

fn signed(ca: &Ca, validity: Duration) -> Credentials {
    let key = NewKey::generate().unwrap();
    let issued = ca.issue_client(key.csr_der(), &Identity::Node(name()), validity, now()).unwrap();
    key.with_certificate(&issued.chain_pem, ca.certificate_pem()).unwrap()
}

/// Acknowledges everything and certifies for an hour; the clock it goes by is the real one.
struct Controller {
    ca: Arc<Ca>,
    /// Numbers of the envelopes that came.
    received: mpsc::UnboundedSender<u64>,
    /// When a certificate was asked for.
    renewed: mpsc::UnboundedSender<Timestamp>,
}

/// What a [`Controller`] saw.
struct Seen {
    received: mpsc::UnboundedReceiver<u64>,
    renewed: mpsc::UnboundedReceiver<Timestamp>,
}

#[tonic::async_trait]
impl Agent for Controller {
    type ConnectStream = ReceiverStream<Result<v1::ControllerMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut up = request.into_inner();
        let (down, stream) = mpsc::channel(16);
        let received = self.received.clone();
        tokio::spawn(async move {
            while let Ok(Some(message)) = up.message().await {
                let answer = match message.message {
                    Some(Up::Hello(_)) => Down::Welcome(v1::Welcome { acked_seq: 0, clock_ms: now().0 }),
                    Some(Up::Batch(batch)) => {
                        batch.envelopes.iter().for_each(|envelope| received.send(envelope.seq).unwrap_or_default());
                        Down::Ack(v1::Ack { seq: batch.envelopes.last().map_or(0, |last| last.seq) })
                    }
                    _ => continue,
                };
                if down.send(Ok(v1::ControllerMessage { message: Some(answer) })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn prove(&self, _: Request<v1::ProveRequest>) -> Result<Response<v1::ProveReply>, Status> {
        Err(Status::unimplemented("no plan is carried out here"))
    }

    async fn renew_node(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::CertificateReply>, Status> {
        self.renewed.send(now()).unwrap_or_default();
        let csr = request.into_inner().csr_der;
        let issued = self.ca.issue_client(&csr, &Identity::Node(name()), HOUR, now());
        let issued = issued.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(v1::CertificateReply {
            chain_pem: issued.chain_pem,
            ca_pem: self.ca.certificate_pem().to_owned(),
            not_after_ms: issued.not_after.0,
        }))
    }
}

fn serve(listener: TcpListener, ca: &Arc<Ca>) -> Seen {
    let key = NewKey::generate().unwrap();
    let issued = ca.issue_controller(key.csr_der(), &[], HOUR, now()).unwrap();
    let own = key.with_certificate(&issued.chain_pem, ca.certificate_pem()).unwrap();
    let incoming = accept(listener, Arc::new(ServerTls::new(&own).unwrap()));
    let (received, received_here) = mpsc::unbounded_channel();
    let (renewed, renewed_here) = mpsc::unbounded_channel();
    let service = AgentServer::new(Controller { ca: Arc::clone(ca), received, renewed });
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming.authenticated));
    Seen { received: received_here, renewed: renewed_here }
}

/// An agent's stream without the readers that would fill its queue.
struct Running {
    queue: Queue,
    identity: Arc<ClientIdentity>,
    connected: watch::Receiver<bool>,
    stop: CancellationToken,
    _directory: TempDir,
    // The other ends of these belong to the readers.
    _wishes: mpsc::Receiver<uplink::RefreshRequest>,
    _confirmed: watch::Sender<u64>,
}

impl Running {
    fn start(controller: String, credentials: Credentials, clock: fn() -> Timestamp) -> Self {
        Self::keeping(None, controller, credentials, clock)
    }

    /// The same, keeping renewed certificates in a directory.
    fn keeping(
        credentials_dir: Option<PathBuf>,
        controller: String,
        credentials: Credentials,
        clock: fn() -> Timestamp,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identity = Arc::new(ClientIdentity::new(credentials).unwrap());
        let queue = Queue::new(Spool::open(&directory.path().join("spool"), 0).unwrap().0);
        let (refresh, _wishes) = mpsc::channel(16);
        let (_confirmed, confirmed) = watch::channel(0);
        let (connected_sender, connected) = watch::channel(false);
        let stop = CancellationToken::new();
        tokio::spawn(uplink::run(Uplink {
            node: name(),
            controller,
            identity: Arc::clone(&identity),
            credentials_dir,
            queue: queue.clone(),
            refresh,
            confirmed,
            connected: connected_sender,
            stop: stop.clone(),
            actuator: None,
            boot_id: "b1".to_owned(),
            clock,
        }));
        Self { queue, identity, connected, stop, _directory: directory, _wishes, _confirmed }
    }

    async fn append(&self, text: &str) {
        let envelope = Envelope {
            node: name(),
            incarnation: Incarnation(0),
            seq: 0,
            kind: "journal".parse().unwrap(),
            class: Class::Event,
            schema: 1,
            subject: String::new(),
            taken_at: now(),
            body: Body::Raw(text.as_bytes().to_vec()),
        };
        self.queue.append(vec![(Class::Event, envelope.into())]).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).with_target(false).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// Waits until these words have been logged.
    async fn wait_for(&self, words: &str) {
        while !self.text().contains(words) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

async fn soon<T>(wanted: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wanted).await.unwrap()
}

#[tokio::test]
async fn what_is_read_while_the_controller_is_down_arrives_once_it_is_back() {
    let (log, _guard) = Log::begin();
    let ca = Arc::new(Ca::create(now()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut running = Running::start(address.clone(), signed(&ca, HOUR), now);
    running.append("a").await;
    running.append("b").await;
    for _ in 0..2 {
        drop(soon(listener.accept()).await.unwrap());
    }
    assert!(!*running.connected.borrow());
    running.append("c").await;
    let mut seen = serve(listener, &ca);
    soon(running.connected.wait_for(|connected| *connected)).await.unwrap();
    for seq in 1..=3 {
        assert_eq!(soon(seen.received.recv()).await, Some(seq));
    }
    soon(running.queue.drained()).await;
    let told = log.text();
    assert!(told.contains(&address) && told.contains("retry_ms"), "{told}");
}

/// The certificate is renewed between 2 and 3 of its 5 seconds, whatever the node's clock says.
async fn renews_in_time(clock: fn() -> Timestamp, told: &str) {
    let (log, _guard) = Log::begin();
    let ca = Arc::new(Ca::create(now()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut seen = serve(listener, &ca);
    let credentials = signed(&ca, SHORT);
    let begins = credentials.not_after().plus_millis(-5_000);
    let _running = Running::start(address, credentials, clock);
    let renewed = soon(seen.renewed.recv()).await.unwrap();
    // Certificates count in whole seconds.
    assert!(renewed.millis_since(begins) >= 1_900, "renewed {} ms after it began", renewed.millis_since(begins));
    assert!(log.text().contains(told), "{}", log.text());
    assert!(seen.renewed.try_recv().is_err(), "the new one is good for an hour");
}

#[tokio::test]
async fn a_node_whose_clock_is_a_day_ahead_renews_in_time_and_says_so() {
    renews_in_time(day_ahead, "the clock of this host is 24 h ahead of the controller's").await;
}

#[tokio::test]
async fn a_node_whose_clock_is_a_day_behind_renews_in_time_and_says_so() {
    renews_in_time(day_behind, "the clock of this host is 24 h behind the controller's").await;
}

#[tokio::test]
async fn a_renewed_certificate_is_used_even_if_it_cannot_be_kept() {
    let (log, _guard) = Log::begin();
    let ca = Arc::new(Ca::create(now()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut seen = serve(listener, &ca);
    let credentials = signed(&ca, SHORT);
    let ends = credentials.not_after();
    let not_a_directory = tempfile::NamedTempFile::new().unwrap();
    let path = not_a_directory.path().to_owned();
    let running = Running::keeping(Some(path.clone()), address, credentials, now);
    soon(seen.renewed.recv()).await.unwrap();
    soon(log.wait_for("cannot be kept")).await;
    assert!(running.identity.credentials().not_after() > ends);
    assert!(log.text().contains(path.to_str().unwrap()), "{}", log.text());
}
