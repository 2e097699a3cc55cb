//! From a cluster's name to a rollout that can be approved.

use std::sync::Arc;
use std::time::Duration;

use common_model::NodeName;
use common_model::preflight::Answer;
use common_plan::PlanId;
use common_plan::rollout::RolloutStage;
use common_yml::Edit;
use controller_diagnose::preflight;
use controller_remedy::rollout::{Member, Proposed, edited, lacks};
use futures::future::join_all;
use tonic::Status;
use tracing::info;

use super::cluster::{self, Cluster, Found, is_alone};
use super::merged::standing;
use super::store::KeptRollout;
use crate::clock::now;
use crate::core::{Core, blocking, chain};
use crate::engine_api::{ApiError, Nodes};

/// How long agents have to read their sources again.
const REFRESH: Duration = Duration::from_secs(10);

/// What a rollout is asked for.
enum Wanted {
    /// The nodes of a cluster, by its name or by one of them.
    Cluster(String),
    /// What this plan was merged for, and nothing where its nodes have it.
    Merged(PlanId, NodeName),
}

/// Brings what was merged for a node to the nodes whose file it is, where one of them lacks it. The plan need not be told to be
/// merged yet: whoever is killed in between finds this rollout again.
pub(crate) async fn propose_merged(core: &Arc<Core>, plan: PlanId, node: NodeName) -> Result<KeptRollout, Status> {
    proposed(core, Wanted::Merged(plan, node), String::new(), "controller".to_owned()).await
}

/// Proposes a rolling restart of a cluster, with what was merged for its nodes and one of them lacks: the same again where one
/// waits for approval.
pub(crate) async fn propose(core: &Arc<Core>, text: String, why: String, who: String) -> Result<KeptRollout, Status> {
    proposed(core, Wanted::Cluster(text), why, who).await
}

async fn proposed(core: &Arc<Core>, wanted: Wanted, why: String, who: String) -> Result<KeptRollout, Status> {
    let merged = match &wanted {
        Wanted::Merged(plan, _) => Some(plan.clone()),
        Wanted::Cluster(_) => None,
    };
    let (cluster, names) = blocking({
        let core = Arc::clone(core);
        move || {
            let cluster = match wanted {
                Wanted::Cluster(text) => Cluster::named(&core, &text)?,
                Wanted::Merged(_, node) => Cluster::around(&core, &node)?,
            };
            let names: Vec<_> = cluster.members(&core)?.into_iter().map(|found| found.node.name).collect();
            Ok::<_, Status>((cluster, names))
        }
    })
    .await?;
    let agents = names.iter().filter_map(|name| core.live.agent(name));
    join_all(agents.map(|agent| async move { agent.refresh(REFRESH).await })).await;
    let (found, api, open) = blocking({
        let (core, cluster) = (Arc::clone(core), cluster.clone());
        move || {
            let found = cluster.members(&core)?;
            let api = cluster::api(&core, &cluster.name, &found, None);
            let is_of = |open: &KeptRollout| {
                let goes_to = |node: &NodeName| open.rollout.turns.iter().any(|turn| turn.node == *node);
                open.rollout.cluster == cluster.name && found.iter().any(|found| goes_to(&found.node.name))
            };
            let open = core.rollouts.open()?.into_iter().find(is_of);
            Ok::<_, Status>((found, api, open))
        }
    })
    .await?;
    let (cluster, only_merged) = (cluster.name, merged.is_some());
    let (standing, unknown) = standing(core, names, merged).await?;
    if let Some(open) = open {
        let brings = standing.as_ref().filter(|standing| open.order.why == standing.why);
        // One that ends in a moment is of no use to who is to read and sign it, nor one that was there before the merge.
        let usable = open.rollout.stage == RolloutStage::Proposed
            && open.rollout.turns.iter().all(|turn| !is_over(core, &turn.plan))
            && (brings.is_some() || !only_merged);
        if let Some(standing) = brings {
            core.plans.followed_up(&standing.plan, &open.rollout.id)?;
        }
        return if usable { Ok(open) } else { Err(busy(&open)) };
    }
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
        let edits_of = |found: &Found| {
            let standing = standing.as_ref().filter(|standing| standing.is_of(&core, &found.node.name, &cluster));
            standing.map_or(&[][..], |standing| &standing.merged.edits)
        };
        let remarks = [remarks, judged(&core, &found, edits_of)?, unknown].concat();
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
            [alone] if is_alone(&alone.engine) => {
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

/// Would each start again, with what it is to get? The error names the first that would not; what is not known is told.
fn judged<'a>(core: &Core, found: &[Found], edits_of: impl Fn(&Found) -> &'a [Edit]) -> Result<Vec<String>, Status> {
    let mut remarks = Vec::new();
    for found in found {
        let judged = preflight(&found.node, &edited(&found.engine, edits_of(found)), None, now());
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
