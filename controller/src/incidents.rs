//! Incidents over the store. Blocking. What follows what is decided by `controller_remedy::incident`.
//!
//! Partition `incidents`: `incident/N` holds an incident, `diagnosis/N` the last diagnosis of it, and `open/N` is there for as long
//! as it has not ended; N in hex, so that the order of keys is that of the incidents.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common_model::incident::{Incident, IncidentId, IncidentPlan, What};
use common_model::{CauseId, Diagnosis, Timestamp};
use controller_remedy::incident::{self, Event, Look};
use controller_store::{Batch, Order, Store, StoreError, scan_prefix};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::audit::{Audit, AuditError, Note};

const PARTITION: &str = "incidents";
/// Incidents open at once; each is looked at every few seconds.
const MAX_OPEN: usize = 200;
/// Incidents listed, the newest first.
const MAX_SHOWN: usize = 200;
/// Ended incidents that are looked through for plans that have not ended.
const UNSETTLED: usize = 20;
/// Ended incidents kept, and for how long.
const MAX_ENDED: usize = 1_000;
const KEEP_MS: i64 = 90 * 24 * 60 * 60 * 1000;

/// An incident as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Itself.
    pub(crate) incident: Incident,
    /// The cause for which plans were last proposed without anybody's asking.
    proposed_for: Option<CauseId>,
}

/// Why something was not done to an incident.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IncidentError {
    /// There is none.
    #[error("there is no incident {0}: `dialtone incidents --all` lists them")]
    Unknown(IncidentId),
    /// It is over.
    #[error("incident {0} has ended already")]
    Ended(IncidentId),
    /// Not written down, so not done.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is kept is not what was put there.
    #[error("an incident cannot be written or read")]
    Entry(#[from] serde_json::Error),
}

/// All incidents.
pub(crate) struct Incidents {
    store: Arc<dyn Store>,
    audit: Arc<Audit>,
    // Those that have not ended, as they are in the store. An incident is read, judged and written by one at a time.
    open: Mutex<BTreeMap<IncidentId, Kept>>,
    changed: watch::Sender<u64>,
}

impl Incidents {
    /// Over this store and audit log.
    pub(crate) fn new(store: Arc<dyn Store>, audit: Arc<Audit>) -> Result<Self, StoreError> {
        let mut open = BTreeMap::new();
        for (key, _) in scan_prefix(&*store, PARTITION, "open/", Order::Ascending, MAX_OPEN)? {
            let Some(id) = number(&key, "open/") else { continue };
            match read(&*store, id) {
                Ok(kept) => drop(open.insert(id, kept)),
                Err(error) => warn!(incident = %id, error = %crate::core::chain(&error), "an open incident is lost"),
            }
        }
        Ok(Self { store, audit, open: Mutex::new(open), changed: watch::Sender::new(0) })
    }

    /// Changes whenever an incident does.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Those that have not ended, newest first.
    pub(crate) fn open(&self) -> Vec<Incident> {
        self.lock().values().rev().map(|kept| kept.incident.clone()).collect()
    }

    /// Those that have not ended, and of the newest those whose plans have not.
    pub(crate) fn unsettled(&self) -> Result<Vec<Incident>, IncidentError> {
        let open = self.lock().len();
        let mut incidents = self.all(UNSETTLED + open)?;
        incidents.retain(|incident| incident.is_open() || incident.plans.iter().any(|plan| !plan.ended));
        Ok(incidents)
    }

    /// The newest, ended ones too; those that have not ended first.
    pub(crate) fn all(&self, limit: usize) -> Result<Vec<Incident>, IncidentError> {
        let mut incidents = self.open();
        let rows = scan_prefix(&*self.store, PARTITION, "incident/", Order::Descending, limit.min(MAX_SHOWN))?;
        for (_, stored) in rows {
            let Kept { incident, .. } = serde_json::from_slice(&stored.value)?;
            if !incident.is_open() {
                incidents.push(incident);
            }
        }
        incidents.truncate(limit.min(MAX_SHOWN));
        Ok(incidents)
    }

    /// One, with the JSON of its last diagnosis.
    pub(crate) fn get(&self, id: IncidentId) -> Result<(Incident, Option<Vec<u8>>), IncidentError> {
        let kept = read(&*self.store, id)?;
        let diagnosis = self.store.get(PARTITION, &key("diagnosis/", id))?;
        Ok((kept.incident, diagnosis.map(|stored| stored.value)))
    }

    /// Takes in a diagnosis that the controller's own probes took part in: begins an incident, goes on with one, or ends it.
    /// `expected` says that somebody counts on the endpoint, `who` asked, and `answered_before` is when it was last seen to answer.
    /// Gives the incident it is about, where that is open now.
    pub(crate) fn seen(
        &self,
        diagnosis: &Diagnosis,
        expected: bool,
        who: &str,
        answered_before: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Incident>, IncidentError> {
        let Some(look) = Look::of(diagnosis) else { return Ok(None) };
        let mut open = self.lock();
        let known = open.values().find(|kept| look.is_of(&kept.incident)).cloned();
        let kept = match known {
            Some(mut kept) => {
                let Some(next) = incident::after(&kept.incident, Event::Looked(Box::new(look)), now) else {
                    return Ok(Some(kept.incident));
                };
                kept.incident = next;
                kept
            }
            None if !look.is_incident(expected) => return Ok(None),
            None if open.len() >= MAX_OPEN => {
                warn!(endpoint = %look.endpoint, "{MAX_OPEN} incidents are open: no more are begun");
                return Ok(None);
            }
            None => Kept { incident: self.begun(&look, who, answered_before, now)?, proposed_for: None },
        };
        let incident = kept.incident.clone();
        let diagnosis = serde_json::to_vec(diagnosis)?;
        self.write(&mut open, kept, Some(diagnosis), now)?;
        Ok(Some(incident).filter(Incident::is_open))
    }

    /// A new incident, or the last one of this endpoint, which had only seemed to be over.
    fn begun(
        &self,
        look: &Look,
        who: &str,
        answered_before: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Incident, IncidentError> {
        let rows = scan_prefix(&*self.store, PARTITION, "incident/", Order::Descending, MAX_SHOWN)?;
        let newest = rows.first().and_then(|(key, _)| number(key, "incident/")).map_or(0, |id| id.0);
        for (_, stored) in rows {
            let Kept { incident, .. } = serde_json::from_slice(&stored.value)?;
            if look.is_of(&incident) {
                if let Some(reopened) = incident::reopened(&incident, look.clone(), who, now) {
                    return Ok(reopened);
                }
                break;
            }
        }
        Ok(incident::open(IncidentId(newest + 1), look, who, answered_before, now))
    }

    /// Takes in an event; the incident as it then is.
    pub(crate) fn happened(&self, id: IncidentId, event: Event, now: Timestamp) -> Result<Incident, IncidentError> {
        let mut open = self.lock();
        let mut kept = match open.get(&id) {
            Some(kept) => kept.clone(),
            None if matches!(event, Event::Plans(_)) => read(&*self.store, id)?,
            None => {
                read(&*self.store, id)?;
                return Err(IncidentError::Ended(id));
            }
        };
        let by_person = match &event {
            Event::Closed { operator, because } => Some((format!("operator {operator}"), because.clone())),
            Event::Looked(_) | Event::Plans(_) | Event::Changes(_) => None,
        };
        let Some(next) = incident::after(&kept.incident, event, now) else { return Ok(kept.incident) };
        if let Some((who, because)) = by_person {
            self.audit.append(&note(&who, "incident-closed", &next, &because), now)?;
        }
        kept.incident = next.clone();
        self.write(&mut open, kept, None, now)?;
        Ok(next)
    }

    /// Whether nobody has proposed plans for an incident's cause without being asked yet; from now on, somebody has.
    pub(crate) fn is_to_be_proposed_for(&self, id: IncidentId, now: Timestamp) -> Result<bool, IncidentError> {
        let mut open = self.lock();
        let Some(mut kept) = open.get(&id).cloned() else { return Ok(false) };
        let cause = kept.incident.verdict.cause.clone();
        if kept.proposed_for.as_ref() == Some(&cause) {
            return Ok(false);
        }
        kept.proposed_for = Some(cause);
        self.write(&mut open, kept, None, now)?;
        Ok(true)
    }

    /// Forgets incidents that ended long ago; the audit log keeps that they were.
    pub(crate) fn prune(&self, now: Timestamp) -> Result<(), IncidentError> {
        let rows = scan_prefix(&*self.store, PARTITION, "incident/", Order::Descending, usize::MAX)?;
        let (mut ended, mut batch) = (0, Batch::default());
        for (at, stored) in rows {
            let Kept { incident, .. } = serde_json::from_slice(&stored.value)?;
            let Some(closed) = incident.closed else { continue };
            ended += 1;
            if ended > MAX_ENDED || now.millis_since(closed.at) > KEEP_MS {
                batch = batch.delete(at).delete(key("diagnosis/", incident.id));
            }
        }
        if batch.delete.is_empty() { Ok(()) } else { Ok(self.store.commit(PARTITION, &batch)?) }
    }

    /// Writes an incident, and into the audit log that it began or ended by itself.
    fn write(
        &self,
        open: &mut BTreeMap<IncidentId, Kept>,
        kept: Kept,
        diagnosis: Option<Vec<u8>>,
        now: Timestamp,
    ) -> Result<(), IncidentError> {
        let incident = &kept.incident;
        let id = incident.id;
        let mut batch = Batch::default().put(key("incident/", id), serde_json::to_vec(&kept)?);
        if let Some(diagnosis) = diagnosis.filter(|_| incident.is_open()) {
            // The one that ends it would hide what was wrong.
            batch = batch.put(key("diagnosis/", id), diagnosis);
        }
        let was_open = open.contains_key(&id);
        let began = !was_open && incident.is_open();
        batch = match incident.is_open() {
            true if began => batch.put(key("open/", id), Vec::new()),
            true => batch,
            false => batch.delete(key("open/", id)),
        };
        self.store.commit(PARTITION, &batch)?;
        if let (true, Some(begin)) = (began, incident.began()) {
            info!(incident = %id, endpoint = incident.endpoint, cause = %incident.verdict.cause, "an incident is open");
            let event = if begin.what == What::Reopened { "incident-reopened" } else { "incident-opened" };
            self.audit.note(&note(&begin.who, event, incident, &begin.sentence), now);
        }
        match &incident.closed {
            None => drop(open.insert(id, kept)),
            Some(_) if !was_open => {}
            Some(closed) => {
                info!(incident = %id, endpoint = incident.endpoint, because = closed.because, "an incident ended");
                if closed.who == "controller" {
                    self.audit.note(&note(&closed.who, "incident-closed", incident, &closed.because), now);
                }
                open.remove(&id);
            }
        }
        self.changed.send_modify(|changes| *changes += 1);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IncidentId, Kept>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a plan was made for an incident: for one of its names, and not over before it began.
pub(crate) fn is_for(incident: &Incident, goal: &str, plan: &IncidentPlan) -> bool {
    let goal = goal.parse().map(|goal| incident::with_scheme(goal).to_string());
    let named = goal.is_ok_and(|goal| incident.endpoint == goal || incident.also.contains(&goal));
    named && (!plan.ended || plan.since >= incident.opened_at)
}

fn note(who: &str, event: &'static str, incident: &Incident, said: &str) -> Note {
    let detail = format!("incident {}, {}: {said}", incident.id, incident.endpoint);
    Note { actor: who.to_owned(), event, plan: None, detail }
}

fn read(store: &dyn Store, id: IncidentId) -> Result<Kept, IncidentError> {
    let stored = store.get(PARTITION, &key("incident/", id))?.ok_or(IncidentError::Unknown(id))?;
    Ok(serde_json::from_slice(&stored.value)?)
}

fn key(kind: &str, id: IncidentId) -> String {
    format!("{kind}{:016x}", id.0)
}

fn number(key: &str, kind: &str) -> Option<IncidentId> {
    u64::from_str_radix(key.strip_prefix(kind)?, 16).ok().map(IncidentId)
}
