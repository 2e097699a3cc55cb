//! Asking for an edit of a file in the repository it comes from, and watching what becomes of it.
//!
//! The branch `dialtone/PLAN` is all there is to remember: it is pushed only where there is none, so that of two tries one pushes,
//! and a pull request is looked for by it before one is opened.

use std::sync::Arc;
use std::time::Duration;

use common_plan::{ConfigEdit, Digest};
use controller_forge::{
    Ask, Forge, ForgeError, GitError, PullRequest, Standing, body, branch_of, commit_message, title,
};
use controller_remedy::lifecycle::{Carried, CarriedTo};

use super::{Outcome, Work};
use crate::core::{Core, chain};
use crate::repositories::Repository;

/// Why it cannot be told or done for now.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Forge(#[from] ForgeError),
}

pub(super) async fn act(core: &Arc<Core>, work: &Work, step: &ConfigEdit) -> Outcome {
    let Some(repository) = configured(core, step) else {
        return Outcome::is(CarriedTo::Refused, format!("{} is not as it was in controller.yaml", step.repository));
    };
    ask(repository, work, step).await.unwrap_or_else(|failure| Outcome::Failing(chain(&failure)))
}

pub(super) async fn follow(core: &Arc<Core>, work: &Work, step: &ConfigEdit) -> Outcome {
    let Some(repository) = configured(core, step) else {
        return Outcome::Failing(format!("{} is not as it was in controller.yaml", step.repository));
    };
    let again = Duration::from_secs(u64::from(core.config.repository_poll_seconds.max(1)));
    match look(repository, work, step).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => Outcome::Wait(again),
        Err(failure) => Outcome::Failing(chain(&failure)),
    }
}

/// The repository of a plan, if it is still the one that the plan was made from.
fn configured<'a>(core: &'a Core, step: &ConfigEdit) -> Option<&'a Repository> {
    core.repositories.get(&step.repository).filter(|repository| repository.config.branch == step.branch)
}

async fn ask(repository: &Repository, work: &Work, step: &ConfigEdit) -> Result<Outcome, Failure> {
    let forge = Forge::of(&repository.config)?;
    let branch = branch_of(&work.id);
    if let Some(forge) = &forge
        && let Some(request) = forge.find(&branch).await?
    {
        return Ok(is_asked(&request));
    }
    if let Some(outcome) = push(repository, work, step).await? {
        return Ok(outcome);
    }
    let Some(forge) = forge else {
        let because = format!("branch {branch} is pushed to {}: merge it into {}", step.repository, step.branch);
        return Ok(Outcome::is(CarriedTo::Applied, because));
    };
    let (title, body) = (title(&work.plan, step), body(&work.id, &work.plan, step, &work.approved_by));
    Ok(is_asked(&forge.open(&Ask { branch: &branch, title: &title, body: &body }).await?))
}

/// The branch, unless there is one; how it ended where there will be none.
async fn push(repository: &Repository, work: &Work, step: &ConfigEdit) -> Result<Option<Outcome>, Failure> {
    let mirror = repository.mirror().await?;
    let (repository, path) = (&step.repository, &step.path);
    if let Some(pushed) = mirror.read_pushed(&work.id, path).await? {
        let is_ours = Digest::of(pushed.text.as_bytes()) == step.to;
        let because = format!("{repository} has a branch {} with something else", branch_of(&work.id));
        return Ok((!is_ours).then(|| Outcome::is(CarriedTo::Failed, because)));
    }
    if !work.may_begin {
        return Ok(Some(Outcome::is(CarriedTo::Expired, "it was not begun in time")));
    }
    let refused = |why: String| Ok(Some(Outcome::is(CarriedTo::Refused, why)));
    let file = match mirror.read(path).await {
        Err(GitError::File(path, why)) => return refused(format!("{path} {why}")),
        file => file?,
    };
    if Digest::of(file.text.as_bytes()) != step.from {
        return refused(format!("{path} in {repository} has been changed since: diagnose again for a new plan"));
    }
    let text = match common_yml::apply(&file.text, &step.edits) {
        Ok(text) if Digest::of(text.as_bytes()) == step.to => text,
        Ok(_) => return refused("its edits do not give the file that was approved".to_owned()),
        Err(error) => return refused(format!("{path} in {repository}: {error}")),
    };
    let message = commit_message(&work.id, &work.plan, step, &work.approved_by);
    mirror.push(&work.id, (path, &file), &text, &message, work.plan.made_at).await?;
    Ok(None)
}

fn is_asked(request: &PullRequest) -> Outcome {
    Outcome::Is(Carried {
        to: CarriedTo::Applied,
        because: "the pull request is open".to_owned(),
        link: Some(request.url.clone()),
    })
}

/// What became of it; none as long as it waits.
async fn look(repository: &Repository, work: &Work, step: &ConfigEdit) -> Result<Option<Outcome>, Failure> {
    let request = match Forge::of(&repository.config)? {
        Some(forge) => forge.find(&branch_of(&work.id)).await?.map(|request| request.standing),
        None => None,
    };
    if request == Some(Standing::Open) {
        return Ok(None);
    }
    let mirror = repository.mirror().await?;
    // Before the file: whoever merges in between is seen to have done so, or is looked at again.
    let waits = request.is_none() && mirror.is_pushed(&work.id).await?;
    let found = match mirror.read(&step.path).await {
        Err(GitError::File(..)) => None,
        file => Some(Digest::of(file?.text.as_bytes())),
    };
    let (path, branch) = (&step.path, &step.branch);
    let outcome = match request {
        _ if found.as_ref() == Some(&step.to) => {
            Outcome::is(CarriedTo::Verified, format!("{path} on {branch} is as approved"))
        }
        None if waits => return Ok(None),
        Some(Standing::Merged) => {
            Outcome::is(CarriedTo::Failed, format!("merged, but {path} on {branch} is not what was approved"))
        }
        _ if found.as_ref() == Some(&step.from) => Outcome::is(CarriedTo::Declined, "closed without being merged"),
        _ => Outcome::is(CarriedTo::Failed, format!("closed, and {path} on {branch} is not what was approved")),
    };
    Ok(Some(outcome))
}
