//! The stream to the controller: what is queued goes up, acknowledgements and requests come down.
//!
//! Sending and receiving are two loops that never wait for each other, so neither side's full buffer can stop both.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use agent_spool::{Item, Spool, SpoolError};
use common_model::text::printable_line;
use common_model::time::clock_difference;
use common_model::{NodeName, Timestamp};
use common_plan::PlanBytes;
use common_tls::DialError;
use common_tls::dial::{self, ClientIdentity};
use prost::Message;
use proto::v1;
use proto::v1::agent_client::AgentClient;
use proto::v1::agent_message::Message as Up;
use proto::v1::controller_message::Message as Down;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::clock::ControllerClock;
use crate::queue::Queue;
use crate::relay::Relay;
use crate::renew;

/// Bytes of envelopes in one message, unless a single one is longer; so few that even the shortest stay under the number
/// of envelopes that a controller takes at once.
const BATCH_BYTES: usize = 512 * 1024;
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// Between tries that only a person can make succeed.
const HOPELESS_RETRY: Duration = Duration::from_secs(60);
/// A stream that ended sooner did not work: the next try waits longer.
const WORKED: Duration = Duration::from_secs(10);
/// Something is sent at least this often, so that the controller does not take the stream for dead.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// For the controller to end the stream when we do.
const FAREWELL: Duration = Duration::from_millis(500);
/// Plans under way at once; an actuator takes one at a time, and answers no more than eight.
const PLANS: usize = 4;
const WELCOME_TIMEOUT: Duration = Duration::from_secs(15);

/// A wish that every source be read again.
pub enum RefreshRequest {
    /// The controller wants to know what changed. Answered when that has been appended.
    Changes(oneshot::Sender<()>),
    /// The controller does not have what was sent before: every state is to be appended again. Answered when that is
    /// noted, that is, when nothing is confirmed any more until it is done.
    Everything(oneshot::Sender<()>),
}

/// What the stream needs.
pub struct Uplink {
    /// Who we are.
    pub node: NodeName,
    /// `HOST:PORT`.
    pub controller: String,
    /// Our certificate, replaced when it is renewed.
    pub identity: Arc<ClientIdentity>,
    /// Where renewed credentials are kept; none to keep them in memory only.
    pub credentials_dir: Option<std::path::PathBuf>,
    /// What is to be sent.
    pub queue: Queue,
    /// Takes the controller's wishes.
    pub refresh: mpsc::Sender<RefreshRequest>,
    /// Changes every time all states were found to be as last sent.
    pub confirmed: watch::Receiver<u64>,
    /// Told whether the stream stands.
    pub connected: watch::Sender<bool>,
    /// Ends the stream in order.
    pub stop: CancellationToken,
    /// The actuator's socket; none where plans are not carried out.
    pub actuator: Option<std::path::PathBuf>,
    /// The kernel's boot id.
    pub boot_id: String,
    /// Reads the node's clock.
    pub clock: fn() -> Timestamp,
}

/// Keeps a stream to the controller until it is told to stop. Every failure is logged with what to do, and tried again.
pub async fn run(uplink: Uplink) {
    tokio::spawn(relay(&uplink).resume());
    let mut retry = FIRST_RETRY;
    loop {
        let failure = tokio::select! {
            failure = session(&uplink, &mut retry) => failure,
            () = stopped_unconnected(&uplink) => return,
        };
        uplink.connected.send_replace(false);
        let wait = match failure {
            Failure::Renewed => continue,
            Failure::Stopped => return,
            Failure::Hopeless(error) => {
                tracing::error!(controller = %uplink.controller, "{error}; evidence is kept until this works again");
                HOPELESS_RETRY
            }
            Failure::Passing(message) => {
                tracing::warn!(controller = %uplink.controller, retry_ms = retry.as_millis(), "{message}");
                retry
            }
        };
        tokio::select! {
            () = tokio::time::sleep(jittered(wait)) => {}
            () = uplink.stop.cancelled() => return,
        }
        retry = (retry * 2).min(LAST_RETRY);
    }
}

enum Failure {
    /// Only a person can mend it.
    Hopeless(DialError),
    /// May be over by itself.
    Passing(String),
    /// None: to be made again at once, with the new certificate.
    Renewed,
    /// None: we were told to.
    Stopped,
}

/// While there is a stream, it is ended in order instead.
async fn stopped_unconnected(uplink: &Uplink) {
    uplink.stop.cancelled().await;
    if *uplink.connected.borrow() {
        std::future::pending().await
    }
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Revoked
            | DialError::Expired
            | DialError::UnknownCa
            | DialError::ClockBehind { .. }
            | DialError::ClockAhead { .. }
            | DialError::ClockDisputed { .. }
            | DialError::Address(_)
            | DialError::ControllerCertificate(_) => Failure::Hopeless(error),
            other => Failure::Passing(printable_line(&other.to_string())),
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        match DialError::of_status(&status) {
            Some(error) => error.into(),
            None => Failure::Passing(printable_line(&format!("the controller says: {}", status.message()))),
        }
    }
}

/// One connection, from its beginning to its end.
async fn session(uplink: &Uplink, retry: &mut Duration) -> Failure {
    let (begun, certificate_ends) = (Instant::now(), uplink.identity.credentials().not_after());
    let channel = match dial::channel(&uplink.controller, Arc::clone(&uplink.identity)).await {
        Ok(channel) => channel,
        Err(error) => return error.into(),
    };
    let ended = stream(uplink, channel).await;
    if begun.elapsed() >= WORKED {
        *retry = FIRST_RETRY;
    }
    match ended {
        Ok(()) if uplink.stop.is_cancelled() => Failure::Stopped,
        Ok(()) => Failure::Passing("the controller ended the stream".to_owned()),
        Err(status) => match status.into() {
            // The stream was made with a certificate that has been renewed since.
            Failure::Hopeless(DialError::Expired) if uplink.identity.credentials().not_after() > certificate_ends => {
                Failure::Renewed
            }
            Failure::Hopeless(error) => {
                Failure::Hopeless(error.given(&uplink.identity.credentials(), (uplink.clock)()))
            }
            failure => failure,
        },
    }
}

async fn stream(uplink: &Uplink, channel: Channel) -> Result<(), Status> {
    let (up, messages) = mpsc::channel(4);
    send(&up, Up::Hello(hello(uplink))).await?;
    let mut client = AgentClient::new(channel.clone());
    let mut down = client.connect(ReceiverStream::new(messages)).await?.into_inner();
    let v1::Welcome { acked_seq: acked, clock_ms } = welcome(&mut down).await?;
    let clock = ControllerClock::told(Timestamp(clock_ms));
    compare(&clock, (uplink.clock)());
    if resume(&uplink.queue, acked).await? {
        let gone = || Status::aborted("nothing reads the sources any more");
        let (noted, wait) = oneshot::channel();
        uplink.refresh.send(RefreshRequest::Everything(noted)).await.map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?;
    }
    uplink.connected.send_replace(true);
    tracing::info!(controller = %uplink.controller, acked, "connected");
    let (refreshed, to_answer) = mpsc::channel(16);
    tokio::select! {
        ended = upward(uplink, &up, acked, to_answer) => return ended,
        ended = downward(uplink, &mut down, refreshed, &up) => return ended,
        never = renew::run(uplink, channel, &clock) => match never {},
        () = uplink.stop.cancelled() => {}
    }
    // The controller answers the end of our side with the end of its own.
    drop(up);
    let end = async { while let Ok(Some(_)) = down.message().await {} };
    tokio::time::timeout(FAREWELL, end).await.ok();
    Ok(())
}

fn relay(uplink: &Uplink) -> Relay {
    Relay {
        socket: uplink.actuator.clone(),
        controller: uplink.controller.clone(),
        identity: Arc::clone(&uplink.identity),
    }
}

fn hello(uplink: &Uplink) -> v1::Hello {
    v1::Hello {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        incarnation: uplink.queue.incarnation().0,
        boot_id: uplink.boot_id.clone(),
        clock_ms: (uplink.clock)().0,
    }
}

async fn welcome(down: &mut Streaming<v1::ControllerMessage>) -> Result<v1::Welcome, Status> {
    let first = tokio::time::timeout(WELCOME_TIMEOUT, down.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("it did not welcome us in time"))??;
    match first.and_then(|message| message.message) {
        Some(Down::Welcome(welcome)) => Ok(welcome),
        _ => Err(Status::failed_precondition("its first message is no welcome; is it a newer version?")),
    }
}

/// Evidence is dated by this host's clock, certificates by the controller's.
fn compare(controller: &ControllerClock, here: Timestamp) {
    let there = controller.now();
    if let Some(difference) = clock_difference(here.millis_since(there)) {
        tracing::warn!(
            %here,
            %there,
            "the clock of this host is {difference} the controller's: evidence is dated by this host's clock; set the \
             wrong one"
        );
    }
}

/// Takes in what the controller has, and tells whether it lacks states that were sent before. A controller that knows more
/// than we ever sent has seen a later state of this disk.
async fn resume(queue: &Queue, acked: u64) -> Result<bool, Status> {
    let before = queue.with(|spool| spool.acked()).await;
    let result = queue.with(move |spool| spool.ack(acked)).await;
    match result {
        Ok(()) => Ok(acked < before || queue.states_lost.swap(false, Ordering::Relaxed)),
        Err(SpoolError::Ahead { .. }) => {
            queue.with(Spool::restart).await.map_err(|error| Status::aborted(error.to_string()))?;
            Err(Status::aborted("the queue was restored from an older copy; it begins a new life"))
        }
        Err(error) => Err(Status::aborted(error.to_string())),
    }
}

/// Sends what is queued, heartbeats, and answers to refreshes.
async fn upward(
    uplink: &Uplink,
    up: &mpsc::Sender<v1::AgentMessage>,
    acked: u64,
    mut to_answer: mpsc::Receiver<u64>,
) -> Result<(), Status> {
    let mut sent = acked;
    let mut confirmed = uplink.confirmed.clone();
    // What was confirmed before says nothing about now.
    confirmed.mark_unchanged();
    loop {
        sent = send_queued(uplink, up, sent).await?;
        tokio::select! {
            () = uplink.queue.appended.notified() => {}
            Some(request) = to_answer.recv() => {
                sent = send_queued(uplink, up, sent).await?;
                let clock_ms = (uplink.clock)().0;
                send(up, Up::Refreshed(v1::Refreshed { request, sent_seq: sent, clock_ms })).await?;
            }
            Ok(()) = confirmed.changed() => {
                sent = send_queued(uplink, up, sent).await?;
                let dropped = uplink.queue.with(|spool| spool.dropped_events()).await;
                let clock_ms = (uplink.clock)().0;
                send(up, Up::Heartbeat(v1::Heartbeat { clock_ms, sent_seq: sent, dropped })).await?;
            }
            () = tokio::time::sleep(KEEPALIVE) => send(up, Up::Batch(v1::EvidenceBatch::default())).await?,
        }
    }
}

/// Sends everything after `sent`; the number of the last record sent.
async fn send_queued(uplink: &Uplink, up: &mpsc::Sender<v1::AgentMessage>, mut sent: u64) -> Result<u64, Status> {
    loop {
        let items = uplink.queue.with(move |spool| spool.read(sent, BATCH_BYTES)).await;
        if items.is_empty() {
            return Ok(sent);
        }
        let incarnation = uplink.queue.incarnation().0;
        let mut envelopes = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::Gap { last, .. } => sent = last,
                Item::Record { seq, payload } => {
                    sent = seq;
                    match v1::Envelope::decode(payload.as_slice()) {
                        Ok(envelope) => {
                            envelopes.push(v1::Envelope {
                                node: uplink.node.to_string(),
                                incarnation,
                                seq,
                                ..envelope
                            });
                        }
                        // Its checksum was right, so another version wrote it; the controller sees the gap in the numbers.
                        Err(error) => tracing::error!(seq, %error, "a queued record is no envelope; left out"),
                    }
                }
            }
        }
        if envelopes.is_empty() {
            continue;
        }
        send(up, Up::Batch(v1::EvidenceBatch { envelopes })).await?;
    }
}

async fn downward(
    uplink: &Uplink,
    down: &mut Streaming<v1::ControllerMessage>,
    refreshed: mpsc::Sender<u64>,
    up: &mpsc::Sender<v1::AgentMessage>,
) -> Result<(), Status> {
    let places = Arc::new(Semaphore::new(PLANS));
    while let Some(message) = down.message().await? {
        match message.message {
            Some(Down::Ack(ack)) => {
                let result = uplink.queue.with(move |spool| spool.ack(ack.seq)).await;
                result.map_err(|error| Status::aborted(error.to_string()))?;
                uplink.queue.acknowledged.notify_one();
            }
            Some(Down::Refresh(refresh)) => {
                tokio::spawn(answer_refresh(uplink.refresh.clone(), refresh.request, refreshed.clone()));
            }
            Some(Down::Act(plan)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => drop(tokio::spawn(act(relay(uplink), plan, up.clone(), place))),
                Err(_) => tracing::warn!("cannot hand over a plan: the controller has sent too many at once"),
            },
            // A second welcome, or a message of a newer controller.
            Some(Down::Welcome(_)) | None => {}
        }
    }
    Ok(())
}

/// Hands a plan to the actuator, says so, and follows it to its end, which may come after that of this stream.
async fn act(relay: Relay, act: v1::Act, up: mpsc::Sender<v1::AgentMessage>, _place: OwnedSemaphorePermit) {
    let plan_id = PlanBytes::new(act.plan.clone()).map(|plan| plan.id().to_string()).unwrap_or_default();
    let handed = relay.hand(act).await;
    let failed = handed.as_ref().err().cloned().unwrap_or_default();
    if !failed.is_empty() {
        tracing::warn!(plan = %plan_id, "cannot hand over a plan: {}", printable_line(&failed));
    }
    // The stream may have ended meanwhile; the actuator's report then says how the plan fared.
    send(&up, Up::Handed(v1::Handed { plan_id, failed })).await.ok();
    drop(up);
    if let Ok(handed) = handed {
        relay.follow(handed).await;
    }
}

async fn answer_refresh(wishes: mpsc::Sender<RefreshRequest>, request: u64, refreshed: mpsc::Sender<u64>) {
    let (done, finished) = oneshot::channel();
    if wishes.send(RefreshRequest::Changes(done)).await.is_ok() && finished.await.is_ok() {
        // The stream may have ended meanwhile; the controller then waits no longer either.
        refreshed.send(request).await.ok();
    }
}

async fn send(up: &mpsc::Sender<v1::AgentMessage>, message: Up) -> Result<(), Status> {
    let ended = |_| Status::unavailable("the stream ended");
    up.send(v1::AgentMessage { message: Some(message) }).await.map_err(ended)
}

/// Up to a fifth more or less, so that agents cut off together do not come back together.
pub(crate) fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0u8) % 401;
    let permille = 800 + u32::try_from(random).unwrap_or(200);
    wait * permille / 1000
}
