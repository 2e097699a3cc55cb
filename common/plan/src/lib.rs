//! Plans: what is to be changed on one node, who approved it, and what a node's administrator allows.
//!
//! Three programs share these words. The controller makes plans, the operator's `dialtone` decodes, shows and signs their
//! exact bytes, and the actuator on the node decides by [`authorize`] alone whether they are carried out. Pure: no clock, no
//! file, no randomness; whatever is judged comes in as a value.

mod approval;
pub mod audit;
mod authorize;
pub mod config_install;
mod names;
mod plan;
mod policy;
mod record;
mod report;
pub mod rollout;
pub mod rules_file;
mod step;
pub mod wire;

pub use approval::{Approval, ApprovalKey, InvalidKey, PublicKey};
pub use authorize::{Authorized, Node, Refusal, authorize};
pub use config_install::ConfigInstall;
pub use names::{Branch, ConfigFile, Digest, GroupId, InterfaceId, Label, Region, RepoPath, SessionId, UnitName};
pub use plan::{CarriedOutBy, Goal, InvalidPlan, MAX_PLAN_BYTES, OnNode, Plan, PlanBytes, PlanId, SCHEMA, Why};
pub use policy::{Approver, InvalidPolicy, Policy, Range};
pub use record::{Approved, Record, Stage, Transition};
pub use report::{Entry, Report, State};
pub use rollout::{Rollout, RolloutId};
pub use step::{
    Action, Carrier, ConfigEdit, FirewallAllow, FirewallRevoke, Limit, LimitValue, Opening, Place, RulesFile,
    SecurityGroupAllow, Service, Step, Sysctl, SysctlFile, SysctlSet, UnitLimit, Verb,
};
