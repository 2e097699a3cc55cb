//! Evidence and changes of each node, over the store. Blocking.
//!
//! A node's partition holds `contact` (who speaks and up to where), `state/KIND/SUBJECT` (the newest envelope of each state),
//! `event/N` and `change/N` (N counts up within the node; the oldest go when there are more than the limits). What the controller
//! reads itself has a partition that no agent can write to: `cloud/NODE` and `seq`.

use std::collections::BTreeMap;
use std::sync::Arc;

use common_model::{Body, Change, Class, Envelope, Incarnation, NodeName, Timestamp};
use controller_correlate::changes;
use controller_store::{Batch, Order, Store, StoreError, scan_prefix};
use prost::Message;
use proto::v1;
use serde::{Deserialize, Serialize};

/// Events kept of each node, and their bytes.
const MAX_EVENTS: u64 = 20_000;
const MAX_EVENT_BYTES: u64 = 64 * 1024 * 1024;
/// Changes kept of each node.
const MAX_CHANGES: u64 = 20_000;
/// States kept of each node, and their bytes; an agent that invents subjects cannot fill the disk.
const MAX_STATES: u64 = 2_000;
const MAX_STATE_BYTES: u64 = 64 * 1024 * 1024;

const CONTACT: &str = "contact";
/// What the controller itself reads.
const OWN: &str = "own";
const SEQ: &str = "seq";
const PARTITION: &str = "node:";

/// What is known of the agent that speaks for a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Contact {
    /// The agent's spool.
    pub incarnation: Option<Incarnation>,
    /// Highest sequence number of that incarnation that is durable here.
    pub acked_seq: u64,
    /// When the agent was last heard, by the controller's clock; written seldom, the live registry knows better.
    pub last_seen: Option<Timestamp>,
    /// What the agent calls itself.
    pub agent_version: Option<String>,
    /// Milliseconds the node's clock is ahead of the controller's.
    pub clock_offset_ms: i64,
    first_event: u64,
    events: u64,
    event_bytes: u64,
    changes: u64,
    states: u64,
    state_bytes: u64,
}

impl Contact {
    /// Whether there is room for this state, which replaces `previous`; if so, it is counted.
    fn admit(&mut self, previous: Option<&Envelope>, next: &Envelope) -> bool {
        let states = self.states + u64::from(previous.is_none());
        let bytes = self.state_bytes.saturating_sub(previous.map_or(0, size)) + size(next);
        let grows = previous.is_none_or(|previous| size(next) > size(previous));
        let fits = states <= MAX_STATES && bytes <= MAX_STATE_BYTES;
        if fits || !grows {
            (self.states, self.state_bytes) = (states, bytes);
        }
        fits || !grows
    }
}

/// What a batch of envelopes brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ingested {
    /// Everything up to here is durable; acknowledge this.
    pub acked_seq: u64,
    /// New entries of the change log.
    pub changes: Vec<Change>,
    /// Envelopes that were here already.
    pub duplicates: u64,
    /// Sequence numbers that never came.
    pub lost: u64,
    /// States that were not kept, because the node has more of them than any real one.
    pub refused: u64,
}

/// Why evidence could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceLogError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry could not be written as JSON.
    #[error("an entry cannot be written")]
    Encode(#[from] serde_json::Error),
}

/// The evidence of all nodes.
#[derive(Clone)]
pub struct EvidenceLog {
    store: Arc<dyn Store>,
}

impl EvidenceLog {
    /// Over this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Every node that ever sent something, in order of name.
    pub fn nodes(&self) -> Result<Vec<NodeName>, EvidenceLogError> {
        let partitions = self.store.partitions()?;
        Ok(partitions.iter().filter_map(|name| name.strip_prefix(PARTITION)?.parse().ok()).collect())
    }

    /// What is known of a node's agent.
    pub fn contact(&self, node: &NodeName) -> Result<Contact, EvidenceLogError> {
        Ok(self.versioned_contact(node)?.0)
    }

    /// Where an agent goes on from: everything up to this number is durable. 0 for an incarnation that is new here.
    pub fn resume(&self, node: &NodeName, incarnation: Incarnation) -> Result<u64, EvidenceLogError> {
        let contact = self.contact(node)?;
        Ok(if contact.incarnation == Some(incarnation) { contact.acked_seq } else { 0 })
    }

    /// Notes that the agent was heard.
    pub fn heard(
        &self,
        node: &NodeName,
        at: Timestamp,
        clock_offset_ms: i64,
        agent_version: Option<String>,
    ) -> Result<(), EvidenceLogError> {
        self.update_contact(node, |contact| {
            contact.last_seen = Some(at);
            contact.clock_offset_ms = clock_offset_ms;
            if agent_version.is_some() {
                contact.agent_version.clone_from(&agent_version);
            }
        })
    }

    /// Makes envelopes of one node and incarnation durable, in order of their numbers, and derives the changes they show.
    /// Those that are here already are dropped. The caller has checked that the sender is the node.
    pub fn ingest(
        &self,
        node: &NodeName,
        incarnation: Incarnation,
        envelopes: Vec<Envelope>,
    ) -> Result<Ingested, EvidenceLogError> {
        let (mut contact, version) = self.versioned_contact(node)?;
        if contact.incarnation != Some(incarnation) {
            contact.incarnation = Some(incarnation);
            contact.acked_seq = 0;
        }
        let mut ingested = Ingested { acked_seq: contact.acked_seq, ..Ingested::default() };
        let mut batch = Batch::default().expect(CONTACT, version);
        let mut newest: BTreeMap<String, Envelope> = BTreeMap::new();
        for envelope in envelopes {
            if envelope.seq <= ingested.acked_seq {
                ingested.duplicates += 1;
                continue;
            }
            ingested.lost += envelope.seq - ingested.acked_seq - 1;
            ingested.acked_seq = envelope.seq;
            let key = state_key(&envelope);
            let previous = match (envelope.class, newest.get(&key)) {
                (Class::Event, _) => None,
                (Class::State, Some(previous)) => Some(previous.clone()),
                (Class::State, None) => self.envelope(node, &key)?,
            };
            if envelope.class == Class::State && !contact.admit(previous.as_ref(), &envelope) {
                ingested.refused += 1;
                continue;
            }
            for change in changes::between(previous.as_ref(), &envelope) {
                batch = batch.put(numbered("change", contact.changes), serde_json::to_vec(&change)?);
                if let Some(oldest) = contact.changes.checked_sub(MAX_CHANGES) {
                    batch = batch.delete(numbered("change", oldest));
                }
                contact.changes += 1;
                ingested.changes.push(change);
            }
            match envelope.class {
                Class::State => {
                    newest.insert(key, envelope);
                }
                Class::Event => {
                    contact.event_bytes += size(&envelope);
                    batch = batch.put(numbered("event", contact.events), v1::Envelope::from(envelope).encode_to_vec());
                    contact.events += 1;
                }
            }
        }
        for (key, envelope) in newest {
            batch = batch.put(key, v1::Envelope::from(envelope).encode_to_vec());
        }
        batch = self.forget_events(node, &mut contact, batch)?;
        contact.acked_seq = ingested.acked_seq;
        self.store.commit(&partition(node), &batch.put(CONTACT, serde_json::to_vec(&contact)?))?;
        Ok(ingested)
    }

    /// Removes the oldest events that are over the limits. Those that came with this very batch stay until the next one.
    fn forget_events(
        &self,
        node: &NodeName,
        contact: &mut Contact,
        mut batch: Batch,
    ) -> Result<Batch, EvidenceLogError> {
        while contact.events - contact.first_event > MAX_EVENTS || contact.event_bytes > MAX_EVENT_BYTES {
            let key = numbered("event", contact.first_event);
            let Some(oldest) = self.envelope(node, &key)? else {
                if contact.first_event >= contact.events || batch.put.iter().any(|(new, _)| *new == key) {
                    break;
                }
                // A damaged one.
                contact.first_event += 1;
                batch = batch.delete(key);
                continue;
            };
            contact.first_event += 1;
            contact.event_bytes = contact.event_bytes.saturating_sub(size(&oldest));
            batch = batch.delete(key);
        }
        Ok(batch)
    }

    /// Keeps what the controller itself has read of a node's cloud, numbered, in place of what it read before.
    pub fn keep_own(&self, node: &NodeName, mut envelope: Envelope) -> Result<(), EvidenceLogError> {
        loop {
            let stored = self.store.get(OWN, SEQ)?;
            let last: u64 = match &stored {
                Some(stored) => serde_json::from_slice(&stored.value)?,
                None => 0,
            };
            envelope.seq = last + 1;
            let batch = Batch::default()
                .expect(SEQ, stored.map(|stored| stored.version))
                .put(SEQ, serde_json::to_vec(&envelope.seq)?)
                .put(format!("cloud/{node}"), v1::Envelope::from(envelope.clone()).encode_to_vec());
            match self.store.commit(OWN, &batch) {
                Err(StoreError::Conflict { .. }) => {}
                other => return Ok(other?),
            }
        }
    }

    /// What the controller itself has last read of a node's cloud.
    pub fn own(&self, node: &NodeName) -> Result<Option<Envelope>, EvidenceLogError> {
        let stored = self.store.get(OWN, &format!("cloud/{node}"))?;
        Ok(stored.and_then(|stored| decode(&stored.value)))
    }

    /// The newest envelope of each state of a node.
    pub fn states(&self, node: &NodeName) -> Result<Vec<Envelope>, EvidenceLogError> {
        let rows = scan_prefix(&*self.store, &partition(node), "state/", Order::Ascending, usize::MAX)?;
        Ok(rows.iter().filter_map(|(_, stored)| decode(&stored.value)).collect())
    }

    /// The newest envelope of each state of this kind of a node.
    pub fn states_of(&self, node: &NodeName, kind: &str) -> Result<Vec<Envelope>, EvidenceLogError> {
        let prefix = format!("state/{kind}/");
        let rows = scan_prefix(&*self.store, &partition(node), &prefix, Order::Ascending, usize::MAX)?;
        Ok(rows.iter().filter_map(|(_, stored)| decode(&stored.value)).collect())
    }

    /// The newest events of a node, oldest first, at most `limit`.
    pub fn recent_events(&self, node: &NodeName, limit: usize) -> Result<Vec<Envelope>, EvidenceLogError> {
        let mut rows = scan_prefix(&*self.store, &partition(node), "event/", Order::Descending, limit)?;
        rows.reverse();
        Ok(rows.iter().filter_map(|(_, stored)| decode(&stored.value)).collect())
    }

    /// The newest entries of a node's change log, oldest first, at most `limit`.
    pub fn recent_changes(&self, node: &NodeName, limit: usize) -> Result<Vec<Change>, EvidenceLogError> {
        let mut rows = scan_prefix(&*self.store, &partition(node), "change/", Order::Descending, limit)?;
        rows.reverse();
        Ok(rows.iter().filter_map(|(_, stored)| serde_json::from_slice(&stored.value).ok()).collect())
    }

    fn envelope(&self, node: &NodeName, key: &str) -> Result<Option<Envelope>, EvidenceLogError> {
        let stored = self.store.get(&partition(node), key)?;
        Ok(stored.and_then(|stored| decode(&stored.value)))
    }

    fn versioned_contact(&self, node: &NodeName) -> Result<(Contact, Option<u64>), EvidenceLogError> {
        Ok(match self.store.get(&partition(node), CONTACT)? {
            Some(stored) => (serde_json::from_slice(&stored.value).unwrap_or_default(), Some(stored.version)),
            // Of a new node; or it was damaged, and the numbers of what is there must not be given again.
            None => {
                let first_event = self.end(node, "event", Order::Ascending)?.unwrap_or(0);
                let events = self.end(node, "event", Order::Descending)?.map_or(0, |newest| newest + 1);
                let changes = self.end(node, "change", Order::Descending)?.map_or(0, |newest| newest + 1);
                (Contact { first_event, events, changes, ..Contact::default() }, None)
            }
        })
    }

    fn end(&self, node: &NodeName, what: &str, order: Order) -> Result<Option<u64>, EvidenceLogError> {
        let mut rows = scan_prefix(&*self.store, &partition(node), &format!("{what}/"), order, 1)?;
        Ok(rows.pop().and_then(|(key, _)| u64::from_str_radix(key.rsplit('/').next()?, 16).ok()))
    }

    fn update_contact(&self, node: &NodeName, update: impl Fn(&mut Contact)) -> Result<(), EvidenceLogError> {
        loop {
            let (mut contact, version) = self.versioned_contact(node)?;
            update(&mut contact);
            let batch = Batch::default().expect(CONTACT, version).put(CONTACT, serde_json::to_vec(&contact)?);
            match self.store.commit(&partition(node), &batch) {
                Err(StoreError::Conflict { .. }) => {}
                other => return Ok(other?),
            }
        }
    }
}

fn partition(node: &NodeName) -> String {
    format!("{PARTITION}{node}")
}

/// A subject may be longer than a key may be, and may hold anything; its checksum keeps keys short and distinct.
fn state_key(envelope: &Envelope) -> String {
    let subject = &envelope.subject;
    if subject.len() <= 512 {
        return format!("state/{}/{subject}", envelope.kind);
    }
    let head: String = subject.chars().take(128).collect();
    format!("state/{}/{head}#{:08x}", envelope.kind, crc32fast::hash(subject.as_bytes()))
}

fn numbered(what: &str, number: u64) -> String {
    format!("{what}/{number:016x}")
}

/// Bytes that an envelope counts against its node's limits.
fn size(envelope: &Envelope) -> u64 {
    let body = match &envelope.body {
        Body::Raw(raw) => raw.len(),
        Body::Failed(failure) => failure.message.len(),
        Body::Gone => 0,
    };
    u64::try_from(body + envelope.subject.len()).unwrap_or(u64::MAX)
}

fn decode(bytes: &[u8]) -> Option<Envelope> {
    v1::Envelope::decode(bytes).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use controller_store::SledStore;

    use super::*;

    const LIFE: Incarnation = Incarnation(1);

    fn log(directory: &std::path::Path) -> EvidenceLog {
        EvidenceLog::new(Arc::new(SledStore::open(directory).unwrap().0))
    }

    fn envelope(seq: u64, class: Class, subject: &str, raw: &str) -> Envelope {
        Envelope {
            node: "es-1".parse().unwrap(),
            incarnation: LIFE,
            seq,
            kind: "sysctl".parse().unwrap(),
            class,
            schema: 1,
            subject: subject.to_owned(),
            taken_at: Timestamp(i64::try_from(seq).unwrap()),
            body: Body::Raw(raw.as_bytes().to_vec()),
        }
    }

    #[test]
    fn what_was_sent_twice_is_kept_once() {
        let directory = tempfile::tempdir().unwrap();
        let (log, node) = (log(directory.path()), "es-1".parse().unwrap());
        let batch = vec![envelope(1, Class::Event, "", "a"), envelope(2, Class::Event, "", "b")];
        assert_eq!(log.ingest(&node, LIFE, batch.clone()).unwrap().acked_seq, 2);
        let again = log.ingest(&node, LIFE, batch).unwrap();
        assert_eq!((again.acked_seq, again.duplicates, again.lost), (2, 2, 0));
        assert_eq!(log.recent_events(&node, 10).unwrap().len(), 2);
        assert_eq!(log.resume(&node, LIFE).unwrap(), 2);
        assert_eq!(log.resume(&node, Incarnation(2)).unwrap(), 0);
    }

    #[test]
    fn numbers_that_never_came_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let (log, node) = (log(directory.path()), "es-1".parse().unwrap());
        let batch = vec![envelope(1, Class::Event, "", "a"), envelope(5, Class::Event, "", "b")];
        assert_eq!(log.ingest(&node, LIFE, batch).unwrap().lost, 3);
    }

    #[test]
    fn a_state_replaces_the_one_before_also_within_a_batch_and_after_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let node = "es-1".parse().unwrap();
        let batch = vec![envelope(1, Class::State, "x", "{}"), envelope(2, Class::State, "x", "{\"a\":\"1\"}")];
        log(directory.path()).ingest(&node, LIFE, batch).unwrap();
        let log = log(directory.path());
        let states = log.states(&node).unwrap();
        assert_eq!(states.iter().map(|state| state.seq).collect::<Vec<_>>(), [2]);
        assert_eq!(log.nodes().unwrap(), [node]);
    }

    #[test]
    fn an_agent_that_invents_subjects_is_kept_within_limits() {
        let directory = tempfile::tempdir().unwrap();
        let (log, node) = (log(directory.path()), "es-1".parse().unwrap());
        let state = |n: u64, raw: &str| envelope(n, Class::State, &format!("s{}", n % 3000), raw);
        let mut refused = 0;
        for first in [1, 1001, 2001] {
            let batch = (first..first + 1000).map(|n| state(n, "{}")).collect();
            refused += log.ingest(&node, LIFE, batch).unwrap().refused;
        }
        assert_eq!(refused, 1000);
        assert_eq!(log.states(&node).unwrap().len(), 2000);
        // Those that are there go on being replaced.
        let again = log.ingest(&node, LIFE, vec![state(3001, "{\"a\":\"1\"}")]).unwrap();
        assert_eq!((again.refused, again.acked_seq), (0, 3001));
    }

    #[test]
    fn the_oldest_events_go_when_there_are_too_many_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let (log, node) = (log(directory.path()), "es-1".parse().unwrap());
        let large = "x".repeat(1024 * 1024);
        for seq in 1..=70 {
            log.ingest(&node, LIFE, vec![envelope(seq, Class::Event, "", &large)]).unwrap();
        }
        let kept: Vec<u64> = log.recent_events(&node, usize::MAX).unwrap().iter().map(|event| event.seq).collect();
        assert_eq!(kept, (7..=70).collect::<Vec<_>>());
    }

    #[test]
    fn numbers_are_not_given_again_when_the_contact_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let (log, node) = (log(directory.path()), "es-1".parse().unwrap());
        log.ingest(&node, LIFE, vec![envelope(1, Class::Event, "", "a"), envelope(2, Class::Event, "", "b")]).unwrap();
        log.store.commit(&partition(&node), &Batch::default().delete(CONTACT)).unwrap();
        log.ingest(&node, Incarnation(2), vec![envelope(1, Class::Event, "", "c")]).unwrap();
        assert_eq!(log.recent_events(&node, 10).unwrap().len(), 3);
    }
}
