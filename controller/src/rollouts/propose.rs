//! From a cluster's name to a rollout that can be approved.

use std::sync::Arc;
use std::time::Duration;

use common_model::NodeName;
use common_model::preflight::Answer;
use common_plan::PlanId;
use controller_diagnose::preflight;
use controller_remedy::rollout::{Member, Proposed, lacks};
use futures::future::join_all;
use tonic::Status;
use tracing::info;

use super::cluster::{self, Found};
use super::merged::standing;
use super::store::KeptRollout;
use crate::clock::now;
use crate::core::{Core, blocking, chain};
use crate::engine_api::{ApiError, Nodes};

/// How long agents have to read their sources again.
const REFRESH: Duration = Duration::from_secs(10);

/// Brings what was merged for a node to the nodes whose file it is, where one of them lacks it.
pub(crate) async fn propose_merged(core: &Arc<Core>, node: &NodeName) -> Result<KeptRollout, Status> {
    proposed(core, node.to_string(), String::new(), "controller".to_owned(), true).await
}

/// Proposes a rolling restart of a cluster, with what was merged for its nodes and one of them lacks: the same again where one
/// waits for approval.
pub(crate) async fn propose(core: &Arc<Core>, text: String, why: String, who: String) -> Result<KeptRollout, Status> {
    proposed(core, text, why, who, false).await
}

async fn proposed(
    core: &Arc<Core>,
    text: String,
    why: String,
    who: String,
    only_merged: bool,
) -> Result<KeptRollout, Status> {
    let (cluster, names) = blocking({
        let core = Arc::clone(core);
        move || {
            let cluster = cluster::cluster_of(&core, &text)?;
            let names: Vec<_> = cluster::members(&core, &cluster)?.into_iter().map(|found| found.node.name).collect();
            Ok::<_, Status>((cluster, names))
        }
    })
    .await?;
    let agents = names.iter().filter_map(|name| core.live.agent(name));
    join_all(agents.map(|agent| async move { agent.refresh(REFRESH).await })).await;
    let (found, api, open) = blocking({
        let (core, cluster) = (Arc::clone(core), cluster.clone());
        move || {
            let found = cluster::members(&core, &cluster)?;
            let api = cluster::api(&core, &cluster, &found, None);
            let open = core.rollouts.open()?.into_iter().find(|open| open.rollout.cluster == cluster);
            Ok::<_, Status>((found, api, open))
        }
    })
    .await?;
    if let Some(open) = open {
        use common_plan::rollout::RolloutStage::Proposed;
        // One that ends in a moment is of no use to who is to read and sign it.
        let usable = open.rollout.stage == Proposed && open.rollout.turns.iter().all(|turn| !is_over(core, &turn.plan));
        return if usable { Ok(open) } else { Err(busy(&open)) };
    }
    let (standing, unknown) = standing(core, names).await?;
    let standing = standing.filter(|standing| {
        found.iter().any(|found| {
            standing.is_of(core, &found.node.name, &cluster) && lacks(&found.engine, &standing.merged.edits)
        })
    });
    if only_merged && standing.is_none() {
        return Err(Status::failed_precondition(format!("no node of {cluster} is known to lack what was merged")));
    }
    let nodes = api.nodes().await;
    let core = Arc::clone(core);
    blocking(move || {
        let (asked, remarks) = asked(&cluster, &found, &nodes).map_err(Status::failed_precondition)?;
        let remarks = [remarks, judged(&core, &found)?, unknown].concat();
        let why = match (why.trim(), &standing) {
            ("", Some(standing)) => standing.why.clone(),
            ("", None) => format!("A rolling restart of {cluster} was asked for by {who}"),
            (why, _) => why.to_owned(),
        };
        let elected = |found: &Found| {
            nodes.iter().flat_map(|nodes| &nodes.members).any(|member| member.elected && found.is(member))
        };
        let is_of =
            |found: &&Found| standing.as_ref().is_none_or(|standing| standing.is_of(&core, &found.node.name, &cluster));
        let members = found.iter().filter(is_of).map(|found| Member {
            node: &found.node,
            engine: &found.engine,
            endpoint: found.endpoint().to_string(),
            elected: elected(found),
        });
        let proposed = controller_remedy::rollout::propose(
            &cluster,
            members.collect(),
            asked,
            remarks,
            (&why, standing.as_ref().map(|standing| &standing.merged)),
            &core.config.plans,
            now(),
        );
        let proposed = proposed.map_err(Status::failed_precondition)?;
        store(&core, &proposed, standing.as_ref().map(|standing| &standing.plan), &who)
    })
    .await
}

fn is_over(core: &Core, plan: &PlanId) -> bool {
    core.plans.get(plan).map_or(true, |kept| kept.life.record.expires_at <= now().plus_millis(60_000))
}

fn busy(open: &KeptRollout) -> Status {
    let id = &open.rollout.id;
    Status::failed_precondition(format!("rollout {id} of this cluster has not ended: dialtone rollout {id}"))
}

/// The plans first: one without its rollout is never handed out. `merged` had merged what it brings.
fn store(core: &Core, proposed: &Proposed, merged: Option<&PlanId>, who: &str) -> Result<KeptRollout, Status> {
    for (plan, needed, title) in &proposed.plans {
        core.plans.propose_for(plan, *needed, title, &proposed.rollout.id, now())?;
    }
    core.rollouts.take_in(proposed, who, now())?;
    if let Some(merged) = merged {
        core.plans.followed_up(merged, &proposed.rollout.id)?;
    }
    info!(rollout = %proposed.rollout.id, cluster = proposed.rollout.cluster, nodes = proposed.plans.len(), "proposed");
    Ok(core.rollouts.get(&proposed.rollout.id)?)
}

/// Whether the cluster can be asked, and what the reader has to know of that. The error is why there can be no rollout.
fn asked(cluster: &str, found: &[Found], nodes: &Result<Nodes, ApiError>) -> Result<(bool, Vec<String>), String> {
    match nodes {
        Ok(nodes) => {
            let absent = found.iter().find(|found| !nodes.members.iter().any(|member| found.is(member)));
            if let Some(absent) = absent {
                let name = &absent.node.name;
                return Err(format!("{name} is not in the cluster right now: dialtone diagnose {name}"));
            }
            let unknown = nodes.members.iter().filter(|member| !found.iter().any(|found| found.is(member)));
            let remarks = unknown.map(|member| {
                let at = member.address.map(|address| format!(" ({address})")).unwrap_or_default();
                format!("{}{at} is in the cluster, too, and no agent is known on it: it is left out", member.name)
            });
            Ok((true, remarks.collect()))
        }
        Err(ApiError::Unreachable(why)) => match found {
            [alone] if is_alone(alone) => {
                let name = &alone.node.name;
                Ok((
                    false,
                    vec![format!(
                        "the API of {cluster} cannot be reached from the controller ({why}), and {name} is alone: it is restarted without \
                     any call to the cluster, and its health is not compared"
                    )],
                ))
            }
            _ => Err(format!("the API of {cluster} has to be asked around each restart, and {why}")),
        },
        Err(error) => Err(format!("the API of {cluster} has to be asked around each restart: {}", chain(error))),
    }
}

/// Whether an engine can have no others in its cluster: by its own settings.
fn is_alone(found: &Found) -> bool {
    let settings = found.engine.settings();
    let single =
        settings.discovery_type.origin.is_known() && settings.discovery_type.shown().as_deref() == Some("single-node");
    single || settings.transport.bind.is_loopback_only() == Some(true)
}

/// Would each start again? The error names the first that would not; what is not known is told.
fn judged(core: &Core, found: &[Found]) -> Result<Vec<String>, Status> {
    let mut remarks = Vec::new();
    for found in found {
        let judged = preflight(&found.node, &found.engine, None, now());
        match judged.starts {
            Answer::No => {
                let name = &found.node.name;
                return Err(Status::failed_precondition(format!(
                    "{}; dialtone preflight {name} says more",
                    judged.sentence
                )));
            }
            Answer::Unknown => remarks.push(judged.sentence),
            Answer::Yes => {}
        }
        if core.live.agent(&found.node.name).is_none() {
            let name = &found.node.name;
            return Err(Status::failed_precondition(format!("the agent on {name} is not heard from right now")));
        }
    }
    Ok(remarks)
}
