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
use crate::clock::now;
use crate::core::{Core, chain};
use crate::faults;
use crate::repositories::Repository;

/// How many looks a plan outlives that somebody has said no to, or whose merge git does not show: what was closed by a slip is opened
/// again.
const LOOKS_BEFORE_END: u32 = 5;

/// Why it cannot be told or done for now.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Forge(#[from] ForgeError),
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        let again = match &failure {
            Failure::Forge(ForgeError::Busy { wait, .. }) => Some(*wait),
            Failure::Forge(_) | Failure::Git(_) => None,
        };
        Outcome::Failing(chain(&failure), again)
    }
}

pub(super) async fn act(core: &Arc<Core>, work: &Work, step: &ConfigEdit) -> Outcome {
    let Some(repository) = configured(core, step) else {
        return Outcome::is(CarriedTo::Refused, format!("{} is not as it was in controller.yaml", step.repository));
    };
    ask(repository, work, step).await.unwrap_or_else(Outcome::from)
}

pub(super) async fn follow(core: &Arc<Core>, work: &Work, step: &ConfigEdit) -> Outcome {
    let Some(repository) = configured(core, step) else {
        return Outcome::failing(format!("{} is not as it was in controller.yaml", step.repository));
    };
    let again = Duration::from_secs(u64::from(core.config.repository_poll_seconds.max(1)));
    let judged = match look(repository, work, step).await {
        Ok(seen) => judge(&seen, &branch_of(&work.id), step),
        Err(failure) => return failure.into(),
    };
    match judged {
        Judged::Waits(because) => Outcome::Waits(because, again),
        Judged::Ends(to, because) => Outcome::is(to, because),
        Judged::MayEnd(to, because, unless) => {
            let time = again * LOOKS_BEFORE_END;
            let told = format!("{because}: it ends so unless {unless} within {} s", time.as_secs());
            match work.has_said_ms(&told, now()).and_then(|ms| u64::try_from(ms).ok()) {
                Some(ms) if Duration::from_millis(ms) >= time => Outcome::is(to, because),
                _ => Outcome::Waits(told, again),
            }
        }
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
        return Ok(Outcome::is(CarriedTo::Applied, is_pushed(&branch, step)));
    };
    let (title, body) = (title(&work.plan, step), body(&work.id, &work.plan, step, &work.approved_by));
    let request = forge.open(&Ask { branch: &branch, title: &title, body: &body }).await?;
    faults::point("opened");
    Ok(is_asked(&request))
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
    let refused = |why: String| Ok(Some(Outcome::is(CarriedTo::Refused, why)));
    let file = match mirror.read(path).await {
        Err(GitError::File(path, why)) => return refused(format!("{path} {why}")),
        file => file?,
    };
    let found = Digest::of(file.text.as_bytes());
    // Merged, and its branch deleted, before this was written down; or somebody has made the same edit.
    if found == step.to {
        return Ok(Some(Outcome::is(CarriedTo::Verified, is_approved(step))));
    }
    if !work.may_begin {
        return Ok(Some(Outcome::is(CarriedTo::Expired, "it was not begun in time")));
    }
    if found != step.from {
        return refused(format!("{path} in {repository} has been changed since: diagnose again for a new plan"));
    }
    let text = match common_yml::apply(&file.text, &step.edits) {
        Ok(text) if Digest::of(text.as_bytes()) == step.to => text,
        Ok(_) => return refused("its edits do not give the file that was approved".to_owned()),
        Err(error) => return refused(format!("{path} in {repository}: {error}")),
    };
    let message = commit_message(&work.id, &work.plan, step, &work.approved_by);
    faults::point("pushing");
    mirror.push(&work.id, (path, &file), &text, &message, work.plan.made_at).await?;
    faults::point("pushed");
    Ok(None)
}

fn is_asked(request: &PullRequest) -> Outcome {
    let because = match request.standing {
        Standing::Open => OPEN,
        Standing::Merged => "the pull request is merged",
        Standing::Closed => "the pull request is closed",
    };
    Outcome::Is(Carried { to: CarriedTo::Applied, because: because.to_owned(), link: Some(request.url.clone()) })
}

const OPEN: &str = "the pull request is open";

fn is_pushed(branch: &str, step: &ConfigEdit) -> String {
    format!("branch {branch} is pushed to {}: merge it into {}", step.repository, step.branch)
}

fn is_approved(step: &ConfigEdit) -> String {
    format!("{} on {} is as approved", step.path, step.branch)
}

/// What there is to be seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// None on a plain git remote, and where the forge knows none.
    request: Option<Standing>,
    /// Whether the plan's branch is there; looked for only where there is no pull request.
    branch: bool,
    /// The file on the branch that nodes are set up from; none: it is not one that can be edited, or not there.
    file: Option<Digest>,
}

/// What follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Judged {
    /// It waits, and so it stands.
    Waits(String),
    /// That is its end.
    Ends(CarriedTo, String),
    /// That is its end, unless this comes about soon.
    MayEnd(CarriedTo, String, &'static str),
}

async fn look(repository: &Repository, work: &Work, step: &ConfigEdit) -> Result<Seen, Failure> {
    let request = match Forge::of(&repository.config)? {
        Some(forge) => forge.find(&branch_of(&work.id)).await?.map(|request| request.standing),
        None => None,
    };
    let mirror = repository.mirror().await?;
    // Before the file: whoever merges in between is seen to have done so, or is looked at again.
    let branch = request.is_none() && mirror.is_pushed(&work.id).await?;
    let file = match mirror.read(&step.path).await {
        Err(GitError::File(..)) => None,
        file => Some(Digest::of(file?.text.as_bytes())),
    };
    Ok(Seen { request, branch, file })
}

fn judge(seen: &Seen, name: &str, step: &ConfigEdit) -> Judged {
    let (path, branch) = (&step.path, &step.branch);
    let unchanged = seen.file.as_ref() == Some(&step.from);
    if seen.file.as_ref() == Some(&step.to) {
        return Judged::Ends(CarriedTo::Verified, is_approved(step));
    }
    let waits = |said: String| match unchanged {
        true => Judged::Waits(said),
        false => Judged::Waits(format!(
            "{said}; but {path} on {branch} has been changed meanwhile, and a merge would give something else than was approved: \
             close it, and diagnose again"
        )),
    };
    match seen.request {
        Some(Standing::Open) => waits(OPEN.to_owned()),
        None if seen.branch => waits(is_pushed(name, step)),
        // A forge may tell of a merge before git shows it.
        Some(Standing::Merged) if unchanged => Judged::MayEnd(
            CarriedTo::Failed,
            format!("merged, but {path} on {branch} is as it was"),
            "git shows the merge",
        ),
        Some(Standing::Merged) => {
            Judged::Ends(CarriedTo::Failed, format!("merged, but {path} on {branch} is not what was approved"))
        }
        // What was closed by a slip is opened again at once.
        Some(Standing::Closed) if unchanged => {
            Judged::MayEnd(CarriedTo::Declined, "closed without being merged".to_owned(), "it is opened again")
        }
        None if unchanged => {
            Judged::MayEnd(CarriedTo::Declined, "closed without being merged".to_owned(), "its branch is pushed again")
        }
        Some(Standing::Closed) | None => {
            Judged::Ends(CarriedTo::Failed, format!("closed, and {path} on {branch} is not what was approved"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(request: Option<Standing>, branch: bool, file: Option<&str>) -> (Option<CarriedTo>, String, bool) {
        let step = ConfigEdit {
            repository: "config".parse().unwrap(),
            branch: "main".parse().unwrap(),
            path: "es.yml".parse().unwrap(),
            from: Digest::of(b"before"),
            edits: Vec::new(),
            to: Digest::of(b"after"),
        };
        let seen = Seen { request, branch, file: file.map(|text| Digest::of(text.as_bytes())) };
        match judge(&seen, "dialtone/1", &step) {
            Judged::Waits(because) => (None, because, false),
            Judged::Ends(to, because) => (Some(to), because, false),
            Judged::MayEnd(to, because, _) => (Some(to), because, true),
        }
    }

    #[test]
    fn what_has_come_about_counts_more_than_what_is_said_of_it() {
        for request in [None, Some(Standing::Open), Some(Standing::Merged), Some(Standing::Closed)] {
            let (to, because, _) = judged(request, false, Some("after"));
            assert_eq!((to, because.as_str()), (Some(CarriedTo::Verified), "es.yml on main is as approved"));
        }
    }

    #[test]
    fn what_waits_says_when_it_is_overtaken() {
        for (request, branch) in [(Some(Standing::Open), false), (None, true)] {
            let (to, because, _) = judged(request, branch, Some("before"));
            assert!(to.is_none() && !because.contains("changed"), "{because}");
            for file in [Some("another"), None] {
                let (to, because, _) = judged(request, branch, file);
                assert!(to.is_none() && because.contains("has been changed meanwhile"), "{because}");
            }
        }
    }

    #[test]
    fn what_may_be_a_slip_or_late_is_not_the_end_at_once() {
        let of = |request, file| {
            let (to, _, may) = judged(request, false, Some(file));
            (to, may)
        };
        assert_eq!(of(Some(Standing::Merged), "before"), (Some(CarriedTo::Failed), true));
        assert_eq!(of(Some(Standing::Merged), "another"), (Some(CarriedTo::Failed), false));
        for request in [Some(Standing::Closed), None] {
            assert_eq!(of(request, "before"), (Some(CarriedTo::Declined), true));
            assert_eq!(of(request, "another"), (Some(CarriedTo::Failed), false));
        }
    }
}
