//! What operators call about incidents.

use std::sync::Arc;
use std::time::Duration;

use common_model::incident::{Incident, IncidentId};
use common_model::{Endpoint, Timestamp};
use controller_remedy::incident::{Event, Look, corrected};
use proto::v1;
use proto::v1::incidents_server::Incidents;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tracing::info;

use crate::access::unusable;
use crate::api::{operator_of, peer_of};
use crate::clock::now;
use crate::core::{Core, blocking};
use crate::diagnosis;
use crate::plans::shown;
use crate::watch::FROM;

/// Changes that follow each other faster are told together.
const TOGETHER: Duration = Duration::from_millis(100);
/// Ended plans and incidents on the board: these many, and no older.
const BOARD: usize = 50;
const BOARD_MS: i64 = 24 * 60 * 60 * 1000;

/// The service.
pub(crate) struct IncidentsApi(pub(crate) Arc<Core>);

#[tonic::async_trait]
impl Incidents for IncidentsApi {
    type WatchStream = ReceiverStream<Result<v1::Board, Status>>;

    async fn list(
        &self,
        request: Request<v1::ListIncidentsRequest>,
    ) -> Result<Response<v1::ListIncidentsReply>, Status> {
        let (core, ended) = (Arc::clone(&self.0), request.into_inner().ended);
        let incidents_json = blocking(move || {
            let incidents = if ended { core.incidents.all(usize::MAX)? } else { core.incidents.open() };
            incidents.into_iter().map(|incident| json(&core.incident_told(incident)?)).collect::<Result<_, Status>>()
        });
        Ok(Response::new(v1::ListIncidentsReply { incidents_json: incidents_json.await? }))
    }

    async fn get(&self, request: Request<v1::IncidentRequest>) -> Result<Response<v1::IncidentReply>, Status> {
        let id = parse(&request.into_inner().incident_id)?;
        self.reply(id).await
    }

    async fn watch(&self, request: Request<v1::WatchIncidentsRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let peer = peer_of(&request)?;
        // From before the first look, so that nothing is missed.
        let (mut incidents, mut plans) = (self.0.incidents.changes(), self.0.plans.changes());
        let mut rollouts = self.0.rollouts.changes();
        let (boards, stream) = mpsc::channel(4);
        let core = Arc::clone(&self.0);
        let entry = self.0.live.enter(&peer.peer.serial);
        tokio::spawn(async move {
            let following = async {
                loop {
                    let board = blocking({
                        let core = Arc::clone(&core);
                        move || board(&core, now())
                    });
                    let board = board.await;
                    let failed = board.is_err();
                    boards.send(board).await.ok()?;
                    if failed {
                        return Some(());
                    }
                    tokio::select! {
                        changed = incidents.changed() => changed.ok()?,
                        changed = plans.changed() => changed.ok()?,
                        changed = rollouts.changed() => changed.ok()?,
                    }
                    sleep(TOGETHER).await;
                    incidents.mark_unchanged();
                    plans.mark_unchanged();
                    rollouts.mark_unchanged();
                }
            };
            let ended = tokio::select! {
                _ = following => return,
                () = entry.cut.cancelled() => unusable(&peer, &core.revoked)
                    .unwrap_or_else(|| Status::cancelled("the call was cut")),
                () = core.stopping.cancelled() => Status::unavailable("the controller is stopping"),
                () = boards.closed() => return,
            };
            // The caller may be gone; then nobody needs the reason.
            drop(boards.try_send(Err(ended)));
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn close(&self, request: Request<v1::CloseIncidentRequest>) -> Result<Response<v1::IncidentReply>, Status> {
        let operator = operator_of(&request)?.to_string();
        let v1::CloseIncidentRequest { incident_id, because, anyway } = request.into_inner();
        let (id, because) = (parse(&incident_id)?, shown(because.trim()));
        if because.is_empty() {
            return Err(Status::invalid_argument("say why, for the others: --because TEXT"));
        }
        let incident = self.incident(id).await?.0;
        let seen = if incident.is_open() { answering(&self.0, &incident).await? } else { Ok(String::new()) };
        let because = match seen {
            Ok(seen) => format!("{because} ({seen})"),
            Err(seen) if anyway => format!("{because} (although {seen})"),
            Err(seen) => {
                let why = format!("{seen}; an incident that is to end although nothing answers: --anyway");
                return Err(Status::failed_precondition(why));
            }
        };
        let core = Arc::clone(&self.0);
        info!(incident = %id, %operator, "closed");
        blocking(move || core.incidents.happened(id, Event::Closed { operator, because }, now())).await?;
        self.reply(id).await
    }
}

impl IncidentsApi {
    async fn incident(&self, id: IncidentId) -> Result<(Incident, Option<Vec<u8>>), Status> {
        let core = Arc::clone(&self.0);
        blocking(move || {
            let (incident, diagnosis) = core.incidents.get(id)?;
            Ok::<_, Status>((core.incident_told(incident)?, diagnosis))
        })
        .await
    }

    async fn reply(&self, id: IncidentId) -> Result<Response<v1::IncidentReply>, Status> {
        let (incident, diagnosis) = self.incident(id).await?;
        let diagnosis_json = diagnosis.unwrap_or_default();
        Ok(Response::new(v1::IncidentReply { incident_json: json(&incident)?, diagnosis_json }))
    }
}

/// What the controller sees answer now: the endpoint, or the one its clients are to use instead; else what it sees.
async fn answering(core: &Arc<Core>, incident: &Incident) -> Result<Result<String, String>, Status> {
    let endpoint: Endpoint = incident.endpoint.parse().map_err(|error| Status::internal(format!("{error}")))?;
    let (diagnosis, picture) = look(core, &endpoint).await?;
    if Look::of(&diagnosis).is_some_and(|look| look.answers) {
        return Ok(Ok(format!("the controller sees {endpoint} answer")));
    }
    let Some(instead) = corrected(&diagnosis, &picture) else {
        let why = shown(diagnosis.verdict.sentence.trim_end_matches('.'));
        return Ok(Err(format!("nothing answers at {endpoint}: {why}")));
    };
    let (diagnosis, _) = look(core, &instead).await?;
    Ok(match Look::of(&diagnosis).is_some_and(|look| look.answers) {
        true => Ok(format!("the controller sees {instead} answer")),
        false => Err(format!("nothing answers at {endpoint}, nor at {instead}")),
    })
}

async fn look(
    core: &Arc<Core>,
    endpoint: &Endpoint,
) -> Result<(common_model::Diagnosis, controller_correlate::Picture), Status> {
    let request = v1::DiagnoseRequest { endpoints: vec![endpoint.to_string()], ..v1::DiagnoseRequest::default() };
    diagnosis::judged(core, request, FROM).await
}

fn board(core: &Core, now: Timestamp) -> Result<v1::Board, Status> {
    let (mut incidents, mut plans, mut rollouts) = (Lately::new(now), Lately::new(now), Lately::new(now));
    let mut board = v1::Board::default();
    for incident in core.incidents.all(usize::MAX)? {
        if incidents.shows(incident.closed.as_ref().map(|closed| closed.at)) {
            board.incidents_json.push(json(&core.incident_told(incident)?)?);
        }
    }
    for kept in core.plans.all()? {
        let record = &kept.life.record;
        if plans.shows(record.history.last().filter(|_| record.is_over()).map(|step| step.at)) {
            board.plans_json.push(json(&core.told(&kept)?)?);
        }
    }
    for kept in core.rollouts.all()? {
        let rollout = &kept.rollout;
        if rollouts.shows(rollout.history.last().filter(|_| rollout.stage.is_final()).map(|moment| moment.at)) {
            board.rollouts_json.push(json(rollout)?);
        }
    }
    Ok(board)
}

/// Of things that come newest first, those that have not ended, and some of those that ended lately.
struct Lately {
    now: Timestamp,
    ended: usize,
}

impl Lately {
    fn new(now: Timestamp) -> Self {
        Self { now, ended: 0 }
    }

    fn shows(&mut self, ended_at: Option<Timestamp>) -> bool {
        let Some(at) = ended_at else { return true };
        self.ended += 1;
        self.ended <= BOARD && self.now.millis_since(at) < BOARD_MS
    }
}

fn parse(id: &str) -> Result<IncidentId, Status> {
    id.parse().map_err(|error| Status::invalid_argument(format!("{error}: `dialtone incidents` lists them")))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Status> {
    serde_json::to_vec(value).map_err(|error| Status::internal(error.to_string()))
}
