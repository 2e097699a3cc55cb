//! One agent's stream: hello, then evidence up and acknowledgements down, until either side ends it.

use std::sync::Arc;
use std::time::Duration;

use common_evidence::Evidence;
use common_evidence::collectors::actuator::Actuator;
use common_model::text::printable_line;
use common_model::time::clock_difference;
use common_model::{Envelope, Incarnation, NodeName, Timestamp};
use common_tls::server::PeerInfo;
use proto::v1;
use proto::v1::agent_message::Message as Up;
use proto::v1::controller_message::Message as Down;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Status, Streaming};
use tracing::{info, warn};

use crate::access::unusable;
use crate::clock::now;
use crate::core::{Core, blocking};
use crate::dispatch;
use crate::live::{AgentStream, Entry};

/// For the first message.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// A stream that is silent for longer is dead: agents send heartbeats far more often.
const SILENCE: Duration = Duration::from_secs(90);
/// How often the end of the certificate is looked at while nothing comes.
const CHECK: Duration = Duration::from_secs(1);
/// How often it is written down that the agent was heard.
const NOTE_MS: i64 = 60_000;
/// The longest name of an agent's version that is kept.
const MAX_VERSION: usize = 64;
/// The most envelopes in one batch.
const MAX_BATCH: usize = 10_000;

/// Serves a stream until its end.
pub(crate) async fn run(
    core: Arc<Core>,
    peer: PeerInfo,
    node: NodeName,
    up: Streaming<v1::AgentMessage>,
    down: mpsc::Sender<Result<v1::ControllerMessage, Status>>,
) {
    let entry = core.live.enter(&peer.peer.serial);
    let cut = entry.cut.clone();
    let stream = Stream { core: Arc::clone(&core), node: node.clone(), up, down: down.clone(), entry, dropped: 0 };
    let ended = tokio::select! {
        ended = stream.serve(&peer) => ended,
        () = cut.cancelled() => Err(unusable(&peer, &core.revoked)
            .unwrap_or_else(|| Status::aborted("another connection of this node took over"))),
        () = core.stopping.cancelled() => Err(Status::unavailable("the controller is stopping")),
    };
    match ended {
        Ok(()) => info!(%node, "an agent disconnected"),
        Err(status) => {
            info!(%node, reason = %printable_line(status.message()), "ended an agent's stream");
            // The agent may be gone; then nobody needs the reason.
            drop(down.try_send(Err(status)));
        }
    }
}

struct Stream {
    core: Arc<Core>,
    node: NodeName,
    up: Streaming<v1::AgentMessage>,
    down: mpsc::Sender<Result<v1::ControllerMessage, Status>>,
    entry: Entry,
    /// Events the agent's spool dropped, as far as it was said here.
    dropped: u64,
}

impl Stream {
    async fn serve(mut self, peer: &PeerInfo) -> Result<(), Status> {
        let hello = self.hello().await?;
        let incarnation = Incarnation(hello.incarnation);
        let version = printable_line(&hello.agent_version).chars().take(MAX_VERSION).collect();
        let agent = Arc::new(AgentStream::new(version, peer.remote.ip().to_canonical(), self.down.clone()));
        let (there, here) = (Timestamp(hello.clock_ms), now());
        agent.heard(there, here);
        if let Some(difference) = clock_difference(agent.state().clock_offset_ms) {
            warn!(node = %self.node, %there, %here, "the node's clock is {difference} this host's: its evidence is dated by it");
        }
        if self.entry.become_agent(&self.node, Arc::clone(&agent)) {
            warn!(node = %self.node, remote = %peer.remote, "a second stream of this node replaced the first");
        }
        let acked_seq = blocking({
            let (core, node) = (Arc::clone(&self.core), self.node.clone());
            move || core.evidence.resume(&node, incarnation)
        })
        .await?;
        // A commit that succeeds also makes durable what was read above, which another stream may have written just now.
        self.note(&agent).await?;
        self.send(Down::Welcome(v1::Welcome { acked_seq, clock_ms: now().0 })).await?;
        info!(node = %self.node, remote = %peer.remote, version = %agent.agent_version, acked_seq, "an agent connected");
        let mut noted = now();
        let served = self.messages(peer, &agent, incarnation, &mut noted).await;
        self.note(&agent).await?;
        served
    }

    async fn hello(&mut self) -> Result<v1::Hello, Status> {
        let first = timeout(HELLO_TIMEOUT, self.up.message()).await;
        match first.map_err(|_| Status::deadline_exceeded("no hello came"))??.and_then(|first| first.message) {
            Some(Up::Hello(hello)) => Ok(hello),
            _ => Err(Status::invalid_argument("the first message has to be a hello")),
        }
    }

    async fn messages(
        &mut self,
        peer: &PeerInfo,
        agent: &AgentStream,
        incarnation: Incarnation,
        noted: &mut Timestamp,
    ) -> Result<(), Status> {
        let mut silent = Duration::ZERO;
        loop {
            let next = timeout(CHECK, self.up.message()).await;
            if let Some(refused) = unusable(peer, &self.core.revoked) {
                return Err(refused);
            }
            let Ok(next) = next else {
                silent += CHECK;
                if silent >= SILENCE {
                    return Err(Status::deadline_exceeded("nothing came for too long"));
                }
                continue;
            };
            silent = Duration::ZERO;
            let Some(message) = next? else { return Ok(()) };
            agent.seen(now());
            // An unknown message of a newer agent is none of ours.
            if let Some(message) = message.message {
                self.take(agent, incarnation, message).await?;
            }
            if now().millis_since(*noted) >= NOTE_MS {
                *noted = now();
                self.note(agent).await?;
            }
        }
    }

    async fn take(&mut self, agent: &AgentStream, incarnation: Incarnation, message: Up) -> Result<(), Status> {
        match message {
            Up::Hello(_) => Err(Status::invalid_argument("a second hello")),
            Up::Batch(batch) => self.batch(incarnation, batch).await,
            Up::Heartbeat(v1::Heartbeat { clock_ms, sent_seq: _, dropped }) => {
                agent.confirmed(Timestamp(clock_ms), now());
                if dropped > self.dropped {
                    self.dropped = dropped;
                    warn!(node = %self.node, dropped, "the agent's spool was full and dropped events");
                }
                Ok(())
            }
            Up::Refreshed(v1::Refreshed { request, sent_seq: _, clock_ms }) => {
                agent.answered(request, Timestamp(clock_ms), now());
                Ok(())
            }
            Up::Handed(handed) => {
                let (core, node) = (Arc::clone(&self.core), self.node.clone());
                let taken = blocking(move || dispatch::handed(&core, &node, handed)).await;
                // The stream is not to blame: how a plan fares is told by the actuator's report, too.
                if let Err(status) = taken {
                    let reason = printable_line(status.message());
                    warn!(node = %self.node, %reason, "cannot take in what became of handing over a plan");
                }
                Ok(())
            }
        }
    }

    async fn batch(&mut self, incarnation: Incarnation, batch: v1::EvidenceBatch) -> Result<(), Status> {
        let envelopes = self.check(incarnation, batch)?;
        let reports = envelopes.iter().any(|envelope| envelope.kind.as_str() == Actuator::KIND);
        let (core, node) = (Arc::clone(&self.core), self.node.clone());
        let ingested = blocking(move || core.evidence.ingest(&node, incarnation, envelopes)).await?;
        if ingested.lost > 0 {
            warn!(node = %self.node, lost = ingested.lost, up_to = ingested.acked_seq, "evidence is missing in the sequence");
        }
        if ingested.refused > 0 {
            warn!(node = %self.node, refused = ingested.refused, "the node has too many states, or too large ones");
        }
        for change in &ingested.changes {
            info!(node = %self.node, what = %printable_line(&change.what), "changed");
        }
        self.send(Down::Ack(v1::Ack { seq: ingested.acked_seq })).await?;
        if reports {
            let (core, node) = (Arc::clone(&self.core), self.node.clone());
            // It is durable; what cannot be taken in now is with the next look through the plans.
            if let Err(status) = blocking(move || dispatch::take_reports(&core, &node)).await {
                warn!(node = %self.node, reason = status.message(), "cannot take in the actuator's report");
            }
        }
        Ok(())
    }

    /// The envelopes of a batch. One that speaks for another node ends the stream; one that cannot be understood is left
    /// out, and so counted as lost.
    fn check(&self, incarnation: Incarnation, batch: v1::EvidenceBatch) -> Result<Vec<Envelope>, Status> {
        if batch.envelopes.len() > MAX_BATCH {
            return Err(Status::invalid_argument(format!("more than {MAX_BATCH} envelopes in one batch")));
        }
        let mut envelopes = Vec::with_capacity(batch.envelopes.len());
        for message in batch.envelopes {
            if message.node != self.node.as_str() {
                let claimed = printable_line(&message.node.chars().take(80).collect::<String>());
                warn!(node = %self.node, %claimed, "an agent speaks for another node");
                return Err(Status::permission_denied(format!("{} may not speak for {claimed}", self.node)));
            }
            if message.incarnation != incarnation.0 {
                return Err(Status::invalid_argument("an envelope is of another incarnation than the hello"));
            }
            match Envelope::try_from(message) {
                Ok(envelope) => envelopes.push(envelope),
                Err(error) => warn!(node = %self.node, error = %crate::core::chain(&error), "left out an envelope"),
            }
        }
        Ok(envelopes)
    }

    async fn send(&self, message: Down) -> Result<(), Status> {
        let message = v1::ControllerMessage { message: Some(message) };
        self.down.send(Ok(message)).await.map_err(|_| Status::cancelled("the agent is gone"))
    }

    async fn note(&self, agent: &AgentStream) -> Result<(), Status> {
        let (core, node, state) = (Arc::clone(&self.core), self.node.clone(), agent.state());
        let version = agent.agent_version.clone();
        blocking(move || {
            core.evidence.heard(&node, state.last_seen.unwrap_or_default(), state.clock_offset_ms, Some(version))
        })
        .await
    }
}
