//! What operators call.

use std::sync::Arc;
use std::time::Duration;

use common_model::diagnosis::Citation;
use common_model::preflight::Preflight;
use common_model::text::printable_line;
use common_model::{Body, Change, Envelope, NodeName, Timestamp};
use common_tls::{Identity, OperatorName, Role};
use controller_correlate::EngineView;
use controller_correlate::changes::timeline;
use controller_correlate::target::outside_addresses;
use proto::v1;
use proto::v1::operator_server::Operator;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::info;

use crate::api::{peer_of, renew};
use crate::audit::Note;
use crate::clock::now;
use crate::core::{Core, blocking};
use crate::diagnosis;
use crate::registry::MemberName;

/// Good for, when the caller does not say.
const JOIN_TTL_MS: i64 = 10 * 60 * 1000;
/// Changes of one reply.
const MAX_CHANGES: usize = 2_000;
const DEFAULT_CHANGES: usize = 200;
/// Pieces of evidence shown of a node.
const CITATIONS: usize = 200;
const EXCERPT_CHARS: usize = 400;
/// How long an agent has to read its sources again before its node is judged.
const REFRESH: Duration = Duration::from_secs(5);

/// The service.
pub(crate) struct OperatorApi(pub(crate) Arc<Core>);

#[tonic::async_trait]
impl Operator for OperatorApi {
    type DiagnoseStream = ReceiverStream<Result<v1::DiagnoseReply, Status>>;

    async fn diagnose(
        &self,
        request: Request<Streaming<v1::DiagnoseQuestion>>,
    ) -> Result<Response<Self::DiagnoseStream>, Status> {
        let peer = peer_of(&request)?;
        let (replies, stream) = mpsc::channel(16);
        tokio::spawn(diagnosis::run(Arc::clone(&self.0), peer, request.into_inner(), replies));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn list_nodes(&self, _: Request<v1::ListNodesRequest>) -> Result<Response<v1::ListNodesReply>, Status> {
        let core = Arc::clone(&self.0);
        let nodes_json = blocking(move || {
            core.known_nodes()?.iter().map(|node| summary(&core, node)).collect::<Result<_, Status>>()
        })
        .await?;
        Ok(Response::new(v1::ListNodesReply { nodes_json }))
    }

    async fn get_node(&self, request: Request<v1::GetNodeRequest>) -> Result<Response<v1::GetNodeReply>, Status> {
        let node = parse_node(&request.into_inner().node)?;
        let core = Arc::clone(&self.0);
        let reply = blocking(move || {
            if !core.known_nodes()?.contains(&node) {
                return Err(Status::not_found(format!("there is no node {node}: `dialtone nodes` lists them")));
            }
            let mut evidence = core.picture(&node)?.evidence;
            evidence.sort_by_key(|envelope| std::cmp::Reverse(envelope.taken_at));
            let citations = evidence.iter().take(CITATIONS).map(|envelope| json(&citation(envelope)));
            let citations_json = citations.collect::<Result<_, Status>>()?;
            Ok(v1::GetNodeReply { node_json: summary(&core, &node)?, citations_json })
        })
        .await?;
        Ok(Response::new(reply))
    }

    async fn preflight(&self, request: Request<v1::PreflightRequest>) -> Result<Response<v1::PreflightReply>, Status> {
        let node = parse_node(&request.into_inner().node)?;
        if let Some(agent) = self.0.live.agent(&node) {
            // What it has not read again is judged as it was.
            agent.refresh(REFRESH).await;
        }
        let core = Arc::clone(&self.0);
        let preflights_json = blocking(move || preflights(&core, &node)?.iter().map(json).collect()).await?;
        Ok(Response::new(v1::PreflightReply { preflights_json }))
    }

    async fn list_changes(
        &self,
        request: Request<v1::ListChangesRequest>,
    ) -> Result<Response<v1::ListChangesReply>, Status> {
        let v1::ListChangesRequest { node, since_ms, limit } = request.into_inner();
        let node = if node.is_empty() { None } else { Some(parse_node(&node)?) };
        let limit = match usize::try_from(limit) {
            Ok(0) | Err(_) => DEFAULT_CHANGES,
            Ok(limit) => limit.min(MAX_CHANGES),
        };
        let core = Arc::clone(&self.0);
        let changes_json = blocking(move || {
            let changes = newest_changes(&core, node, Timestamp(since_ms), limit)?;
            changes.iter().map(json).collect::<Result<_, Status>>()
        })
        .await?;
        Ok(Response::new(v1::ListChangesReply { changes_json }))
    }

    async fn create_join_token(
        &self,
        request: Request<v1::CreateJoinTokenRequest>,
    ) -> Result<Response<v1::TokenReply>, Status> {
        let who = peer_of(&request)?.peer.identity;
        let v1::CreateJoinTokenRequest { ttl_seconds, node } = request.into_inner();
        let node = if node.is_empty() { None } else { Some(parse_node(&node)?) };
        let ttl_ms = if ttl_seconds == 0 { JOIN_TTL_MS } else { i64::from(ttl_seconds) * 1000 };
        info!(%who, node = ?node.as_ref().map(NodeName::as_str), ttl_ms, "made a join token");
        let core = Arc::clone(&self.0);
        let detail = format!("{}, good for {} s", node.as_ref().map_or("any node", NodeName::as_str), ttl_ms / 1000);
        let token = blocking(move || {
            // No token is out of which nothing is written down.
            core.audit.append(&note(&who, "join-token-made", detail), now())?;
            Ok::<_, Status>(core.registry.create_join_token(node, ttl_ms, now())?)
        })
        .await?;
        Ok(Response::new(v1::TokenReply { token: token.token, expires_at_ms: token.expires_at.0 }))
    }

    async fn add_operator(
        &self,
        request: Request<v1::AddOperatorRequest>,
    ) -> Result<Response<v1::AddOperatorReply>, Status> {
        let who = peer_of(&request)?.peer.identity;
        let v1::AddOperatorRequest { operator, role } = request.into_inner();
        let name: OperatorName = operator.parse().map_err(|error| Status::invalid_argument(format!("{error}")))?;
        let role: Role = role.parse().map_err(|error| Status::invalid_argument(format!("{error}")))?;
        info!(%who, operator = %name, %role, "made a login token");
        let core = Arc::clone(&self.0);
        let detail = format!("for operator {operator}, {role}");
        let token = blocking(move || {
            core.audit.append(&note(&who, "login-token-made", detail), now())?;
            Ok::<_, Status>(core.registry.add_operator(&name, role, now())?)
        })
        .await?;
        Ok(Response::new(v1::AddOperatorReply {
            operator,
            role: role.to_string(),
            token: token.token,
            expires_at_ms: token.expires_at.0,
        }))
    }

    async fn revoke(&self, request: Request<v1::RevokeRequest>) -> Result<Response<v1::RevokeReply>, Status> {
        let by = peer_of(&request)?.peer.identity;
        let who = match request.into_inner().who {
            Some(v1::revoke_request::Who::Node(name)) => MemberName::Node(parse_node(&name)?),
            Some(v1::revoke_request::Who::Operator(name)) => {
                MemberName::Operator(name.parse().map_err(|error| Status::invalid_argument(format!("{error}")))?)
            }
            None => return Err(Status::invalid_argument("say which node or operator to revoke")),
        };
        let core = Arc::clone(&self.0);
        let revoked = who.clone();
        let serials = blocking(move || core.registry.revoke(&revoked, now())).await?;
        self.0.revoked.add(serials.iter().cloned());
        let cut = self.0.live.cut(&serials);
        info!(%by, %who, certificates = serials.len(), streams = cut, "revoked");
        self.0.note(by, "revoked", format!("{who}: {} certificates", serials.len())).await;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(Response::new(v1::RevokeReply { certificates: count(serials.len()), streams_cut: count(cut) }))
    }

    async fn renew_operator(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::CertificateReply>, Status> {
        match peer_of(&request)?.peer.identity {
            Identity::Operator { .. } => renew(&self.0, request).await.map(Response::new),
            Identity::Node(_) => Err(Status::permission_denied("nodes renew by RenewNode")),
        }
    }
}

fn note(who: &Identity, event: &'static str, detail: String) -> Note {
    Note { actor: who.to_string(), event, plan: None, detail }
}

fn parse_node(text: &str) -> Result<NodeName, Status> {
    text.parse().map_err(|error| Status::invalid_argument(format!("{error}")))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Status> {
    serde_json::to_vec(value).map_err(|error| Status::internal(error.to_string()))
}

/// Would the engines of a node start, and be reached from here, if they were restarted now?
fn preflights(core: &Core, node: &NodeName) -> Result<Vec<Preflight>, Status> {
    if !core.known_nodes()?.contains(node) {
        return Err(Status::not_found(format!("there is no node {node}: `dialtone nodes` lists them")));
    }
    let picture = core.picture(node)?;
    let engines = EngineView::all(&picture).unwrap_or_default();
    if engines.is_empty() {
        return Err(Status::failed_precondition(format!("no engine is known on {node}")));
    }
    let source = outside_addresses(&picture).first().and_then(|address| common_probe::source_of((*address, 9).into()));
    Ok(engines.iter().map(|engine| controller_diagnose::preflight(&picture, engine, source, now())).collect())
}

fn summary(core: &Core, node: &NodeName) -> Result<Vec<u8>, Status> {
    let picture = core.present(node)?;
    json(&controller_correlate::inventory::summary(&picture, core.agent_version(node)?))
}

/// The newest changes since a moment, oldest first, with who made them where the nodes' records tell. Each is dated by its node's
/// clock; what came first, and what is since then, is told by the controller's.
fn newest_changes(core: &Core, node: Option<NodeName>, since: Timestamp, limit: usize) -> Result<Vec<Change>, Status> {
    let nodes = match node {
        Some(node) => vec![node],
        None => core.known_nodes()?,
    };
    let mut dated: Vec<(Timestamp, Change)> = Vec::new();
    for node in nodes {
        let picture = core.picture(&node)?;
        let all = timeline(&picture).into_iter().map(|change| (picture.agent.by_controller(change.at), change));
        let mut new: Vec<_> = all.filter(|(at, _)| *at >= since).collect();
        dated.extend(new.split_off(new.len().saturating_sub(limit)));
    }
    dated.sort_by(|(at, a), (other_at, b)| (at, &a.node, &a.id).cmp(&(other_at, &b.node, &b.id)));
    let newest = dated.split_off(dated.len().saturating_sub(limit));
    Ok(newest.into_iter().map(|(_, change)| change).collect())
}

/// A piece of evidence as it is shown: its beginning, safe for a terminal.
fn citation(envelope: &Envelope) -> Citation {
    let text = match &envelope.body {
        Body::Raw(raw) => String::from_utf8_lossy(&raw[..raw.len().min(EXCERPT_CHARS * 4)]).into_owned(),
        Body::Failed(failure) => format!("could not be read: {}", failure.message),
        Body::Gone => "is no longer there".to_owned(),
    };
    Citation {
        id: envelope.id(),
        node: Some(envelope.node.clone()),
        kind: envelope.kind.clone(),
        taken_at: envelope.taken_at,
        excerpt: common_model::text::printable(&text.chars().take(EXCERPT_CHARS).collect::<String>()),
        source: printable_line(&envelope.subject),
    }
}
