//! `dialtone incidents` and `incident`.

use common_model::{Incident, IncidentId};
use proto::v1;

use super::inventory::{all as read_all, one};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::render;
use crate::report::IncidentReport;
use crate::session::Session;

/// Lists them.
pub(crate) async fn list(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    all: bool,
) -> Result<Exit, Failure> {
    let reply = session.incidents.list(v1::ListIncidentsRequest { ended: all }).await;
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    let incidents: Vec<Incident> = read_all(&reply.incidents_json)?;
    let reports: Vec<IncidentReport> =
        incidents.iter().map(|incident| IncidentReport::new(incident.clone(), None)).collect();
    progress.clear();
    output.print(&reports, |terminal| render::incident::list(&incidents, all, terminal))?;
    Ok(Exit::Done)
}

/// Shows one, whole.
pub(crate) async fn show(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    id: IncidentId,
) -> Result<Exit, Failure> {
    let report = get(session, id).await?;
    progress.clear();
    output.print(&report, |terminal| render::incident::page(&report, terminal).to_text())?;
    Ok(Exit::Done)
}

/// Ends one with words.
pub(crate) async fn close(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    id: IncidentId,
    because: String,
    anyway: bool,
) -> Result<Exit, Failure> {
    progress.say("the controller looks whether it answers");
    let report = end(session, id, because, anyway).await?;
    progress.clear();
    output.print(&report, |terminal| render::incident::page(&report, terminal).to_text())?;
    Ok(Exit::Done)
}

/// Gets one with its last diagnosis.
pub(crate) async fn get(session: &mut Session, id: IncidentId) -> Result<IncidentReport, Failure> {
    let reply = session.incidents.get(v1::IncidentRequest { incident_id: id.to_string() }).await;
    read(reply.map_err(|status| session.failure(&status))?.into_inner())
}

/// Has the controller look, and end it.
async fn end(session: &mut Session, id: IncidentId, because: String, anyway: bool) -> Result<IncidentReport, Failure> {
    let request = v1::CloseIncidentRequest { incident_id: id.to_string(), because, anyway };
    let reply = session.incidents.close(request).await;
    read(reply.map_err(|status| session.failure(&status))?.into_inner())
}

fn read(reply: v1::IncidentReply) -> Result<IncidentReport, Failure> {
    let diagnosis = if reply.diagnosis_json.is_empty() { None } else { Some(one(&reply.diagnosis_json)?) };
    Ok(IncidentReport::new(one(&reply.incident_json)?, diagnosis))
}
