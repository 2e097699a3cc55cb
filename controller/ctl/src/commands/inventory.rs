//! Nodes and what changed on them.

use std::time::Duration;

use common_model::Change;
use common_model::diagnosis::Citation;
use common_model::inventory::NodeSummary;
use proto::v1;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::render;
use crate::session::Session;
use crate::terminal::now;

/// The most changes that are asked for.
const MAX_CHANGES: u32 = 2_000;

/// What `node` prints to programs.
#[derive(Debug, Serialize)]
struct NodeReport {
    #[serde(flatten)]
    summary: NodeSummary,
    evidence: Vec<Citation>,
}

/// `dialtone nodes`.
pub(crate) async fn nodes(session: &mut Session, output: &Output) -> Result<Exit, Failure> {
    let reply = session.client.list_nodes(v1::ListNodesRequest {}).await;
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    let nodes: Vec<NodeSummary> = all(&reply.nodes_json)?;
    output.print(&nodes, |terminal| render::nodes::table(&nodes, terminal))?;
    Ok(Exit::Done)
}

/// `dialtone node`.
pub(crate) async fn node(session: &mut Session, output: &Output, name: String) -> Result<Exit, Failure> {
    let reply = session.client.get_node(v1::GetNodeRequest { node: name }).await;
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    let report = NodeReport { summary: one(&reply.node_json)?, evidence: all(&reply.citations_json)? };
    output.print(&report, |terminal| render::nodes::node(&report.summary, &report.evidence, terminal))?;
    Ok(Exit::Done)
}

/// `dialtone timeline`.
pub(crate) async fn timeline(
    session: &mut Session,
    output: &Output,
    node: Option<String>,
    since: Duration,
) -> Result<Exit, Failure> {
    let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let request = v1::ListChangesRequest {
        node: node.unwrap_or_default(),
        since_ms: now().plus_millis(-since).0,
        limit: MAX_CHANGES,
    };
    let reply = session.client.list_changes(request).await.map_err(|status| session.failure(&status))?.into_inner();
    let changes: Vec<Change> = all(&reply.changes_json)?;
    output.print(&changes, |terminal| render::timeline::timeline(&changes, terminal))?;
    Ok(Exit::Done)
}

/// Reads one JSON document of a controller.
pub(super) fn one<T: DeserializeOwned>(json: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(json).map_err(|error| {
        let error = anyhow::Error::new(error).context("the controller's answer cannot be read");
        Failure::controller(error).with_hint("use a dialtone of the controller's version")
    })
}

fn all<T: DeserializeOwned>(documents: &[impl AsRef<[u8]>]) -> Result<Vec<T>, Failure> {
    documents.iter().map(|json| one(json.as_ref())).collect()
}
