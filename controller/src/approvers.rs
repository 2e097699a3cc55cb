//! Who could still approve a plan: told with it, so that nobody has to ask around at night. The node, or the controller's own rules,
//! decide whose signature counts; this decides nothing. Blocking.

use common_evidence::Evidence;
use common_evidence::collectors::policy::NodePolicy;
use common_model::incident::Incident;
use common_plan::{Approver, Carrier, Record, Stage};
use common_tls::Role;
use controller_correlate::NodePicture;
use tonic::Status;

use crate::core::Core;
use crate::plans::Kept;

impl Core {
    /// A plan's record as it is told to people.
    pub(crate) fn told(&self, kept: &Kept) -> Result<Record, Status> {
        let mut record = kept.life.record.clone();
        record.could_approve = self.could_approve(&record)?;
        Ok(record)
    }

    /// An incident as it is told to people.
    pub(crate) fn incident_told(&self, mut incident: Incident) -> Result<Incident, Status> {
        for plan in incident.plans.iter_mut().filter(|plan| !plan.ended) {
            // It outlives its plans, which may be forgotten.
            if let Some(kept) = plan.id.parse().ok().and_then(|id| self.plans.get(&id).ok()) {
                plan.could_approve = self.could_approve(&kept.life.record)?;
            }
        }
        Ok(incident)
    }

    fn could_approve(&self, record: &Record) -> Result<Vec<String>, Status> {
        if record.stage != Stage::Proposed {
            return Ok(Vec::new());
        }
        let listed = match record.action.carrier() {
            Carrier::Controller => None,
            Carrier::Node => Some(self.listed(record)?),
        };
        let operators = self.registry.operators(Role::Approver)?;
        Ok(could_approve(record, operators.iter().map(|name| name.as_str()), listed.as_deref()))
    }

    /// Whom the node's policy lists, as last seen.
    fn listed(&self, record: &Record) -> Result<Vec<Approver>, Status> {
        let evidence = self.evidence.states_of(&record.node, NodePolicy::KIND)?;
        let picture = NodePicture { evidence, ..self.outline(&record.node)? };
        let policy = picture.one::<NodePolicy>("").known().and_then(|cited| cited.value.policy.clone());
        Ok(policy.map(|policy| policy.approvers).unwrap_or_default())
    }
}

/// Of these operators, those who have not approved it and whom the node lists, where it is a node's to say.
fn could_approve<'a>(
    record: &Record,
    operators: impl Iterator<Item = &'a str>,
    listed: Option<&[Approver]>,
) -> Vec<String> {
    let given = &record.approvals;
    let has_approved = |name: &str| {
        let keys = || listed.into_iter().flatten().filter(|listed| listed.name == name).map(|listed| &listed.key);
        given.iter().any(|given| given.operator == name || keys().any(|key| *key == given.approval.key))
    };
    let counts = |name: &str| listed.is_none_or(|listed| listed.iter().any(|listed| listed.name == name));
    operators.filter(|name| counts(name) && !has_approved(name)).map(str::to_owned).collect()
}
