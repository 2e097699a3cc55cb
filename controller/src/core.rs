//! What all services share.

use std::error::Error;
use std::sync::Arc;

use controller_cloud::Aws;
use controller_remedy::plan::Means;
use controller_store::StoreError;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::error;

use crate::access::Revoked;
use crate::audit::{Audit, AuditError, Note};
use crate::authority::{Authority, AuthorityError};
use crate::clock::now;
use crate::config::Config;
use crate::evidence_log::{EvidenceLog, EvidenceLogError};
use crate::incidents::{IncidentError, Incidents};
use crate::live::Live;
use crate::plans::{PlanError, Plans};
use crate::registry::{Registry, RegistryError};
use crate::rollouts::{RolloutError, Rollouts};

/// The parts of a running controller.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) authority: Authority,
    pub(crate) registry: Registry,
    pub(crate) evidence: EvidenceLog,
    pub(crate) audit: Arc<Audit>,
    pub(crate) plans: Plans,
    pub(crate) rollouts: Rollouts,
    pub(crate) incidents: Incidents,
    pub(crate) live: Arc<Live>,
    pub(crate) aws: Option<Aws>,
    pub(crate) revoked: Arc<Revoked>,
    pub(crate) stopping: CancellationToken,
}

impl Core {
    /// What it has to carry out plans itself.
    pub(crate) fn means(&self) -> Means {
        Means { approvals: self.config.approvals.clone(), terms: self.config.plans }
    }

    /// Writes into the audit log what has been done and cannot wait for it.
    pub(crate) async fn note(self: &Arc<Self>, actor: impl ToString, event: &'static str, detail: String) {
        let (core, actor) = (Arc::clone(self), actor.to_string());
        let noted = blocking(move || {
            core.audit.note(&Note { actor, event, plan: None, detail }, now());
            Ok::<_, Status>(())
        });
        // It never fails: what could not be written has been logged.
        drop(noted.await);
    }
}

/// Runs something that blocks, off the runtime's own threads.
pub(crate) async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, Status>
where
    T: Send + 'static,
    E: Into<Status> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Into::into),
        Err(panic) => {
            error!(%panic, "a task failed");
            Err(Status::internal("the controller failed; its log says more"))
        }
    }
}

/// An error with its sources, for a caller; what happened on the controller's disk is logged too.
fn internal(error: &dyn Error) -> Status {
    let text = chain(error);
    error!(error = %text, "a request failed");
    Status::internal(text)
}

/// An error and its sources in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn of_store(error: &StoreError) -> Status {
    match error {
        StoreError::DiskFull { .. } => {
            error!(%error, "nothing can be stored");
            Status::resource_exhausted(error.to_string())
        }
        StoreError::Conflict { .. } => Status::aborted(error.to_string()),
        StoreError::InUse { .. } | StoreError::Limit(_) | StoreError::Engine { .. } => internal(error),
    }
}

impl From<RegistryError> for Status {
    fn from(error: RegistryError) -> Self {
        match &error {
            RegistryError::UnknownToken
            | RegistryError::ExpiredToken(_)
            | RegistryError::WrongNode(_)
            | RegistryError::OtherKey(_) => Status::permission_denied(error.to_string()),
            RegistryError::NameTaken(_) => Status::already_exists(error.to_string()),
            RegistryError::Unknown(_) => Status::not_found(error.to_string()),
            RegistryError::Ttl => Status::invalid_argument(error.to_string()),
            RegistryError::Random(_) | RegistryError::Entry(_) => internal(&error),
            RegistryError::Store(error) => of_store(error),
        }
    }
}

impl From<EvidenceLogError> for Status {
    fn from(error: EvidenceLogError) -> Self {
        match &error {
            EvidenceLogError::Store(error) => of_store(error),
            EvidenceLogError::Encode(_) => internal(&error),
        }
    }
}

impl From<AuditError> for Status {
    fn from(error: AuditError) -> Self {
        error!(error = %chain(&error), "the audit log cannot be written");
        Status::unavailable(chain(&error))
    }
}

impl From<PlanError> for Status {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Unknown(_) => Status::not_found(error.to_string()),
            PlanError::Impossible(_) => Status::failed_precondition(error.to_string()),
            PlanError::Signature => Status::permission_denied(error.to_string()),
            PlanError::Audit(error) => error.into(),
            PlanError::Store(error) => of_store(&error),
            PlanError::Evidence(error) => error.into(),
            PlanError::Entry(_) | PlanError::Invalid(_) => internal(&error),
        }
    }
}

impl From<RolloutError> for Status {
    fn from(error: RolloutError) -> Self {
        match error {
            RolloutError::Unknown(_) => Status::not_found(error.to_string()),
            RolloutError::Over(_) => Status::failed_precondition(error.to_string()),
            RolloutError::Audit(error) => error.into(),
            RolloutError::Store(error) => of_store(&error),
            RolloutError::Entry(_) => internal(&error),
        }
    }
}

impl From<IncidentError> for Status {
    fn from(error: IncidentError) -> Self {
        match error {
            IncidentError::Unknown(_) => Status::not_found(error.to_string()),
            IncidentError::Ended(_) => Status::failed_precondition(error.to_string()),
            IncidentError::Audit(error) => error.into(),
            IncidentError::Store(error) => of_store(&error),
            IncidentError::Entry(_) => internal(&error),
        }
    }
}

impl From<AuthorityError> for Status {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::Registry(error) => error.into(),
            AuthorityError::Revoked(_) => Status::permission_denied(error.to_string()),
            AuthorityError::Ca(_) | AuthorityError::Credentials(_) => Status::invalid_argument(chain(&error)),
            AuthorityError::Key(_) => internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_full_disk_is_told_to_whoever_wants_something_stored() {
        let full = || StoreError::DiskFull { path: "/var/lib/dialtone-controller/store".into() };
        for status in [Status::from(RegistryError::Store(full())), Status::from(EvidenceLogError::Store(full()))] {
            assert_eq!(status.code(), Code::ResourceExhausted);
            let said = status.message();
            assert!(said.contains("no space left") && said.contains("/var/lib/dialtone-controller/store"), "{said}");
        }
    }
}
