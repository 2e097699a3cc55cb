//! Watches from outside: the endpoints of open incidents, and those that the configuration names. A cheap probe every few seconds,
//! a diagnosis when it shows something new.

mod schedule;
pub(crate) mod settings;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use common_model::incident::{ApprovedBy, Incident, IncidentChange, IncidentId, IncidentPlan};
use common_model::{Endpoint, Timestamp};
use common_plan::{Carrier, Record, Stage};
use common_probe::{Limits, probe_endpoint};
use controller_correlate::changes::timeline;
use controller_remedy::incident::Event;
use controller_remedy::lifecycle::word;
use proto::v1;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Status;
use tracing::{error, warn};

use self::schedule::{Glance, Schedule, Task};
use crate::clock::now;
use crate::core::{Core, blocking};
use crate::diagnosis::{self, is_expected, is_ours, with_plans};
use crate::incidents::is_for;

/// How often it is looked what is due.
const TICK: Duration = Duration::from_millis(500);
/// Endpoints looked at at the same time.
const AT_ONCE: usize = 16;
/// The controller asks from its own machine.
pub(crate) const FROM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The name under which the controller itself proposes.
const ITSELF: &str = "controller";

/// Watches until the controller stops.
pub(crate) async fn keep(core: Arc<Core>) {
    let started = Instant::now();
    let clock = || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let settings = &core.config.incidents;
    let mut schedule =
        Schedule::new(u64::from(settings.probe_every_s) * 1000, u64::from(settings.judge_every_s) * 1000);
    let always: Vec<Endpoint> = settings.endpoints().unwrap_or_default();
    let (mut plans, mut incidents) = (core.plans.changes(), core.incidents.changes());
    let mut looking: JoinSet<(Endpoint, Option<(Glance, bool)>)> = JoinSet::new();
    let mut failing = false;
    loop {
        let open = core.incidents.open();
        let of_incidents = open.iter().filter_map(|incident| Some((incident.endpoint.parse().ok()?, true)));
        let watched = always.iter().map(|endpoint| (endpoint.clone(), false));
        schedule.follow(of_incidents.chain(watched), clock());
        for task in schedule.due(clock(), AT_ONCE.saturating_sub(looking.len())) {
            looking.spawn(look(Arc::clone(&core), task, always.clone()));
        }
        tokio::select! {
            Some(looked) = looking.join_next() => match looked {
                Ok((endpoint, seen)) => schedule.done(&endpoint, seen, now(), clock()),
                Err(panic) => error!(%panic, "a look at an endpoint failed"),
            },
            Ok(()) = plans.changed() => failing = fails_to_tell_of_plans(&core, failing).await,
            // A plan may have been there before its incident was.
            Ok(()) = incidents.changed() => failing = fails_to_tell_of_plans(&core, failing).await,
            () = tokio::time::sleep(TICK) => {}
            () = core.stopping.cancelled() => return,
        }
    }
}

/// Looks at one endpoint: at a glance, and closer where that shows something new.
async fn look(core: Arc<Core>, task: Task, always: Vec<Endpoint>) -> (Endpoint, Option<(Glance, bool)>) {
    let endpoint = task.endpoint.clone();
    let glance = Glance::of(&probe_endpoint(&endpoint, ITSELF, &Limits::default()).await.probes);
    if !task.asks_for_diagnosis(&glance) {
        return (endpoint, Some((glance, false)));
    }
    match judge(&core, &endpoint, task.answered, &always).await {
        Ok(true) => (endpoint, Some((glance, true))),
        Ok(false) => (endpoint, None),
        Err(status) => {
            warn!(%endpoint, reason = status.message(), "cannot look at an endpoint");
            (endpoint, None)
        }
    }
}

/// Diagnoses an endpoint, takes that into its incident, and proposes what mends it, once for each cause. False where the endpoint
/// is another one at whoever asked for it, and cannot be looked at from here.
async fn judge(
    core: &Arc<Core>,
    endpoint: &Endpoint,
    answered: Option<Timestamp>,
    always: &[Endpoint],
) -> Result<bool, Status> {
    let request = v1::DiagnoseRequest { endpoints: vec![endpoint.to_string()], ..v1::DiagnoseRequest::default() };
    let (diagnosis, picture) = diagnosis::judged(core, request, FROM).await?;
    let is_watched = always.contains(endpoint);
    if !is_watched && !is_ours(core, &picture) {
        return Ok(false);
    }
    let expected = is_watched || is_expected(&picture);
    let seen = blocking({
        let (core, diagnosis) = (Arc::clone(core), diagnosis.clone());
        move || {
            let incident = core.incidents.seen(&diagnosis, expected, ITSELF, answered, now())?;
            let Some(incident) = incident else { return Ok::<_, Status>(false) };
            tell_of_changes(&core, &incident)?;
            Ok(core.incidents.is_to_be_proposed_for(incident.id, now())?)
        }
    });
    if seen.await? {
        let diagnosis = with_plans(core, (diagnosis, picture), Some(ITSELF.to_owned())).await?;
        let core = Arc::clone(core);
        blocking(move || core.incidents.seen(&diagnosis, expected, ITSELF, answered, now())).await?;
    }
    Ok(true)
}

/// Has incidents take in how their plans stand, and gives whether that fails; says so the first time.
async fn fails_to_tell_of_plans(core: &Arc<Core>, failing: bool) -> bool {
    let core = Arc::clone(core);
    let told = blocking(move || tell_of_plans(&core)).await;
    if let (Err(status), false) = (&told, failing) {
        error!(reason = status.message(), "incidents are not carried on");
    }
    told.is_err()
}

/// Takes into each incident how the plans stand that were made for it.
fn tell_of_plans(core: &Core) -> Result<(), Status> {
    let unsettled = core.incidents.unsettled()?;
    if unsettled.is_empty() {
        return Ok(());
    }
    let records: Vec<Record> = core.plans.all()?.into_iter().map(|kept| kept.life.record).collect();
    for incident in unsettled {
        let plans: Vec<IncidentPlan> = plans_of(&incident, &records);
        if plans != incident.plans {
            take(core, incident.id, Event::Plans(plans))?;
        }
    }
    Ok(())
}

/// Takes into an incident what changed on its node since it began.
fn tell_of_changes(core: &Core, incident: &Incident) -> Result<(), Status> {
    let Some(node) = &incident.verdict.node else { return Ok(()) };
    let picture = core.picture(node)?;
    let meanwhile = timeline(&picture)
        .into_iter()
        .filter(|change| picture.agent.by_controller(change.at) >= incident.opened_at)
        .map(|change| IncidentChange { at: change.at, node: change.node, what: change.what, who: change.who });
    let changes: Vec<IncidentChange> = meanwhile.collect();
    if changes == incident.changes { Ok(()) } else { take(core, incident.id, Event::Changes(changes)) }
}

/// One that has ended meanwhile is told nothing more.
fn take(core: &Core, id: IncidentId, event: Event) -> Result<(), Status> {
    match core.incidents.happened(id, event, now()) {
        Ok(_) | Err(crate::incidents::IncidentError::Ended(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn plans_of(incident: &Incident, records: &[Record]) -> Vec<IncidentPlan> {
    let made = records.iter().filter_map(|record| {
        let plan = in_short(record);
        is_for(incident, &record.goal.endpoint, &plan).then_some(plan)
    });
    let mut plans: Vec<IncidentPlan> = made.collect();
    plans.sort_by(|a, b| (a.proposed_at, &a.id).cmp(&(b.proposed_at, &b.id)));
    plans
}

fn in_short(record: &Record) -> IncidentPlan {
    let last = record.history.last();
    let approved_by =
        record.approvals.iter().map(|given| ApprovedBy { operator: given.operator.clone(), at: given.at }).collect();
    IncidentPlan {
        id: record.id.to_string(),
        title: record.title.clone(),
        node: record.node.clone(),
        proposed_at: record.made_at,
        stage: word(record.stage).to_owned(),
        ended: record.stage.is_final(),
        // Only what undoes itself can take an answer away again; a pull request that waits does not.
        on_trial: matches!(record.stage, Stage::Dispatched | Stage::Applied)
            && record.action.carrier() == Carrier::Node,
        needed: record.needed,
        approved_by,
        could_approve: Vec::new(),
        since: last.map_or(record.made_at, |step| step.at),
        because: last.and_then(|step| step.because.clone()),
        link: record.link.clone(),
        until: record.until,
        rollout: record.rollout.as_ref().map(ToString::to_string),
        follow_up: record.follow_up.as_ref().map(ToString::to_string),
    }
}
