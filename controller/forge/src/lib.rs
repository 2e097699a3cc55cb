//! Repositories that the engines' configuration comes from: reading a file from one, pushing a branch with an edit of it, and
//! asking for the merge.
//!
//! What is read and written goes through the `git` program, each argument by itself and nothing through a shell; pull requests go
//! through the forge's own API. The token reaches git in its environment and the API in a header: it stands on no command line, in
//! no URL and in no error.

mod api;
mod body;
mod config;
mod git;

pub use api::{Ask, Forge, ForgeError, PullRequest, Standing};
pub use body::{body, commit_message, title};
pub use config::{Author, InvalidRepository, Kind, RepositoryConfig};
pub use git::{File, GitError, Mirror};

use common_plan::{Branch, PlanId};

/// The branch of a plan. By its name the controller finds again what it has pushed.
pub fn branch_of(plan: &PlanId) -> String {
    format!("dialtone/{plan}")
}

/// Whether a branch is one of ours.
pub fn is_ours(branch: &Branch) -> bool {
    branch.as_str().starts_with("dialtone/")
}
