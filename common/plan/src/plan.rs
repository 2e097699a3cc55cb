//! The plan and its exact bytes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common_model::{CauseId, NodeName, Timestamp, text_id};
use serde::{Deserialize, Serialize};

use crate::names::{Digest, SessionId, is_hex};
use crate::step::{Carrier, FirewallAllow, Opening, Step, Verb};

/// The largest plan.
pub const MAX_PLAN_BYTES: usize = 64 * 1024;
/// Value of [`Plan::schema`].
pub const SCHEMA: &str = "dialtone.plan/1";
/// The longest text for people in it, in bytes.
const MAX_TEXT: usize = 2000;
/// The most edits of one file.
const MAX_EDITS: usize = 50;
/// Confirm windows, in seconds.
const WINDOW: std::ops::RangeInclusive<u32> = 10..=900;
/// How long a port is opened that is not opened for good, in seconds.
const LIMITED: std::ops::RangeInclusive<u32> = 10..=30 * 24 * 3600;

/// What is to be done on one node, once. Immutable: whoever changes a byte makes another plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Who carries it out.
    pub by: CarriedOutBy,
    /// The node it is about.
    pub node: NodeName,
    /// When, by the controller's clock.
    pub made_at: Timestamp,
    /// Not begun after this, by the wall clock.
    pub expires_at: Timestamp,
    /// What is done.
    pub step: Step,
    /// Why.
    pub why: Why,
    /// What has to hold for it to be confirmed.
    pub goal: Goal,
    /// What can go wrong, for people.
    pub risk: String,
    /// How it is taken back, for people.
    pub undo: String,
}

/// Who carries a plan out. What only one of them needs to know stands here, so that no plan has it for the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "carrier", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CarriedOutBy {
    /// The actuator on [`Plan::node`], which checks the signatures itself.
    Node(OnNode),
    /// The controller, with credentials of its own that reach no node.
    Controller {},
}

/// What binds a plan to one boot of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnNode {
    /// The boot it is for.
    pub session: SessionId,
    /// The node's policy it was made under.
    pub epoch: u64,
    /// Not begun after this, in milliseconds of the node's boot clock, which nobody can set.
    pub expires_boot_ms: u64,
    /// What is applied and not confirmed within this many seconds is undone.
    pub confirm_within_s: u32,
}

/// Why a plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// The verdict's sentence.
    pub sentence: String,
    /// Lines that decide, each with its source.
    pub evidence: Vec<String>,
}

/// When a plan has succeeded: asked again from outside, with evidence newer than the act, the endpoint is reachable or the cause
/// is neither the verdict nor a further blocker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// What clients were told.
    pub endpoint: String,
    /// The cause that must be gone.
    pub cause: CauseId,
}

/// Bytes that are no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    /// More than [`MAX_PLAN_BYTES`].
    #[error("it has {0} bytes; {MAX_PLAN_BYTES} are allowed")]
    TooLarge(usize),
    /// Not the JSON of a plan: a field is missing, unknown or of a wrong shape, or something follows it.
    #[error("it is not a plan: {0}")]
    Json(String),
    /// A rule every plan has to keep is broken.
    #[error("it is not a plan: {0}")]
    Rule(&'static str),
}

text_id!(
    /// Identifies a plan: the first 16 hex digits of its SHA-256. Never computed from anything but the exact bytes.
    PlanId,
    "plan id",
    "16 hex digits",
    |text| is_hex(text, 16)
);

/// The exact bytes of a plan: what is signed, sent, stored and read. In JSON: base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlanBytes(Vec<u8>);

impl PlanBytes {
    /// Takes bytes as they came. Nothing is known of them yet but that they are not too many.
    pub fn new(bytes: Vec<u8>) -> Result<Self, InvalidPlan> {
        if bytes.len() > MAX_PLAN_BYTES {
            return Err(InvalidPlan::TooLarge(bytes.len()));
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 of the bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// The plan's id.
    pub fn id(&self) -> PlanId {
        PlanId(self.digest().as_str().chars().take(16).collect())
    }

    /// Reads the plan and checks the rules that hold for every plan on every node.
    pub fn decode(&self) -> Result<Plan, InvalidPlan> {
        let plan: Plan = serde_json::from_slice(&self.0).map_err(|error| InvalidPlan::Json(error.to_string()))?;
        // One plan has one text and so one id: the same fields in another order, or spaced out, are no plan.
        if plan.encode()? != *self {
            return Err(InvalidPlan::Rule("it is not written as plans are"));
        }
        Ok(plan)
    }
}

impl fmt::Debug for PlanBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanBytes({})", self.id())
    }
}

impl TryFrom<String> for PlanBytes {
    type Error = InvalidPlan;

    fn try_from(text: String) -> Result<Self, InvalidPlan> {
        let bytes = STANDARD.decode(text).map_err(|error| InvalidPlan::Json(error.to_string()))?;
        Self::new(bytes)
    }
}

impl From<PlanBytes> for String {
    fn from(bytes: PlanBytes) -> String {
        STANDARD.encode(bytes.0)
    }
}

impl Plan {
    /// Its exact bytes; an error where it breaks a rule.
    pub fn encode(&self) -> Result<PlanBytes, InvalidPlan> {
        self.check().map_err(InvalidPlan::Rule)?;
        let bytes = serde_json::to_vec(self).map_err(|error| InvalidPlan::Json(error.to_string()))?;
        PlanBytes::new(bytes)
    }

    /// What binds it to its node, if a node carries it out.
    pub fn on_node(&self) -> Option<&OnNode> {
        match &self.by {
            CarriedOutBy::Node(on_node) => Some(on_node),
            CarriedOutBy::Controller {} => None,
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let texts = [&self.why.sentence, &self.risk, &self.undo, &self.goal.endpoint];
        if self.schema != SCHEMA {
            return Err("its schema is another");
        }
        if texts.into_iter().chain(&self.why.evidence).any(|text| text.len() > MAX_TEXT) || self.why.evidence.len() > 64
        {
            return Err("a text in it is too long");
        }
        match (&self.by, self.step.action().carrier()) {
            (CarriedOutBy::Node(on_node), Carrier::Node) if WINDOW.contains(&on_node.confirm_within_s) => {}
            (CarriedOutBy::Node(_), Carrier::Node) => return Err("the confirm window is not 10 to 900 seconds"),
            (CarriedOutBy::Controller {}, Carrier::Controller) => {}
            (CarriedOutBy::Controller {}, Carrier::Node) => return Err("its step is one that the node carries out"),
            (CarriedOutBy::Node(_), Carrier::Controller) => {
                return Err("its step is one that the controller carries out");
            }
        }
        match &self.step {
            Step::FirewallAllow(step) => check_openings(step)?,
            Step::FirewallRevoke(step) => check_openings(&step.made)?,
            Step::ConfigInstall(step) => step.check()?,
            Step::SecurityGroupAllow(step) => {
                // Nobody's clients are a larger part of all addresses than this.
                let widest = if step.source.address().is_ipv4() { 8 } else { 32 };
                if step.source.prefix() < widest {
                    return Err("it would open a port to everyone, or to nearly everyone");
                }
                if step.port == 0 || !WINDOW.contains(&step.confirm_within_s) {
                    return Err("its port is 0, or the confirm window is not 10 to 900 seconds");
                }
            }
            Step::UnitLimit(step) if step.limits.is_empty() && (step.from.is_none() || step.start.is_some()) => {
                return Err("it changes no limit, or takes limits away to start a unit");
            }
            Step::Service(step) if step.enable && step.verb != Verb::Start => {
                return Err("it enables what it does not start");
            }
            Step::SysctlSet(step) if step.from == step.to && step.persist.is_none() => {
                return Err("it changes nothing");
            }
            Step::ConfigEdit(step) if step.edits.is_empty() || step.edits.len() > MAX_EDITS => {
                return Err("a file is changed by 1 to 50 edits");
            }
            Step::ConfigEdit(step) if step.from == step.to => return Err("it changes nothing"),
            Step::SysctlSet(_) | Step::UnitLimit(_) | Step::Service(_) | Step::ConfigEdit(_) => {}
        }
        Ok(())
    }
}

fn check_openings(step: &FirewallAllow) -> Result<(), &'static str> {
    if step.source.prefix() == 0 {
        return Err("it would open a port to everyone");
    }
    if step.openings.is_empty() || step.openings.len() > 8 {
        return Err("a firewall is opened in one to eight places");
    }
    if step.for_s.is_some_and(|seconds| !LIMITED.contains(&seconds)) {
        return Err("a port is opened for ten seconds to thirty days, or for good");
    }
    let family = |family: &str| match family {
        "inet" => true,
        "ip" => step.source.address().is_ipv4(),
        "ip6" => step.source.address().is_ipv6(),
        _ => false,
    };
    let fits = step.openings.iter().all(|opening| {
        let place = match opening {
            Opening::Nftables { family: name, .. } => family(name.as_str()),
            Opening::Firewalld { zone, policy, .. } => zone.is_some() != policy.is_some(),
            Opening::Ufw { before } | Opening::Iptables { before, .. } => {
                before.as_ref().is_none_or(|place| place.number > 0)
            }
        };
        place && opening.file(step.source).is_none_or(|file| file.fits(opening, step.source))
    });
    if !fits || step.port == 0 {
        return Err("an opening does not fit its source");
    }
    Ok(())
}
