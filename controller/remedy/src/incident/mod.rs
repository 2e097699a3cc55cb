//! An incident's life: when a look at an endpoint begins one, what the next looks make of it, and when it is over. A state machine
//! without clock or sockets; whoever keeps incidents feeds it what was seen and stores what it gives back.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use common_model::diagnosis::PathStage;
use common_model::incident::{
    Closing, Happening, Incident, IncidentChange, IncidentId, IncidentPlan, IncidentVerdict, What,
};
use common_model::text::printable_line;
use common_model::{Certainty, Diagnosis, Endpoint, Scheme, Symptom, Timestamp};
use controller_correlate::Picture;

use crate::actions::client_url;
use crate::ask::Ask;

/// Entries of a history kept: the first ones, and the newest.
const MAX_HISTORY: usize = 200;
const KEPT_FIRST: usize = 20;
/// Other names of one endpoint kept.
const MAX_NAMES: usize = 8;
/// Plans and changes kept of one incident.
const MAX_PLANS: usize = 50;
const MAX_CHANGES: usize = 50;
/// An endpoint that does not answer again within this time after its incident ended by itself, in milliseconds, is the same outage:
/// one that comes and goes is one incident, not a row of them.
const REOPENS_MS: i64 = 5 * 60 * 1000;
/// Bytes of a sentence kept.
const MAX_SENTENCE: usize = 1000;

/// The vantage whose view makes an incident: it is the one that can look again by itself.
const CONTROLLER: &str = "controller";
/// The controller, where something happens without anybody's doing.
const ITSELF: &str = "controller";

/// What a diagnosis showed of an endpoint from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The endpoint with its scheme; none given counts as plain HTTP.
    pub endpoint: Endpoint,
    /// What its name resolved to, in order.
    pub addresses: Vec<IpAddr>,
    /// Whether the controller got an answer.
    pub answers: bool,
    /// What a client gets.
    pub symptom: Symptom,
    /// Why.
    pub verdict: IncidentVerdict,
    /// The stages.
    pub path: Vec<PathStage>,
}

impl Look {
    /// What a diagnosis shows; none where the controller did not look itself.
    pub fn of(diagnosis: &Diagnosis) -> Option<Self> {
        let mut mine = diagnosis.probes.iter().filter(|probe| probe.vantage == CONTROLLER).peekable();
        mine.peek()?;
        let answers = diagnosis.verdict.cause.as_str() == "healthy" || mine.all(|probe| probe.outcome == Symptom::Ok);
        let seen = &diagnosis.endpoint;
        let mut addresses = seen.addresses.clone();
        addresses.sort_unstable();
        addresses.dedup();
        let verdict = &diagnosis.verdict;
        Some(Self {
            endpoint: with_scheme(Endpoint { scheme: seen.scheme, host: seen.host.clone(), port: seen.port }),
            addresses,
            answers,
            symptom: diagnosis.symptom,
            verdict: IncidentVerdict {
                cause: verdict.cause.clone(),
                certainty: verdict.certainty,
                node: verdict.node.clone(),
                sentence: sentence(&verdict.sentence),
            },
            path: diagnosis.path.clone(),
        })
    }

    /// Whether it begins an incident. `expected` says that somebody counts on this endpoint: its node is known, or it is watched.
    /// Of any other, what somebody mistyped is not to be told from what is down, unless a cause is named that takes an engine.
    pub fn is_incident(&self, expected: bool) -> bool {
        let names_a_cause =
            self.verdict.certainty > Certainty::Undetermined && self.verdict.cause.as_str() != "name-unresolved";
        !self.answers && (expected || names_a_cause)
    }

    /// Whether an incident is about the same: by its name, or by where that leads.
    pub fn is_of(&self, incident: &Incident) -> bool {
        let name = self.endpoint.to_string();
        if incident.endpoint == name || incident.also.contains(&name) {
            return true;
        }
        let same_port = incident
            .endpoint
            .parse::<Endpoint>()
            .is_ok_and(|other| (other.scheme, other.port) == (self.endpoint.scheme, self.endpoint.port));
        same_port && !self.addresses.is_empty() && self.addresses == incident.addresses
    }
}

/// An endpoint as incidents name it: what gives no scheme is asked in plain HTTP.
pub fn with_scheme(endpoint: Endpoint) -> Endpoint {
    Endpoint { scheme: endpoint.scheme.or(Some(Scheme::Http)), ..endpoint }
}

/// What the client has to be told instead, where that mends it: such an incident does not end by itself.
pub fn corrected(diagnosis: &Diagnosis, picture: &Picture) -> Option<Endpoint> {
    client_url::corrected(&Ask::new(&diagnosis.verdict, None, picture))
}

/// What happens to an incident.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The controller has looked.
    Looked(Box<Look>),
    /// How the plans stand that were made for it.
    Plans(Vec<IncidentPlan>),
    /// What has changed on its node since it began.
    Changes(Vec<IncidentChange>),
    /// A person has ended it.
    Closed {
        /// Who.
        operator: String,
        /// Why.
        because: String,
    },
}

/// Begins one. `who` asked; `answered_before` is when it was last seen to answer.
pub fn open(id: IncidentId, look: &Look, who: &str, answered_before: Option<Timestamp>, now: Timestamp) -> Incident {
    let Look { endpoint, addresses, symptom, verdict, path, .. } = look.clone();
    let mut incident = Incident {
        id,
        endpoint: endpoint.to_string(),
        also: Vec::new(),
        addresses,
        opened_at: now,
        answered_before,
        symptom,
        verdict,
        path,
        judged_at: now,
        answers_since: None,
        history: Vec::new(),
        plans: Vec::new(),
        changes: Vec::new(),
        closed: None,
    };
    let said = of_verdict(&incident.verdict);
    note(&mut incident, What::Opened, who, said, now);
    incident
}

/// The newest incident of an endpoint, open again because the endpoint failed soon after; none where that is a new outage. What a
/// person ended stays so.
pub fn reopened(last: &Incident, look: Look, who: &str, now: Timestamp) -> Option<Incident> {
    let closed = last.closed.as_ref().filter(|closed| closed.who == ITSELF)?;
    let answered_ms = now.millis_since(closed.at);
    if answered_ms > REOPENS_MS {
        return None;
    }
    let mut next = Incident { closed: None, answers_since: None, ..last.clone() };
    let said = format!("it had answered for {} s and does not any more", answered_ms.max(0) / 1000);
    note(&mut next, What::Reopened, who, said, now);
    looked(&mut next, look, now);
    Some(next)
}

/// The incident after `event` at `now`; none when the event changes nothing. Once it has ended, only how its plans fared is still
/// added to it.
pub fn after(incident: &Incident, event: Event, now: Timestamp) -> Option<Incident> {
    if !incident.is_open() && !matches!(event, Event::Plans(_)) {
        return None;
    }
    let mut next = incident.clone();
    match event {
        Event::Looked(look) => looked(&mut next, *look, now),
        Event::Plans(plans) => {
            next.plans = merged(&incident.plans, plans);
            if next.is_open() && next.answers_since.is_some() && !next.is_on_trial() {
                close(&mut next, ITSELF, AGAIN.to_owned(), now);
            }
        }
        Event::Changes(mut changes) => next.changes = changes.split_off(changes.len().saturating_sub(MAX_CHANGES)),
        Event::Closed { operator, because } => {
            close(&mut next, &format!("operator {operator}"), sentence(&because), now);
        }
    }
    (next != *incident).then_some(next)
}

const AGAIN: &str = "it answers again";

fn looked(incident: &mut Incident, look: Look, now: Timestamp) {
    let name = look.endpoint.to_string();
    if incident.endpoint != name && !incident.also.contains(&name) && incident.also.len() < MAX_NAMES {
        incident.also.push(name);
    }
    incident.judged_at = now;
    if look.answers {
        if !incident.is_on_trial() {
            (incident.symptom, incident.path) = (look.symptom, look.path);
            close(incident, ITSELF, AGAIN.to_owned(), now);
        } else if incident.answers_since.is_none() {
            (incident.symptom, incident.path) = (look.symptom, look.path);
            incident.answers_since = Some(now);
            note(incident, What::Answers, ITSELF, format!("{AGAIN}; a plan is still on trial"), now);
        }
        return;
    }
    if incident.answers_since.take().is_some() {
        note(incident, What::Lost, ITSELF, "it does not answer any more".to_owned(), now);
    }
    // What is seen while a plan is tried is its doing; if it is undone, the next look tells.
    if incident.is_on_trial() {
        return;
    }
    let told = |verdict: &IncidentVerdict| (verdict.cause.clone(), verdict.node.clone());
    if told(&incident.verdict) != told(&look.verdict) {
        note(incident, What::Verdict, ITSELF, of_verdict(&look.verdict), now);
    }
    (incident.symptom, incident.verdict, incident.path) = (look.symptom, look.verdict, look.path);
    incident.addresses = look.addresses;
}

fn close(incident: &mut Incident, who: &str, because: String, now: Timestamp) {
    note(incident, What::Closed, who, because.clone(), now);
    incident.closed = Some(Closing { at: now, who: who.to_owned(), because });
}

/// Plans that are no longer told of stay as they were told of last.
fn merged(known: &[IncidentPlan], told: Vec<IncidentPlan>) -> Vec<IncidentPlan> {
    let gone = known.iter().filter(|plan| told.iter().all(|other| other.id != plan.id)).cloned();
    let mut plans: Vec<IncidentPlan> = gone.chain(told.iter().cloned()).collect();
    plans.sort_by(|a, b| (a.proposed_at, &a.id).cmp(&(b.proposed_at, &b.id)));
    // What was only proposed and is over says the least.
    while plans.len() > MAX_PLANS {
        let least = plans.iter().position(|plan| plan.ended && plan.approved_by.is_empty());
        plans.remove(least.unwrap_or(0));
    }
    plans
}

fn note(incident: &mut Incident, what: What, who: &str, sentence: String, now: Timestamp) {
    if incident.history.len() >= MAX_HISTORY {
        incident.history.remove(KEPT_FIRST);
    }
    incident.history.push(Happening { at: now, who: who.to_owned(), what, sentence });
}

fn of_verdict(verdict: &IncidentVerdict) -> String {
    format!("{} [{}]", verdict.sentence, verdict.cause)
}

/// One printable line that fits.
fn sentence(text: &str) -> String {
    printable_line(text).chars().take(MAX_SENTENCE).collect()
}
