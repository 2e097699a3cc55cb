//! Nodes and what changed on them.

use std::time::Duration;

use common_model::Change;
use common_model::diagnosis::Citation;
use common_model::inventory::NodeSummary;
use proto::v1;
use serde::de::DeserializeOwned;

use super::diagnose::settle;
use super::reach::{Reached, reach};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::render;
use crate::report::NodeReport;
use crate::session::Session;
use crate::terminal::now;

/// The most changes that are asked for.
const MAX_CHANGES: u32 = 2_000;

/// `dialtone nodes`.
pub(crate) async fn nodes(session: &mut Session, output: &Output, progress: &Progress) -> Result<Exit, Failure> {
    // Probing has the agents read their sources again, so that the list that is asked for afterwards is of now.
    settle(session, progress).await?;
    let reached = reach(session, progress, None).await?;
    let summaries = summaries(session).await?;
    let reports: Vec<NodeReport> = summaries.into_iter().map(|summary| report(summary, &reached, Vec::new())).collect();
    progress.clear();
    output.print(&reports, |terminal| render::nodes::table(&reports, terminal))?;
    Ok(Exit::Done)
}

/// `dialtone node`.
pub(crate) async fn node(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    name: String,
    verbose: bool,
) -> Result<Exit, Failure> {
    settle(session, progress).await?;
    let reached = reach(session, progress, Some(&name)).await?;
    let reply = session.client.get_node(v1::GetNodeRequest { node: name }).await;
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    let report = report(one(&reply.node_json)?, &reached, all(&reply.citations_json)?);
    progress.clear();
    output.print(&report, |terminal| render::nodes::node(&report, terminal, verbose))?;
    Ok(Exit::Done)
}

/// The nodes the controller knows.
pub(crate) async fn summaries(session: &mut Session) -> Result<Vec<NodeSummary>, Failure> {
    let reply = session.client.list_nodes(v1::ListNodesRequest {}).await;
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    all(&reply.nodes_json)
}

/// One of them, with what was probed of its engines.
pub(crate) fn report(summary: NodeSummary, reached: &[Reached], evidence: Vec<Citation>) -> NodeReport {
    let reachability =
        reached.iter().filter(|reached| reached.is_of(&summary)).map(|reached| reached.reachability.clone()).collect();
    NodeReport { summary, reachability, evidence }
}

/// `dialtone timeline`.
pub(crate) async fn timeline(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    node: Option<String>,
    since: Duration,
) -> Result<Exit, Failure> {
    settle(session, progress).await?;
    let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let request = v1::ListChangesRequest {
        node: node.unwrap_or_default(),
        since_ms: now().plus_millis(-since).0,
        limit: MAX_CHANGES,
    };
    let reply = session.client.list_changes(request).await.map_err(|status| session.failure(&status))?.into_inner();
    let changes: Vec<Change> = all(&reply.changes_json)?;
    let nodes = summaries(session).await?;
    progress.clear();
    output.print(&changes, |terminal| render::timeline::timeline(&changes, &nodes, terminal))?;
    Ok(Exit::Done)
}

/// Reads one JSON document of a controller.
pub(super) fn one<T: DeserializeOwned>(json: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(json).map_err(|error| {
        let error = anyhow::Error::new(error).context("the controller's answer cannot be read");
        Failure::controller(error).with_hint("use a dialtone of the controller's version")
    })
}

/// Reads several.
pub(crate) fn all<T: DeserializeOwned>(documents: &[impl AsRef<[u8]>]) -> Result<Vec<T>, Failure> {
    documents.iter().map(|json| one(json.as_ref())).collect()
}
