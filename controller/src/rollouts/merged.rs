//! Which merged edit a rollout brings to its nodes.

use std::sync::Arc;

use common_model::NodeName;
use common_plan::{Action, ConfigEdit, Digest, Plan, PlanId, Stage, Step};
use controller_remedy::rollout::Merged;
use tonic::Status;

use crate::core::{Core, blocking};
use crate::plans::Kept;

/// An edit that the repository stands by.
pub(super) struct Standing {
    /// The plan that had it merged.
    pub(super) plan: PlanId,
    /// What nodes are to get.
    pub(super) merged: Merged,
    /// For those who approve it.
    pub(super) why: String,
    step: ConfigEdit,
}

impl Standing {
    /// Whether a node's file is the one that was edited.
    pub(super) fn is_of(&self, core: &Core, node: &NodeName, cluster: &str) -> bool {
        let repository = core.repositories.get(&self.step.repository);
        repository.and_then(|repository| repository.config.path_of(node, Some(cluster))).as_ref()
            == Some(&self.step.path)
    }
}

/// The newest edit merged for one of these nodes, `just` included, which is about to be told so; provided the repository still has
/// the file as it was approved: what was changed again since is not brought to any node. Else what could not be looked at.
pub(super) async fn standing(
    core: &Arc<Core>,
    nodes: Vec<NodeName>,
    just: Option<PlanId>,
) -> Result<(Option<Standing>, Vec<String>), Status> {
    let candidates = blocking({
        let core = Arc::clone(core);
        move || merged_for(&core, &nodes, just.as_ref())
    })
    .await?;
    let mut remarks = Vec::new();
    for (id, plan, step) in candidates {
        let Some(repository) = core.repositories.get(&step.repository) else { continue };
        match repository.read(&step.path).await {
            Ok(file) if Digest::of(file.text.as_bytes()) == step.to => {
                let why = format!("{} was edited in {} by plan {id}", step.path, step.repository);
                let merged = Merged { edits: step.edits.clone(), node: plan.node, goal: plan.goal };
                return Ok((Some(Standing { plan: id, merged, why, step }), remarks));
            }
            Ok(_) => {}
            Err(why) => remarks.push(format!("whether plan {id} still stands is not known: {why}")),
        }
    }
    Ok((None, remarks))
}

/// The edits merged for these nodes, the newest first.
fn merged_for(
    core: &Core,
    nodes: &[NodeName],
    just: Option<&PlanId>,
) -> Result<Vec<(PlanId, Plan, ConfigEdit)>, Status> {
    let is_merged = |kept: &Kept| {
        let record = &kept.life.record;
        let is_merged = record.stage == Stage::Verified || Some(&record.id) == just;
        record.action == Action::ConfigEdit && is_merged && nodes.contains(&record.node)
    };
    let mut merged = Vec::new();
    for kept in core.plans.all()?.iter().filter(|kept| is_merged(kept)) {
        let plan = kept.bytes.decode().map_err(|error| Status::internal(error.to_string()))?;
        if let Step::ConfigEdit(step) = &plan.step {
            let step = step.clone();
            merged.push((kept.life.record.id.clone(), plan, step));
        }
    }
    Ok(merged)
}
