//! A controller in a temporary directory, and clients that speak to it.

use std::sync::Arc;
use std::time::Duration;

use common_model::{Body, Class, Envelope, Incarnation, Timestamp};
use common_tls::dial::{ClientIdentity, channel, enroll_channel};
use common_tls::keys::NewKey;
use common_tls::{Credentials, Identity, Pin, Role};
use controller::{Config, Controller, init};
use controller_store::{SledStore, Store};
use proto::v1;
use proto::v1::agent_client::AgentClient;
use proto::v1::agent_message::Message as Up;
use proto::v1::controller_message::Message as Down;
use proto::v1::enrollment_client::EnrollmentClient;
use proto::v1::operator_client::OperatorClient;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

/// For anything that should come about at once.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) struct Lab {
    pub(crate) controller: Controller,
    pub(crate) pin: Pin,
    config: Config,
    directory: TempDir,
}

impl Lab {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config =
            Config { listen: "127.0.0.1:0".to_owned(), state_dir: directory.path().join("state"), ..Config::default() };
        change(&mut config);
        let pin = init::create_ca(&config).unwrap();
        let controller = Controller::start(config.clone()).await.unwrap();
        Self { controller, pin, config, directory }
    }

    /// Over a store that the test has a hand in.
    pub(crate) async fn start_over(wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = directory.path().join("state");
        let config = Config { listen: "127.0.0.1:0".to_owned(), state_dir, ..Config::default() };
        let pin = init::create_ca(&config).unwrap();
        let store = wrap(Arc::new(SledStore::open(&config.store_dir()).unwrap().0));
        let controller = Controller::start_over(config.clone(), store).await.unwrap();
        Self { controller, pin, config, directory }
    }

    pub(crate) async fn restart(self) -> Self {
        let Self { controller, pin, config, directory } = self;
        controller.shutdown().await;
        let controller = Controller::start(config.clone()).await.unwrap();
        Self { controller, pin, config, directory }
    }

    pub(crate) fn address(&self) -> String {
        self.controller.local_addr().to_string()
    }

    pub(crate) async fn credentials(&self, identity: &Identity) -> Credentials {
        self.controller.issue(identity).await.unwrap()
    }

    pub(crate) async fn channel(&self, identity: &Identity) -> Channel {
        self.channel_with(self.credentials(identity).await).await
    }

    pub(crate) async fn channel_with(&self, credentials: Credentials) -> Channel {
        let identity = Arc::new(ClientIdentity::new(credentials).unwrap());
        channel(&self.address(), identity).await.unwrap()
    }

    pub(crate) async fn operator(&self, role: Role) -> OperatorClient<Channel> {
        OperatorClient::new(self.channel(&operator("alice", role)).await)
    }

    pub(crate) async fn enrollment(&self) -> EnrollmentClient<Channel> {
        EnrollmentClient::new(enroll_channel(&self.address(), self.pin.clone()).await.unwrap())
    }

    /// A join token, for this node if one is named.
    pub(crate) async fn join_token(&self, node: &str) -> String {
        let request = v1::CreateJoinTokenRequest { ttl_seconds: 60, node: node.to_owned() };
        self.operator(Role::Admin).await.create_join_token(Request::new(request)).await.unwrap().into_inner().token
    }

    pub(crate) async fn join(&self, token: &str, node: &str) -> Result<Credentials, Status> {
        let key = NewKey::generate().unwrap();
        let request =
            v1::JoinRequest { token: token.to_owned(), node: node.to_owned(), csr_der: key.csr_der().to_vec() };
        let reply = self.enrollment().await.join(Request::new(request)).await?.into_inner();
        let certificate = reply.certificate.unwrap();
        Ok(key.with_certificate(&certificate.chain_pem, &certificate.ca_pem).unwrap())
    }
}

pub(crate) fn node(name: &str) -> Identity {
    Identity::Node(name.parse().unwrap())
}

pub(crate) fn operator(name: &str, role: Role) -> Identity {
    Identity::Operator { name: name.parse().unwrap(), role }
}

/// What a test says in an agent's place.
pub(crate) struct FakeAgent {
    up: mpsc::Sender<v1::AgentMessage>,
    down: Streaming<v1::ControllerMessage>,
    pub(crate) acked_seq: u64,
}

pub(crate) const LIFE: Incarnation = Incarnation(7);

impl FakeAgent {
    /// Connects, says hello and takes the welcome.
    pub(crate) async fn connect(channel: Channel) -> Self {
        Self::connect_ahead(channel, 0).await
    }

    /// The same for an agent whose clock is this many milliseconds ahead.
    pub(crate) async fn connect_ahead(channel: Channel, ahead_ms: i64) -> Self {
        let (up, messages) = mpsc::channel(16);
        let hello = v1::Hello {
            agent_version: "1.2.3".to_owned(),
            incarnation: LIFE.0,
            boot_id: String::new(),
            clock_ms: now().plus_millis(ahead_ms).0,
        };
        up.send(v1::AgentMessage { message: Some(Up::Hello(hello)) }).await.unwrap();
        let down = AgentClient::new(channel).connect(ReceiverStream::new(messages)).await.unwrap().into_inner();
        let mut agent = Self { up, down, acked_seq: 0 };
        match agent.next().await.unwrap() {
            Down::Welcome(welcome) => agent.acked_seq = welcome.acked_seq,
            other => panic!("{other:?}"),
        }
        agent
    }

    pub(crate) async fn say(&self, message: Up) {
        // A stream that the controller has ended takes nothing more; reading tells why.
        drop(self.up.send(v1::AgentMessage { message: Some(message) }).await);
    }

    pub(crate) async fn send(&self, envelopes: Vec<Envelope>) {
        let envelopes = envelopes.into_iter().map(Into::into).collect();
        self.say(Up::Batch(v1::EvidenceBatch { envelopes })).await;
    }

    /// Sends and waits for the acknowledgement.
    pub(crate) async fn deliver(&mut self, envelopes: Vec<Envelope>) -> Result<u64, Status> {
        self.send(envelopes).await;
        match self.next().await? {
            Down::Ack(ack) => Ok(ack.seq),
            other => panic!("{other:?}"),
        }
    }

    /// Answers every wish to read again at once, confirms what was sent, and hands on the plans that come down.
    pub(crate) fn attend(self) -> Attended {
        let Self { up, mut down, acked_seq } = self;
        let (plans, acts) = mpsc::channel(16);
        let answers = up.clone();
        let attending = tokio::spawn(async move {
            while let Ok(Some(message)) = down.message().await {
                let clock_ms = now().0;
                match message.message.unwrap() {
                    Down::Refresh(v1::Refresh { request }) => {
                        let refreshed = Up::Refreshed(v1::Refreshed { request, sent_seq: 0, clock_ms });
                        drop(answers.send(v1::AgentMessage { message: Some(refreshed) }).await);
                    }
                    Down::Act(act) => drop(plans.send(act).await),
                    Down::Ack(_) | Down::Welcome(_) => {}
                }
            }
        });
        Attended { up, acts, seq: acked_seq, attending }
    }

    pub(crate) async fn next(&mut self) -> Result<Down, Status> {
        let next = timeout(SOON, self.down.message()).await.expect("nothing came down");
        next?.and_then(|message| message.message).ok_or_else(|| Status::ok("the stream ended"))
    }
}

/// An agent that looks after itself.
pub(crate) struct Attended {
    up: mpsc::Sender<v1::AgentMessage>,
    pub(crate) acts: mpsc::Receiver<v1::Act>,
    seq: u64,
    attending: tokio::task::JoinHandle<()>,
}

impl Attended {
    pub(crate) async fn say(&self, message: Up) {
        self.up.send(v1::AgentMessage { message: Some(message) }).await.unwrap();
    }

    /// Sends evidence as its own.
    pub(crate) async fn tell(&mut self, evidence: &[Envelope]) {
        let mut envelopes = Vec::new();
        for envelope in evidence {
            self.seq += 1;
            envelopes.push(Envelope { incarnation: LIFE, seq: self.seq, ..envelope.clone() }.into());
        }
        self.say(Up::Batch(v1::EvidenceBatch { envelopes })).await;
        self.say(Up::Heartbeat(v1::Heartbeat { clock_ms: now().0, sent_seq: self.seq, dropped: 0 })).await;
    }

    /// Hangs up.
    pub(crate) fn leave(self) {
        self.attending.abort();
    }
}

pub(crate) fn event(node: &str, seq: u64) -> Envelope {
    Envelope {
        node: node.parse().unwrap(),
        incarnation: LIFE,
        seq,
        kind: "journal".parse().unwrap(),
        class: Class::Event,
        schema: 1,
        subject: String::new(),
        taken_at: now(),
        body: Body::Raw(format!("{{\"MESSAGE\":\"line {seq}\"}}").into_bytes()),
    }
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

/// A port where nothing listens.
pub(crate) async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}
