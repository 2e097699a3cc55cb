//! Which engines answer, from the controller and from here.

use common_model::inventory::NodeSummary;
use common_model::{Diagnosis, Probe, Symptom};
use common_probe::{Limits, probe_endpoint};
use futures::future::join_all;
use proto::v1;
use tonic::{Code, Status};

use super::diagnose::{Asked, HERE, ask, endpoint};
use super::inventory::one;
use crate::exit::Failure;
use crate::progress::Progress;
use crate::report::{Reachability, Seen};
use crate::session::Session;

/// What was probed, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Reached {
    host: String,
    node: Option<String>,
    pub(super) reachability: Reachability,
}

impl Reached {
    /// Whether it is an engine of this node.
    pub(super) fn is_of(&self, node: &NodeSummary) -> bool {
        match &self.node {
            Some(name) => name == node.name.as_str(),
            None => self.host == node.name.as_str() || node.addresses.contains(&self.host),
        }
    }
}

/// Probes the engines of a node, or of all nodes when none is named. Nothing where the controller knows no engine, or more
/// than it probes at once.
pub(crate) async fn reach(session: &Session, progress: &Progress, node: Option<&str>) -> Result<Vec<Reached>, Failure> {
    let endpoints = node.map(str::to_owned).into_iter().collect();
    let request = v1::DiagnoseRequest { endpoints, ..v1::DiagnoseRequest::default() };
    let diagnoses = match ask(session.client.clone(), progress, Asked { request, probe: None }).await {
        Ok(diagnoses) => diagnoses,
        Err(status) if is_beside_the_point(&status) => Vec::new(),
        Err(status) => return Err(session.failure(&status)),
    };
    let diagnoses: Vec<Diagnosis> = diagnoses.iter().map(|json| one(json)).collect::<Result<_, _>>()?;
    Ok(join_all(diagnoses.into_iter().map(|diagnosis| reached(diagnosis, session.is_embedded()))).await)
}

/// Nothing to probe is no reason not to list what there is.
fn is_beside_the_point(status: &Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::InvalidArgument)
}

/// In one process the controller's view is the view from here.
async fn reached(diagnosis: Diagnosis, embedded: bool) -> Reached {
    let endpoint = endpoint(&diagnosis);
    let Diagnosis { verdict, mut probes, .. } = diagnosis;
    if embedded {
        probes.iter_mut().for_each(|probe| probe.vantage = HERE.to_owned());
    } else {
        probes.extend(probe_endpoint(&endpoint, HERE, &Limits::default()).await.probes);
    }
    let reachability = Reachability { endpoint: endpoint.to_string(), port: endpoint.port, seen: seen(&probes) };
    Reached { host: endpoint.host, node: verdict.node.map(|node| node.to_string()), reachability }
}

/// One outcome per vantage: where its addresses differ, the first that is not good.
fn seen(probes: &[Probe]) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    for probe in probes {
        match seen.iter_mut().find(|seen| seen.vantage == probe.vantage) {
            Some(seen) if seen.outcome == Symptom::Ok => seen.outcome = probe.outcome,
            Some(_) => {}
            None => seen.push(Seen { vantage: probe.vantage.clone(), outcome: probe.outcome }),
        }
    }
    seen
}
