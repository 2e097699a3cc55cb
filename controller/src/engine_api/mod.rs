//! The few calls to an engine's own API that a rolling restart needs. Reads, and one cluster setting; nothing else is ever asked.
//!
//! <https://www.elastic.co/guide/en/elasticsearch/reference/7.17/restart-cluster.html#restart-cluster-rolling>

mod access;
mod http;

use std::net::IpAddr;
use std::sync::Arc;

use common_model::Endpoint;
use common_plan::rollout::{Calls, Health, Status};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) use access::{Access, AccessError};

/// The cluster setting that is held and put back.
const ALLOCATION: &str = "cluster.routing.allocation.enable";

/// Why a cluster did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No node of it answered; what was tried last, and how that ended.
    #[error("no node of the cluster answers: {0}")]
    Unreachable(String),
    /// It wants to know who asks.
    #[error(
        "the cluster's API wants credentials{0}: name a file with them as engine_api.credentials in controller.yaml"
    )]
    Credentials(&'static str),
    /// Who asks may not do this.
    #[error("the cluster's API does not let the controller's user do this: {0}")]
    Forbidden(String),
    /// It answered something else.
    #[error("the cluster's API answered {0}: {1}")]
    Status(u16, String),
    /// What it answered cannot be read.
    #[error("the answer of the cluster's API cannot be read: {0}")]
    Answer(String),
    /// The credentials cannot be used.
    #[error(transparent)]
    Access(Arc<AccessError>),
}

/// A cluster, by the addresses at which its nodes answer HTTP.
#[derive(Debug, Clone)]
pub(crate) struct EngineApi {
    /// Tried in this order.
    pub(crate) endpoints: Vec<Endpoint>,
    /// Who asks; where that cannot be said, nothing is asked.
    pub(crate) access: Result<Option<Access>, Arc<AccessError>>,
}

/// The nodes a cluster has right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nodes {
    /// All of them.
    pub(crate) members: Vec<ClusterNode>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterNode {
    /// `node.name`.
    pub(crate) name: String,
    /// Names this run of it: another one after every start.
    pub(crate) run: String,
    /// Where the others reach it.
    pub(crate) address: Option<IpAddr>,
    /// Whether it is the elected master.
    pub(crate) elected: bool,
}

#[derive(Deserialize)]
struct HealthAnswer {
    status: Status,
    number_of_nodes: u32,
    #[serde(default)]
    relocating_shards: u64,
    #[serde(default)]
    initializing_shards: u64,
}

/// A cluster's health, and how many shards are on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// What is compared.
    pub(crate) health: Health,
    /// Shards being moved or built.
    pub(crate) moving: u64,
}

impl EngineApi {
    /// `GET _cluster/health`.
    pub(crate) async fn health(&self) -> Result<Seen, ApiError> {
        let answer = self.call(Method::GET, "/_cluster/health", None).await?;
        let answer: HealthAnswer = read(answer)?;
        let health = Health { status: answer.status, nodes: answer.number_of_nodes };
        Ok(Seen { health, moving: answer.relocating_shards.saturating_add(answer.initializing_shards) })
    }

    /// The nodes it has, and which is elected.
    pub(crate) async fn nodes(&self) -> Result<Nodes, ApiError> {
        // `nodes` alone would do, but for who is elected; OpenSearch 2 gives that under both names.
        let path = "/_cluster/state/master_node,nodes?filter_path=master_node,cluster_manager_node,\
                    nodes.*.name,nodes.*.ephemeral_id,nodes.*.transport_address";
        Ok(nodes(&self.call(Method::GET, path, None).await?))
    }

    /// What somebody has set shard allocation to, if anything but the default.
    pub(crate) async fn allocation(&self) -> Result<Option<String>, ApiError> {
        let answer = self.call(Method::GET, "/_cluster/settings?flat_settings=true", None).await?;
        Ok(allocation(&answer))
    }

    /// Lets only primaries be allocated, so that the copies of a node that is away for a moment are not built anew elsewhere.
    pub(crate) async fn hold(&self) -> Result<(), ApiError> {
        self.set_allocation(json!("primaries")).await
    }

    /// Puts allocation back to the default.
    pub(crate) async fn release(&self) -> Result<(), ApiError> {
        self.set_allocation(Value::Null).await
    }

    async fn set_allocation(&self, value: Value) -> Result<(), ApiError> {
        let body = json!({ "persistent": { ALLOCATION: value } });
        self.call(Method::PUT, "/_cluster/settings?flat_settings=true", Some(&body)).await.map(|_| ())
    }

    /// Has what is in memory written, so that a node's shards come back without replaying it.
    pub(crate) async fn flush(&self, calls: Calls) -> Result<(), ApiError> {
        let path = match calls {
            Calls::SyncedFlush => "/_flush/synced",
            Calls::Flush => "/_flush",
            Calls::Nothing => return Ok(()),
        };
        self.call(Method::POST, path, None).await.map(|_| ())
    }

    /// One call, at the first node that answers. Every call here may be made twice.
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let access = self.access.as_ref().map_err(|error| ApiError::Access(Arc::clone(error)))?.as_ref();
        let known = access.is_some_and(|access| access.authorization.is_some());
        let mut last = "none is known".to_owned();
        for endpoint in &self.endpoints {
            match http::call(endpoint, access, &method, path, body).await {
                Ok((status, answer)) => return judged(status, answer, known),
                Err(http::Failed::Credentials(error)) => return Err(ApiError::Access(Arc::new(error))),
                Err(http::Failed::Connection(why)) => last = format!("{endpoint}: {why}"),
            }
        }
        Err(ApiError::Unreachable(last))
    }
}

fn judged(status: u16, answer: Value, known: bool) -> Result<Value, ApiError> {
    let says = || {
        let error = &answer["error"];
        let reason = error["reason"].as_str().or(error.as_str()).unwrap_or_default();
        common_model::text::printable_line(reason).chars().take(200).collect::<String>()
    };
    match status {
        200..=299 => Ok(answer),
        401 if known => Err(ApiError::Credentials(" other than those it was given")),
        401 => Err(ApiError::Credentials("")),
        403 => Err(ApiError::Forbidden(says())),
        status => Err(ApiError::Status(status, says())),
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, ApiError> {
    serde_json::from_value(answer).map_err(|error| ApiError::Answer(error.to_string()))
}

fn nodes(answer: &Value) -> Nodes {
    let elected = answer["master_node"].as_str().or(answer["cluster_manager_node"].as_str());
    let members = answer["nodes"].as_object().into_iter().flatten().map(|(id, node)| ClusterNode {
        name: common_model::text::printable_line(node["name"].as_str().unwrap_or(id)),
        run: common_model::text::printable_line(node["ephemeral_id"].as_str().unwrap_or_default()),
        address: node["transport_address"].as_str().and_then(address),
        elected: Some(id.as_str()) == elected,
    });
    Nodes { members: members.collect() }
}

/// `10.0.0.5:9300`, `[fd00::5]:9300`.
fn address(text: &str) -> Option<IpAddr> {
    let (host, _) = text.rsplit_once(':')?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Transient settings win over persistent ones.
fn allocation(answer: &Value) -> Option<String> {
    let set = |kind: &str| answer[kind][ALLOCATION].as_str();
    let value = set("transient").or(set("persistent")).filter(|value| *value != "all")?;
    Some(common_model::text::printable_line(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_as_both_products_name_them() {
        let members = json!({
            "a": {"name": "es-1", "ephemeral_id": "x", "transport_address": "10.0.0.1:9300"},
            "b": {"name": "es-2\u{1b}[2J", "ephemeral_id": "y", "transport_address": "[fd00::2]:9300"},
        });
        for key in ["master_node", "cluster_manager_node"] {
            let read = nodes(&json!({ key: "b", "nodes": members }));
            let seen: Vec<_> = read.members.iter().map(|node| (node.elected, node.address)).collect();
            let expected = [(false, "10.0.0.1".parse().ok()), (true, "fd00::2".parse().ok())];
            assert_eq!(seen, expected);
            assert!(!read.members[1].name.contains('\u{1b}'));
        }
        assert_eq!(nodes(&json!({})).members, Vec::new());
    }

    #[test]
    fn what_somebody_set_is_seen_and_a_transient_setting_wins() {
        let settings = |transient: Value, persistent: Value| {
            allocation(&json!({"transient": {ALLOCATION: transient}, "persistent": {ALLOCATION: persistent}}))
        };
        assert_eq!(settings(Value::Null, Value::Null), None);
        assert_eq!(settings(Value::Null, json!("all")), None);
        assert_eq!(settings(Value::Null, json!("none")).as_deref(), Some("none"));
        assert_eq!(settings(json!("none"), json!("all")).as_deref(), Some("none"));
        assert_eq!(settings(json!("all"), json!("none")), None);
    }

    #[test]
    fn an_answer_that_is_none_is_told() {
        assert!(matches!(judged(401, Value::Null, false), Err(ApiError::Credentials(""))));
        assert!(
            matches!(judged(503, json!({"error": {"reason": "no master"}}), true), Err(ApiError::Status(503, why)) if why == "no master")
        );
        assert_eq!(judged(200, json!(1), true).unwrap(), json!(1));
    }
}
