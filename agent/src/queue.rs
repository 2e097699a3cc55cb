//! The queue of envelopes between those who read the host and the stream to the controller.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_spool::{Appended, New, Spool, SpoolError};
use common_model::{Class, Incarnation};
use prost::Message;
use proto::v1;
use tokio::sync::Notify;

/// The queue of envelopes, shared by those who fill it and the stream that empties it.
#[derive(Clone)]
pub struct Queue {
    spool: Arc<Mutex<Spool>>,
    pub(crate) appended: Arc<Notify>,
    pub(crate) acknowledged: Arc<Notify>,
    /// States were dropped for lack of room.
    pub(crate) states_lost: Arc<AtomicBool>,
    /// The last try to append failed, and that has been said.
    stuck: Arc<AtomicBool>,
}

impl Queue {
    /// Over an open spool.
    pub fn new(spool: Spool) -> Self {
        Self {
            spool: Arc::new(Mutex::new(spool)),
            appended: Arc::default(),
            acknowledged: Arc::default(),
            states_lost: Arc::default(),
            stuck: Arc::default(),
        }
    }

    /// Appends envelopes durably, in order, and wakes the stream. Node, incarnation and number are filled in when they are
    /// sent.
    pub async fn append(&self, envelopes: Vec<(Class, v1::Envelope)>) -> Result<Appended, SpoolError> {
        let record = |(class, envelope): (Class, v1::Envelope)| New { class, payload: envelope.encode_to_vec() };
        let records: Vec<New> = envelopes.into_iter().map(record).collect();
        let wake = Arc::clone(&self.appended);
        // Who appends may be dropped while this is written; it is sent all the same.
        let append = move |spool: &mut Spool| spool.append(&records).inspect(|_| wake.notify_one());
        let appended = self.with(append).await;
        self.tell(&appended);
        let appended = appended?;
        if let Some(dropped) = appended.dropped {
            tracing::warn!(
                first = dropped.first,
                last = dropped.last,
                states = dropped.states,
                events = dropped.events,
                "the spool is full: dropped the oldest evidence that was not yet sent"
            );
            self.states_lost.fetch_or(dropped.states > 0, Ordering::Relaxed);
        }
        Ok(appended)
    }

    /// Says once that nothing can be queued, and once that it can again.
    fn tell(&self, appended: &Result<Appended, SpoolError>) {
        match (appended, self.stuck.swap(appended.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => tracing::error!(
                "evidence cannot be queued: {}; states are read again and the journal keeps its lines until it can be",
                chain(error)
            ),
            (Ok(_), true) => tracing::info!("evidence can be queued again"),
            _ => {}
        }
    }

    /// Waits until everything appended is acknowledged.
    pub async fn drained(&self) {
        while self.with(|spool| spool.acked() < spool.last()).await {
            self.acknowledged.notified().await;
        }
    }

    /// Names this life of the queue.
    pub fn incarnation(&self) -> Incarnation {
        self.lock().incarnation()
    }

    /// What is in it.
    #[cfg(test)]
    pub(crate) async fn queued(&self) -> Vec<v1::Envelope> {
        let items = self.with(|spool| spool.read(0, usize::MAX)).await;
        let records = items.into_iter().filter_map(|item| match item {
            agent_spool::Item::Record { payload, .. } => Some(payload),
            agent_spool::Item::Gap { .. } => None,
        });
        records.map(|payload| v1::Envelope::decode(payload.as_slice()).unwrap()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the spool, off the runtime's own threads: it blocks on the disk.
    pub(crate) async fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Spool) -> T + Send + 'static) -> T {
        let queue = self.clone();
        match tokio::task::spawn_blocking(move || work(&mut queue.lock())).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// An error and its sources in one line.
fn chain(error: &dyn Error) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
