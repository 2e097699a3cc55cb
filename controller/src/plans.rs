//! Plans and what becomes of them, over the store. Blocking.
//!
//! Partition `plans`: `plan/ID` holds the exact bytes and the life of a plan; `open/ID` is there for as long as it has not ended,
//! `ended/MADE-ID` from then on, so that the newest are found without reading all. `limited/ID` is there for as long as what was
//! verified for a limited time is not known to be taken back. `acted/ID` says when the controller began to act on a plan of its
//! own.
//! Every step of a life is written to the audit log first; where that fails, the step is not made.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common_model::Timestamp;
use common_model::text::printable_line;
use common_plan::{Carrier, Entry, InvalidPlan, Plan, PlanBytes, PlanId, Record, RolloutId, Stage, State};
use controller_remedy::lifecycle::{self, Carried, Event, Impossible, Life};
use controller_store::{Batch, Order, Store, StoreError, scan_prefix};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::audit::{Audit, AuditError, Note};
use crate::evidence_log::EvidenceLogError;
use crate::faults;

const PARTITION: &str = "plans";
/// Plans shown, the newest first.
const MAX_SHOWN: usize = 500;
/// Ended plans kept, and for how long. The audit log keeps what became of them.
const MAX_ENDED: usize = 2_000;
const KEEP_MS: i64 = 90 * 24 * 60 * 60 * 1000;
/// Characters kept of what a node or person says.
const MAX_BECAUSE: usize = 500;

/// A plan as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Its exact bytes.
    pub(crate) bytes: PlanBytes,
    /// How it stands.
    pub(crate) life: Life,
    /// systemd's id of the unit's run right before it was handed over, where it starts one: another one shows that it did.
    #[serde(default)]
    pub(crate) run_before: Option<String>,
}

/// Why something was not done to a plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// There is none.
    #[error("there is no plan {0}: `dialtone plans` lists them")]
    Unknown(PlanId),
    /// It cannot be done to it now.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// The signature is not over these bytes.
    #[error("the signature is not one over exactly this plan")]
    Signature,
    /// Not written down, so not done.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It breaks a rule of all plans.
    #[error(transparent)]
    Invalid(#[from] InvalidPlan),
    /// What is known of a node cannot be read.
    #[error(transparent)]
    Evidence(#[from] EvidenceLogError),
    /// What is kept is not what was put there.
    #[error("an entry of the plans cannot be written or read")]
    Entry(#[from] serde_json::Error),
}

/// All plans.
pub(crate) struct Plans {
    store: Arc<dyn Store>,
    audit: Arc<Audit>,
    // A step is read, judged, audited and written by one at a time.
    writing: Mutex<()>,
    changed: watch::Sender<u64>,
}

impl Plans {
    /// Over this store and audit log.
    pub(crate) fn new(store: Arc<dyn Store>, audit: Arc<Audit>) -> Self {
        Self { store, audit, writing: Mutex::default(), changed: watch::Sender::new(0) }
    }

    /// Changes with every step of any plan.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// One plan.
    pub(crate) fn get(&self, id: &PlanId) -> Result<Kept, PlanError> {
        Ok(self.versioned(id)?.0)
    }

    /// The plans that have not ended, newest first.
    pub(crate) fn open(&self) -> Result<Vec<Kept>, PlanError> {
        self.listed(&["open/"])
    }

    /// The plans of which something is still to be heard, newest first: those that have not ended, and what was verified for a
    /// limited time and is not known to be taken back.
    pub(crate) fn current(&self) -> Result<Vec<Kept>, PlanError> {
        self.listed(&["open/", "limited/"])
    }

    fn listed(&self, prefixes: &[&str]) -> Result<Vec<Kept>, PlanError> {
        let mut plans = Vec::new();
        for prefix in prefixes {
            for (key, _) in scan_prefix(&*self.store, PARTITION, prefix, Order::Ascending, usize::MAX)? {
                let Some(id) = key.strip_prefix(prefix).and_then(|id| id.parse().ok()) else { continue };
                plans.extend(self.known(&id)?);
            }
        }
        newest_first(&mut plans);
        plans.dedup_by(|a, b| a.life.record.id == b.life.record.id);
        Ok(plans)
    }

    /// The newest plans, ended ones too.
    pub(crate) fn all(&self) -> Result<Vec<Kept>, PlanError> {
        let mut plans = self.open()?;
        let rows = scan_prefix(&*self.store, PARTITION, "ended/", Order::Descending, MAX_SHOWN)?;
        for id in rows.iter().filter_map(|(key, _)| ended_id(key)) {
            plans.extend(self.known(&id)?);
        }
        newest_first(&mut plans);
        plans.dedup_by(|a, b| a.life.record.id == b.life.record.id);
        plans.truncate(MAX_SHOWN);
        Ok(plans)
    }

    /// One of a list; none where it was forgotten since the list was read.
    fn known(&self, id: &PlanId) -> Result<Option<Kept>, PlanError> {
        match self.get(id) {
            Ok(kept) => Ok(Some(kept)),
            Err(PlanError::Unknown(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The plans whose ids begin like this, ended ones too.
    pub(crate) fn beginning_with(&self, prefix: &str) -> Result<Vec<Kept>, PlanError> {
        let rows = scan_prefix(&*self.store, PARTITION, &format!("plan/{prefix}"), Order::Ascending, MAX_SHOWN)?;
        let plans = rows.iter().map(|(_, stored)| serde_json::from_slice(&stored.value));
        let mut plans = plans.collect::<Result<Vec<Kept>, _>>()?;
        newest_first(&mut plans);
        Ok(plans)
    }

    /// Forgets plans that ended long ago. One that is forgotten can never be carried out: it cannot be approved any more.
    pub(crate) fn prune(&self, now: Timestamp) -> Result<(), PlanError> {
        let _writing = self.lock();
        let rows = scan_prefix(&*self.store, PARTITION, "ended/", Order::Descending, usize::MAX)?;
        let mut batch = Batch::default();
        for (n, (key, _)) in rows.into_iter().enumerate() {
            let Some((made_at, id)) = ended(&key) else { continue };
            if n >= MAX_ENDED || now.millis_since(made_at) > KEEP_MS {
                let keys = ["plan", "limited", "acted"].map(|kind| format!("{kind}/{id}"));
                batch = keys.into_iter().fold(batch, Batch::delete).delete(key);
            }
        }
        if batch.delete.is_empty() { Ok(()) } else { Ok(self.store.commit(PARTITION, &batch)?) }
    }

    /// The open plan that does the same on the same boot of the same node, if there is one; else, if `new` allows it, this one
    /// is taken in.
    pub(crate) fn propose(
        &self,
        plan: &Plan,
        needed: u8,
        title: &str,
        new: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<PlanId>, PlanError> {
        let _writing = self.lock();
        for kept in self.open()?.into_iter().filter(|kept| kept.life.record.rollout.is_none()) {
            let same = kept.bytes.decode().is_ok_and(|open| is_same(&open, plan));
            let record = kept.life.record;
            // One that ends in a moment is of no use to who is to read and sign it; one that is under way with the controller
            // does not end by that.
            let moment = 60_000.min(record.expires_at.millis_since(record.made_at) / 2);
            let lasts = record.expires_at > now.plus_millis(moment)
                || (record.action.carrier() == Carrier::Controller && record.stage == Stage::Applied);
            if same && lasts {
                return Ok(Some(record.id));
            }
        }
        let Some(for_whom) = new else { return Ok(None) };
        self.take_in(plan, needed, title, (&format!("for {for_whom}"), None), now).map(Some)
    }

    /// Takes in a plan of a rollout, which says when its turn is.
    pub(crate) fn propose_for(
        &self,
        plan: &Plan,
        needed: u8,
        title: &str,
        rollout: &RolloutId,
        now: Timestamp,
    ) -> Result<PlanId, PlanError> {
        let _writing = self.lock();
        self.take_in(plan, needed, title, (&format!("of rollout {rollout}"), Some(rollout)), now)
    }

    fn take_in(
        &self,
        plan: &Plan,
        needed: u8,
        title: &str,
        (for_what, rollout): (&str, Option<&RolloutId>),
        now: Timestamp,
    ) -> Result<PlanId, PlanError> {
        let bytes = plan.encode()?;
        let id = bytes.id();
        let record = Record {
            id: id.clone(),
            node: plan.node.clone(),
            action: plan.step.action(),
            title: printable_line(title),
            goal: plan.goal.clone(),
            made_at: plan.made_at,
            expires_at: plan.expires_at,
            needed,
            approvals: Vec::new(),
            could_approve: Vec::new(),
            stage: Stage::Proposed,
            history: Vec::new(),
            link: None,
            reverted_by: None,
            rollout: rollout.cloned(),
            until: None,
            follow_up: None,
        };
        let kept = Kept { bytes, life: Life::new(record), run_before: None };
        let detail = format!("{for_what}: {title}; bytes sha256:{}", kept.bytes.digest());
        self.audit.append(&note("controller", "plan-proposed", &id, detail), now)?;
        self.store.commit(PARTITION, &put(&kept, None)?)?;
        self.tell();
        Ok(id)
    }

    /// Takes in an event; the plan as it then is. Events that change nothing write nothing.
    pub(crate) fn happened(&self, id: &PlanId, event: &Event, now: Timestamp) -> Result<Kept, PlanError> {
        let _writing = self.lock();
        let (mut kept, version) = self.versioned(id)?;
        if let Event::Approved { operator, approval } = event
            && !approval.holds_for(&kept.bytes)
        {
            let detail = format!("the signature by key {} does not hold", approval.key);
            self.audit.append(&note(&format!("operator {operator}"), "approval-refused", id, detail), now)?;
            return Err(PlanError::Signature);
        }
        let life = match kept.life.after(event, now) {
            Ok(Some(life)) => life,
            Ok(None) => return Ok(kept),
            Err(impossible) => {
                if let Event::Approved { operator, .. } | Event::Rejected { operator, .. } = event {
                    let note = note(&format!("operator {operator}"), "refused", id, impossible.to_string());
                    self.audit.append(&note, now)?;
                }
                return Err(impossible.into());
            }
        };
        self.audit.append(&of_step(&life.record, event), now)?;
        if life.record.action.carrier() == Carrier::Controller {
            faults::point("audited");
        }
        kept.life = life;
        self.store.commit(PARTITION, &put(&kept, Some(version))?)?;
        self.tell();
        Ok(kept)
    }

    /// When something outside was last begun for a plan of the controller's own, if it was.
    pub(crate) fn acted_at(&self, id: &PlanId) -> Result<Option<Timestamp>, PlanError> {
        let stored = self.store.get(PARTITION, &format!("acted/{id}"))?;
        Ok(stored.map(|stored| serde_json::from_slice(&stored.value)).transpose()?)
    }

    /// Writes down that something outside is about to be done for a plan of the controller's own. Only once: who was here before
    /// may have done it.
    pub(crate) fn acting(&self, id: &PlanId, what: &str, now: Timestamp) -> Result<(), PlanError> {
        let key = format!("acted/{id}");
        self.audit.append(&note("controller", "plan-acts", id, what.to_owned()), now)?;
        let batch = Batch::default().expect(&key, None).put(&key, serde_json::to_vec(&now)?);
        Ok(self.store.commit(PARTITION, &batch)?)
    }

    /// Notes which run of a unit was the last before a plan starts another.
    pub(crate) fn about_to_start(&self, id: &PlanId, run: Option<String>) -> Result<(), PlanError> {
        let _writing = self.lock();
        let (mut kept, version) = self.versioned(id)?;
        kept.run_before = run;
        Ok(self.store.commit(PARTITION, &put(&kept, Some(version))?)?)
    }

    /// Notes which plan takes this one back.
    pub(crate) fn reverted_by(&self, id: &PlanId, by: &PlanId, who: &str, now: Timestamp) -> Result<(), PlanError> {
        let _writing = self.lock();
        let (mut kept, version) = self.versioned(id)?;
        self.audit.append(&note(who, "revert-proposed", id, format!("by plan {by}")), now)?;
        kept.life.record.reverted_by = Some(by.clone());
        self.store.commit(PARTITION, &put(&kept, Some(version))?)?;
        self.tell();
        Ok(())
    }

    /// Notes which rollout is to bring to the nodes what a plan had merged. That it was proposed is in the audit log as its own.
    pub(crate) fn followed_up(&self, id: &PlanId, by: &RolloutId) -> Result<(), PlanError> {
        let _writing = self.lock();
        let (mut kept, version) = self.versioned(id)?;
        kept.life.record.follow_up = Some(by.clone());
        self.store.commit(PARTITION, &put(&kept, Some(version))?)?;
        self.tell();
        Ok(())
    }

    fn versioned(&self, id: &PlanId) -> Result<(Kept, u64), PlanError> {
        let stored = self.store.get(PARTITION, &format!("plan/{id}"))?;
        let stored = stored.ok_or_else(|| PlanError::Unknown(id.clone()))?;
        Ok((serde_json::from_slice(&stored.value)?, stored.version))
    }

    fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two plans do the same: on the same boot and under the same policy, where a node carries them out.
fn is_same(open: &Plan, plan: &Plan) -> bool {
    let bound = |plan: &Plan| plan.on_node().map(|on_node| (on_node.session.clone(), on_node.epoch));
    open.node == plan.node && open.step == plan.step && bound(open) == bound(plan)
}

/// What a node says of a plan, fit to be kept and shown.
pub(crate) fn reported(entry: Entry) -> Event {
    let because = entry.because.map(|text| shown(&text));
    Event::Reported(Entry { because, ..entry })
}

/// Text of a node or person, fit to be kept and shown.
pub(crate) fn shown(text: &str) -> String {
    printable_line(text).chars().take(MAX_BECAUSE).collect()
}

fn put(kept: &Kept, version: Option<u64>) -> Result<Batch, serde_json::Error> {
    let record = &kept.life.record;
    let [plan, open, limited] = ["plan", "open", "limited"].map(|kind| format!("{kind}/{}", record.id));
    let batch = Batch::default().expect(&plan, version).put(plan, serde_json::to_vec(kept)?);
    let batch = if record.is_open_for_now() { batch.put(limited, Vec::new()) } else { batch.delete(limited) };
    let ended = format!("ended/{:016x}-{}", record.made_at.0.max(0), record.id);
    Ok(if record.stage.is_final() { batch.delete(open).put(ended, Vec::new()) } else { batch.put(open, Vec::new()) })
}

/// When a plan was made and which, by the key that is there once it has ended.
fn ended(key: &str) -> Option<(Timestamp, PlanId)> {
    let (made_at, id) = key.strip_prefix("ended/")?.split_once('-')?;
    Some((Timestamp(i64::from_str_radix(made_at, 16).ok()?), id.parse().ok()?))
}

fn ended_id(key: &str) -> Option<PlanId> {
    ended(key).map(|(_, id)| id)
}

fn newest_first(plans: &mut [Kept]) {
    plans.sort_by(|a, b| {
        let key = |kept: &Kept| (kept.life.record.made_at, kept.life.record.id.clone());
        key(b).cmp(&key(a))
    });
}

fn note(actor: &str, event: &'static str, id: &PlanId, detail: String) -> Note {
    Note { actor: actor.to_owned(), event, plan: Some(id.clone()), detail }
}

/// The entry for the last step of a life.
fn of_step(record: &Record, event: &Event) -> Note {
    let last = record.history.last();
    let because = last.and_then(|step| step.because.clone()).unwrap_or_default();
    let (word, detail) = match event {
        Event::Approved { approval, .. } => {
            ("plan-approved", format!("{because}; key {}, signature {}", approval.key, approval.signature))
        }
        Event::Rejected { .. } => ("plan-rejected", because),
        Event::Looked { .. } => ("plan-looked-at", because),
        Event::Reported(entry) => ("plan-reported", format!("{}: {because}", state_word(entry.state))),
        Event::Carried(Carried { link, .. }) => {
            ("plan-carried-on", link.iter().fold(because, |because, link| format!("{because}; {link}")))
        }
        Event::Dispatched | Event::NotSent | Event::NotHanded { .. } | Event::Withdrawn { .. } | Event::Tick { .. } => {
            (step_word(record.stage), because)
        }
    };
    note(
        last.map_or("controller", |step| step.who.as_str()),
        word,
        &record.id,
        format!("{}: {detail}", lifecycle::word(record.stage)),
    )
}

fn step_word(stage: Stage) -> &'static str {
    match stage {
        Stage::Dispatched => "plan-dispatched",
        Stage::Expired => "plan-expired",
        Stage::Failed => "plan-failed",
        Stage::Rejected => "plan-withdrawn",
        _ => "plan-not-sent",
    }
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Refused => "refused",
        State::Prepared => "prepared",
        State::Armed => "armed",
        State::Applied => "applied",
        State::Confirmed => "confirmed",
        State::Persisted => "persisted",
        State::Reverted => "reverted",
        State::Conflict => "conflict",
        State::Failed => "failed",
    }
}
