//! The connections that stand right now: which streams to cut when a certificate is revoked, and which agents can be asked.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common_model::{NodeName, Timestamp};
use controller_correlate::AgentState;
use proto::v1;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Clock samples that are remembered of each agent.
const SAMPLES: usize = 8;

/// All streams that stand.
#[derive(Default)]
pub(crate) struct Live(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    next: u64,
    streams: BTreeMap<u64, (String, CancellationToken)>,
    agents: BTreeMap<NodeName, (u64, Arc<AgentStream>)>,
}

/// A stream's entry, for as long as it stands.
pub(crate) struct Entry {
    live: Arc<Live>,
    id: u64,
    /// Cancelled when the stream has to end at once.
    pub(crate) cut: CancellationToken,
}

impl Live {
    /// Enters a stream made with the certificate of this serial number.
    pub(crate) fn enter(self: &Arc<Self>, serial: &str) -> Entry {
        let cut = CancellationToken::new();
        let mut inner = self.lock();
        inner.next += 1;
        let id = inner.next;
        inner.streams.insert(id, (serial.to_owned(), cut.clone()));
        Entry { live: Arc::clone(self), id, cut }
    }

    /// Cuts every stream made with one of these certificates; gives their number.
    pub(crate) fn cut(&self, serials: &[String]) -> usize {
        let inner = self.lock();
        let hit = inner.streams.values().filter(|(serial, _)| serials.contains(serial));
        hit.map(|(_, cut)| cut.cancel()).count()
    }

    /// The agent of a node, if its stream stands.
    pub(crate) fn agent(&self, node: &NodeName) -> Option<Arc<AgentStream>> {
        self.lock().agents.get(node).map(|(_, agent)| Arc::clone(agent))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Makes this the stream of a node's agent. A stream that was there before is cut: an agent that connects again knows
    /// better than we do that its old connection is dead. True when there was one.
    pub(crate) fn become_agent(&self, node: &NodeName, agent: Arc<AgentStream>) -> bool {
        let mut inner = self.live.lock();
        let Some((before, _)) = inner.agents.insert(node.clone(), (self.id, agent)) else {
            return false;
        };
        if let Some((_, cut)) = inner.streams.get(&before) {
            cut.cancel();
        }
        true
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut inner = self.live.lock();
        inner.streams.remove(&self.id);
        inner.agents.retain(|_, (id, _)| *id != self.id);
    }
}

/// The stream of one agent.
pub(crate) struct AgentStream {
    /// What the agent calls itself.
    pub(crate) agent_version: String,
    /// From where it dialled.
    pub(crate) remote: IpAddr,
    down: mpsc::Sender<Result<v1::ControllerMessage, Status>>,
    next_refresh: AtomicU64,
    refreshed: watch::Sender<u64>,
    clock: Mutex<Clock>,
}

#[derive(Default)]
struct Clock {
    // Node's clock minus ours at receipt. The largest is the one that travelled fastest, thus the nearest to the truth.
    samples: VecDeque<i64>,
    last_seen: Option<Timestamp>,
    confirmed_at: Option<Timestamp>,
}

impl Clock {
    fn offset(&self) -> i64 {
        self.samples.iter().copied().max().unwrap_or(0)
    }

    fn sample(&mut self, node_clock: Timestamp, received: Timestamp) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(node_clock.millis_since(received));
        self.last_seen = Some(received);
    }

    fn confirm(&mut self, node_clock: Timestamp, received: Timestamp) {
        self.sample(node_clock, received);
        self.confirmed_at = Some(node_clock.plus_millis(-self.offset()).min(received));
    }
}

impl AgentStream {
    /// A stream whose messages down go into `down`.
    pub(crate) fn new(
        agent_version: String,
        remote: IpAddr,
        down: mpsc::Sender<Result<v1::ControllerMessage, Status>>,
    ) -> Self {
        Self {
            agent_version,
            remote,
            down,
            next_refresh: AtomicU64::new(1),
            refreshed: watch::Sender::new(0),
            clock: Mutex::default(),
        }
    }

    /// Asks the agent to read all its sources again and waits until what changed is durable here. False when it did not
    /// come about in time.
    pub(crate) async fn refresh(&self, limit: Duration) -> bool {
        let request = self.next_refresh.fetch_add(1, Ordering::Relaxed);
        let mut refreshed = self.refreshed.subscribe();
        let message = v1::controller_message::Message::Refresh(v1::Refresh { request });
        if self.down.try_send(Ok(v1::ControllerMessage { message: Some(message) })).is_err() {
            return false;
        }
        tokio::time::timeout(limit, refreshed.wait_for(|done| *done >= request)).await.is_ok_and(|done| done.is_ok())
    }

    /// Hands the agent a plan for its actuator. False when the stream takes nothing more, and has not taken this.
    pub(crate) fn act(&self, act: v1::Act) -> bool {
        let message = v1::controller_message::Message::Act(act);
        self.down.try_send(Ok(v1::ControllerMessage { message: Some(message) })).is_ok()
    }

    /// Something came from the agent.
    pub(crate) fn seen(&self, received: Timestamp) {
        self.clock().last_seen = Some(received);
    }

    /// The agent said the time without saying more.
    pub(crate) fn heard(&self, node_clock: Timestamp, received: Timestamp) {
        self.clock().sample(node_clock, received);
    }

    /// The agent says that everything it sent is still so.
    pub(crate) fn confirmed(&self, node_clock: Timestamp, received: Timestamp) {
        self.clock().confirm(node_clock, received);
    }

    /// The agent has answered a request to read its sources again.
    pub(crate) fn answered(&self, request: u64, node_clock: Timestamp, received: Timestamp) {
        self.confirmed(node_clock, received);
        self.refreshed.send_if_modified(|done| {
            let newer = request > *done && request < self.next_refresh.load(Ordering::Relaxed);
            if newer {
                *done = request;
            }
            newer
        });
    }

    /// What a picture says of the agent.
    pub(crate) fn state(&self) -> AgentState {
        let clock = self.clock();
        AgentState {
            online: true,
            last_seen: clock.last_seen,
            confirmed_at: clock.confirmed_at,
            clock_offset_ms: clock.offset(),
            late: false,
        }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REMOTE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn the_offset_is_that_of_the_message_that_travelled_fastest() {
        let mut clock = Clock::default();
        // The node is 1000 ms ahead; messages take 5, 300 and 20 ms.
        for (sent, latency) in [(10_000, 5), (20_000, 300), (30_000, 20)] {
            clock.confirm(Timestamp(sent + 1000), Timestamp(sent + latency));
        }
        assert_eq!(clock.offset(), 995);
        // Confirmed as of the sending, not of the receipt, and never in the future.
        assert_eq!(clock.confirmed_at, Some(Timestamp(30_005)));
    }

    #[test]
    fn a_jump_of_the_clock_is_forgotten_with_its_samples() {
        let mut clock = Clock::default();
        clock.sample(Timestamp(86_400_000), Timestamp(0));
        for at in 1..=8 {
            clock.sample(Timestamp(at), Timestamp(at));
        }
        assert_eq!(clock.offset(), 0);
    }

    #[tokio::test]
    async fn a_second_stream_of_a_node_cuts_the_first_and_outlives_it() {
        let live = Arc::new(Live::default());
        let node: NodeName = "es-1".parse().unwrap();
        let (down, _up) = mpsc::channel(1);
        let first = live.enter("01");
        assert!(!first.become_agent(&node, Arc::new(AgentStream::new("a".to_owned(), REMOTE, down.clone()))));
        let second = live.enter("02");
        assert!(second.become_agent(&node, Arc::new(AgentStream::new("b".to_owned(), REMOTE, down))));
        assert!(first.cut.is_cancelled() && !second.cut.is_cancelled());
        drop(first);
        assert_eq!(live.agent(&node).unwrap().agent_version, "b");
        assert_eq!(live.cut(&["02".to_owned()]), 1);
        drop(second);
        assert!(live.agent(&node).is_none());
    }

    #[tokio::test]
    async fn an_answer_to_a_request_that_was_never_made_counts_for_nothing() {
        let (down, mut up) = mpsc::channel(4);
        let agent = Arc::new(AgentStream::new("a".to_owned(), REMOTE, down));
        agent.answered(99, Timestamp(0), Timestamp(0));
        let waiting = tokio::spawn({
            let agent = Arc::clone(&agent);
            async move { agent.refresh(Duration::from_secs(5)).await }
        });
        let sent = up.recv().await.unwrap().unwrap();
        let Some(v1::controller_message::Message::Refresh(v1::Refresh { request })) = sent.message else {
            panic!("{sent:?}")
        };
        assert!(!waiting.is_finished());
        agent.answered(request, Timestamp(0), Timestamp(0));
        assert!(waiting.await.unwrap());
    }
}
