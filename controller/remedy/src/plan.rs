//! From a remedy with a step to the plan an operator can approve. Pure: the time comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use common_evidence::collectors::actuator::Actuator;
use common_evidence::collectors::policy::NodePolicy;
use common_model::diagnosis::{Citation, Remedy};
use common_model::text::printable_line;
use common_model::{Certainty, Diagnosis, Network, NodeName, Probe, Stage, Symptom, Timestamp, Verdict};
use common_plan::{
    Action, Branch, CarriedOutBy, Carrier, Digest, FirewallAllow, FirewallRevoke, Goal, Label, OnNode, Plan, PlanId,
    Policy, RepoPath, Report, SCHEMA, SecurityGroupAllow, Step, UnitLimit, Why,
};
use controller_correlate::{NodePicture, Picture};
use serde::{Deserialize, Serialize};

use crate::ask::Ask;
use crate::step::{self, Planned};

/// The vantage of the controller's own probes.
const CONTROLLER: &str = "controller";
/// How long plans are good for, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Terms {
    /// To be approved and begun.
    pub valid_seconds: u32,
    /// To prove itself, once it is live, before it is undone.
    pub prove_seconds: u32,
    /// The same where a unit is started, which has to come up first.
    pub prove_start_seconds: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self { valid_seconds: 900, prove_seconds: 60, prove_start_seconds: 300 }
    }
}

impl Terms {
    /// Which of them is out of its bounds, with the bounds.
    pub fn out_of_bounds(&self) -> Option<(&'static str, u32, RangeInclusive<u32>)> {
        let all = [
            ("valid_seconds", self.valid_seconds, 20..=3600),
            ("prove_seconds", self.prove_seconds, 10..=900),
            ("prove_start_seconds", self.prove_start_seconds, 10..=900),
        ];
        all.into_iter().find(|(_, value, bounds)| !bounds.contains(value))
    }

    /// For how many milliseconds a plan is good.
    pub(crate) fn valid_ms(&self) -> i64 {
        i64::from(self.valid_seconds) * 1000
    }
}

/// A node whose clock differs by more would take the plan for expired, or for longer valid than it is.
const MAX_CLOCK_OFFSET_MS: i64 = 30_000;
/// Bytes of one text in a plan, and lines of evidence.
const MAX_TEXT: usize = 1000;
const MAX_EVIDENCE: usize = 16;

/// A plan for one of a diagnosis' remedies, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Index in [`Diagnosis::remedies`].
    pub remedy: usize,
    /// The plan with the number of persons the node wants to approve it; else what the node's administrator would have to do
    /// for there to be one.
    pub plan: Result<(Plan, u8), String>,
}

/// The plans of a diagnosis. A node without an actuator carries out none, and nothing is said of it.
pub fn proposals(diagnosis: &Diagnosis, picture: &Picture, means: &Means, now: Timestamp) -> Vec<Proposal> {
    let behind = diagnosis.blockers.iter().map(|blocker| (blocker, None));
    let mut proposals: Vec<Proposal> = Vec::new();
    for (verdict, change) in std::iter::once((&diagnosis.verdict, diagnosis.change.as_ref())).chain(behind) {
        let ask = Ask::new(verdict, change, picture);
        let Some(node) = ask.node else { continue };
        let actuated = Actuated::of(node, &means.terms);
        for (index, remedy) in diagnosis.remedies.iter().enumerate() {
            let mends = crate::actions::ALL
                .iter()
                .any(|action| action.id == remedy.action && action.causes.contains(&verdict.cause.as_str()));
            if !mends || proposals.iter().any(|proposal| proposal.remedy == index) {
                continue;
            }
            let Some(planned) = step::of(&ask, remedy, means) else { continue };
            let Planned { step, risk, undo } = match planned {
                Ok(planned) => planned,
                Err(why) => {
                    proposals.push(Proposal { remedy: index, plan: Err(why) });
                    continue;
                }
            };
            let why = Why { sentence: line(&verdict.sentence), evidence: decisive(diagnosis, &ask) };
            let goal = Goal { endpoint: picture.endpoint.to_string(), cause: verdict.cause.clone() };
            let texts = (risk.as_str(), undo.as_str());
            let plan = match (step.action().carrier(), &actuated) {
                (Carrier::Controller, _) if !is_provable(&step, picture) => {
                    Err("the controller cannot prove it, since it is in another network than the client".to_owned())
                }
                (Carrier::Controller, _) => Ok(means.plan(step, node, (why, goal), texts, now)),
                (Carrier::Node, Some(actuated)) => actuated.plan(step, (why, goal), texts, now),
                (Carrier::Node, None) => continue,
            };
            proposals.push(Proposal { remedy: index, plan });
        }
    }
    proposals
}

/// A plan that takes a verified one back; else how to do it by hand. The node has to be as the first plan left it.
pub fn inverse(
    id: &PlanId,
    plan: &Plan,
    node: &NodePicture,
    terms: &Terms,
    now: Timestamp,
) -> Result<(Plan, u8), String> {
    let (step, risk, undo) = match &plan.step {
        Step::SysctlSet(set) => {
            let mut step = set.clone();
            (step.from, step.to, step.start) = (set.to, set.from, None);
            step.persist = step.persist.map(|file| common_plan::SysctlFile { from: Some(set.to.to_string()), ..file });
            let risk = "What needed the higher value fails without it at its next start.".to_owned();
            (Step::SysctlSet(step), risk, format!("set {} to {} again", set.key, set.to))
        }
        Step::FirewallAllow(made) => {
            let risk = format!("{} can no longer reach port {}, unless another rule lets it.", made.source, made.port);
            let undo = format!("approve a plan again that lets {} reach port {}", made.source, made.port);
            (Step::FirewallRevoke(FirewallRevoke { plan: id.clone(), made: made.clone() }), risk, undo)
        }
        // What an earlier drop-in held is not known here, only its digest.
        Step::UnitLimit(raised) if raised.from.is_none() && !raised.limits.is_empty() => {
            let from = raised.content().map(|content| Digest::of(content.as_bytes()));
            let step = UnitLimit { limits: BTreeMap::new(), from, start: None, ..raised.clone() };
            let risk = format!("{} runs on as it does, and has the lower limits from its next start on.", raised.unit);
            (Step::UnitLimit(step), risk, "diagnose again for a plan that raises them".to_owned())
        }
        Step::Service(_) => {
            let why = "no plan stops a unit, so that nobody who has signed one can have shut a node down";
            return Err(format!("{why}; by hand: {}", plan.undo));
        }
        step => return Err(format!("{} is not taken back by a plan; by hand: {}", step.action(), plan.undo)),
    };
    let actuated = Actuated::of(node, terms).ok_or_else(|| format!("{} has no actuator any more", plan.node))?;
    let why = Why { sentence: format!("Takes back: {}", plan.why.sentence), evidence: Vec::new() };
    actuated.plan(step, (why, plan.goal.clone()), (&risk, &undo), now)
}

/// The same opening for a limited time, after which the node shuts it by itself. It is put in no file meanwhile; the plan names
/// the files all the same, so that it is taken out again should somebody save the rules while it is there.
pub fn limited(
    plan: &Plan,
    for_s: u32,
    node: &NodePicture,
    terms: &Terms,
    now: Timestamp,
) -> Result<(Plan, u8), String> {
    let Step::FirewallAllow(allow) = &plan.step else {
        return Err(format!("{} is not done for a limited time", plan.step.action()));
    };
    let step = FirewallAllow { for_s: Some(for_s), ..allow.clone() };
    let risk = format!(
        "Opens port {} to {} and nobody else. Shut again by the node when the time is over, or earlier: by a reload of the firewall or a boot.",
        step.port, step.source
    );
    let actuated = Actuated::of(node, terms).ok_or_else(|| format!("{} has no actuator any more", plan.node))?;
    let (plan, needed) =
        actuated.plan(Step::FirewallAllow(step), (plan.why.clone(), plan.goal.clone()), (&risk, &plan.undo), now)?;
    plan.encode().map_err(|error| error.to_string())?;
    Ok((plan, needed))
}

/// What the controller's own configuration says of plans.
#[derive(Debug, Clone, Default)]
pub struct Means {
    /// How many persons have to approve a sort of step; one where nothing is said.
    pub approvals: BTreeMap<Action, u8>,
    /// How long plans are good for.
    pub terms: Terms,
    /// The engine's yml of a node as the repository has it that it comes from, or why it cannot be had.
    pub files: BTreeMap<NodeName, Result<RepositoryFile, String>>,
}

/// A file in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryFile {
    /// The repository's name in the controller's configuration.
    pub repository: Label,
    /// The branch it was read from.
    pub branch: Branch,
    /// Which.
    pub path: RepoPath,
    /// What it holds.
    pub text: String,
    /// Whether the controller's administrator allows edits that open an engine which asks for no password.
    pub allow_without_password: bool,
}

/// A node whose file is needed for a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedFile {
    /// The node.
    pub node: NodeName,
    /// The `cluster.name` its engine has, as it says itself.
    pub cluster: Option<String>,
    /// Whether the node can carry out plans, so that somebody has set up more than diagnosing.
    pub has_actuator: bool,
}

/// Whose files [`proposals`] can use.
pub fn wanted_files(diagnosis: &Diagnosis, picture: &Picture) -> BTreeSet<WantedFile> {
    let wanted = |verdict: &Verdict| {
        let ask = Ask::new(verdict, None, picture);
        let edits = diagnosis.remedies.iter().any(|remedy| step::config_edit::is_one(&ask, remedy));
        let cluster = ask.engine.as_ref().map(|engine| engine.settings().cluster_name.values);
        let cluster = cluster.and_then(|values| values.into_iter().next());
        ask.node.filter(|_| edits).map(|node| WantedFile {
            node: node.name.clone(),
            cluster,
            has_actuator: node.one::<Actuator>("").known().is_some_and(|cited| cited.value.report.is_some()),
        })
    };
    std::iter::once(&diagnosis.verdict).chain(&diagnosis.blockers).filter_map(wanted).collect()
}

impl Means {
    /// A plan that takes back what a verified one of the controller's own did; else how to do it by hand.
    pub fn inverse(&self, id: &PlanId, plan: &Plan, node: &NodePicture, now: Timestamp) -> Result<(Plan, u8), String> {
        let by_hand = || format!("{} is not taken back by a plan; by hand: {}", plan.step.action(), plan.undo);
        let Step::SecurityGroupAllow(allow) = &plan.step else { return Err(by_hand()) };
        if allow.takes_back.is_some() {
            return Err(by_hand());
        }
        let step = Step::SecurityGroupAllow(SecurityGroupAllow { takes_back: Some(id.clone()), ..allow.clone() });
        let sentence = line(&format!("Takes back: {}", plan.why.sentence));
        let why = (Why { sentence, evidence: Vec::new() }, plan.goal.clone());
        let risk = format!("{} no longer reaches port {} by this rule.", allow.source, allow.port);
        Ok(self.plan(step, node, why, (&risk, "diagnose again for a plan that lets it in"), now))
    }

    fn plan(
        &self,
        step: Step,
        node: &NodePicture,
        (why, goal): (Why, Goal),
        (risk, undo): (&str, &str),
        now: Timestamp,
    ) -> (Plan, u8) {
        let step = match step {
            Step::SecurityGroupAllow(step) => {
                Step::SecurityGroupAllow(SecurityGroupAllow { confirm_within_s: self.terms.prove_seconds, ..step })
            }
            other => other,
        };
        let needed = self.approvals.get(&step.action()).copied().unwrap_or(1);
        let plan = Plan {
            schema: SCHEMA.to_owned(),
            by: CarriedOutBy::Controller {},
            node: node.name.clone(),
            made_at: now,
            expires_at: now.plus_millis(self.terms.valid_ms()),
            step,
            why,
            goal,
            risk: line(risk),
            undo: line(undo),
        };
        (plan, needed)
    }
}

/// What a node that can carry out plans says of itself.
pub(crate) struct Actuated<'a> {
    node: &'a NodePicture,
    report: Report,
    policy: Option<Policy>,
    terms: &'a Terms,
}

impl<'a> Actuated<'a> {
    pub(crate) fn of(node: &'a NodePicture, terms: &'a Terms) -> Option<Self> {
        let report = node.one::<Actuator>("").known()?.value.report.clone()?;
        let policy = node.one::<NodePolicy>("").known().and_then(|cited| cited.value.policy.clone());
        Some(Self { node, report, policy, terms })
    }

    fn plan(
        &self,
        step: Step,
        reasons: (Why, Goal),
        texts: (&str, &str),
        now: Timestamp,
    ) -> Result<(Plan, u8), String> {
        self.plan_for(self.terms.valid_ms(), step, reasons, texts, now)
    }

    /// A plan whose approval is good for this many milliseconds.
    pub(crate) fn plan_for(
        &self,
        ttl_ms: i64,
        step: Step,
        (why, goal): (Why, Goal),
        (risk, undo): (&str, &str),
        now: Timestamp,
    ) -> Result<(Plan, u8), String> {
        let name = &self.node.name;
        let offset = self.node.agent.clock_offset_ms;
        if offset.abs() > MAX_CLOCK_OFFSET_MS {
            return Err(format!("the clock of {name} is {} s off: set it right first", offset / 1000));
        }
        let file = format!("/etc/dialtone/policy.yaml on {name}");
        let policy = self.policy.as_ref().ok_or_else(|| format!("{file} cannot be used: it allows nothing"))?;
        let needed = policy.permits(&step).map_err(|why| format!("{file} does not allow it: {}", line(&why)))?;
        if policy.epoch < self.report.highest_epoch {
            return Err(format!("{file} has an older epoch than it once had: raise it"));
        }
        let persons: BTreeSet<&str> = policy.approvers.iter().map(|approver| approver.name.as_str()).collect();
        if persons.len() < usize::from(needed) {
            return Err(format!("{file} wants {needed} to approve it and lists {} approvers", persons.len()));
        }
        let longest = i64::from(policy.plans_valid_s) * 1000;
        if ttl_ms > longest {
            let wanted = ttl_ms / 1000;
            return Err(format!(
                "{file} lets an approval be good for {} s, and this needs {wanted}: raise plans_valid_s",
                longest / 1000
            ));
        }
        let expires_at = now.plus_millis(ttl_ms);
        let expires_boot_ms = u64::try_from(expires_at.millis_since(self.report.booted_at))
            .map_err(|_| format!("the actuator on {name} says that it booted in the future"))?;
        let plan = Plan {
            schema: SCHEMA.to_owned(),
            by: CarriedOutBy::Node(OnNode {
                session: self.report.session.clone(),
                epoch: policy.epoch,
                expires_boot_ms,
                confirm_within_s: match step.starts() {
                    Some(_) => self.terms.prove_start_seconds,
                    None => self.terms.prove_seconds,
                },
            }),
            node: name.clone(),
            made_at: now,
            expires_at,
            step,
            why,
            goal,
            risk: line(risk),
            undo: line(undo),
        };
        Ok((plan, needed))
    }
}

/// Verdicts at the listen stage that only an engine gives that runs.
const RUNS: &[&str] =
    &["bound-to-loopback", "bound-to-other-address", "port-differs", "process-hung", "accept-queue-full"];

/// Whether a plan has met its goal, by a diagnosis made after the act: the endpoint can be reached, or the cause is no more and,
/// where the plan starts an engine, it runs. What is not known is not mended.
pub fn is_met(plan: &Plan, diagnosis: &Diagnosis) -> bool {
    let verdict = &diagnosis.verdict;
    if let Step::SecurityGroupAllow(step) = &plan.step
        && !is_through(step, diagnosis)
    {
        return false;
    }
    if verdict.cause.as_str() == "healthy" {
        return true;
    }
    if matches!(plan.step, Step::FirewallRevoke(_)) {
        // That the endpoint cannot be reached from there any more is what was asked for.
        return verdict.certainty > Certainty::Undetermined;
    }
    let remains = |verdict: &Verdict| verdict.cause == plan.goal.cause;
    let down = |verdict: &Verdict| {
        let cause = controller_diagnose::causes::by_id(verdict.cause.as_str());
        plan.step.starts().is_some()
            && cause.is_some_and(|cause| cause.stage == Some(Stage::Listen) && !RUNS.contains(&cause.id))
    };
    let mut all = std::iter::once(verdict).chain(&diagnosis.blockers);
    verdict.certainty > Certainty::Undetermined && !all.any(|verdict| remains(verdict) || down(verdict))
}

/// Whether the controller's own probes come from whom the plan lets in.
fn is_provable(step: &Step, picture: &Picture) -> bool {
    match step {
        Step::SecurityGroupAllow(step) => {
            picture.probes.iter().any(|probe| probe.vantage == CONTROLLER && is_from(probe, step.source))
        }
        _ => true,
    }
}

/// Whether a diagnosis shows that a rule lets its source through: one of them got an answer, if only a refusal; or what stops
/// it now is known for certain, and is something else. Another silence proves nothing.
fn is_through(step: &SecurityGroupAllow, diagnosis: &Diagnosis) -> bool {
    let mut probes =
        diagnosis.probes.iter().filter(|probe| is_from(probe, step.source) && probe.port == step.port).peekable();
    let is_probed = probes.peek().is_some();
    let answered = probes.any(|probe| probe.connected || probe.outcome == Symptom::Refused);
    answered || (is_probed && diagnosis.verdict.certainty == Certainty::Certain)
}

fn is_from(probe: &Probe, network: Network) -> bool {
    probe.source.is_some_and(|source| network.contains(source.to_canonical()))
}

/// The lines behind the verdict, each with its source.
fn decisive(diagnosis: &Diagnosis, ask: &Ask<'_>) -> Vec<String> {
    let cited: Vec<_> = ask.verdict.chain.iter().flat_map(|link| &link.evidence).collect();
    let shown = |citation: &&Citation| cited.contains(&&citation.id) && !citation.excerpt.is_empty();
    let text = |citation: &Citation| line(&format!("{}: {}", citation.source, citation.excerpt));
    diagnosis.evidence.iter().filter(shown).take(MAX_EVIDENCE).map(text).collect()
}

/// One printable line that fits into a plan.
pub(crate) fn line(text: &str) -> String {
    let text = printable_line(text);
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// What a remedy says where there is no plan for it.
pub fn add_reason(remedy: &mut Remedy, why: &str) {
    remedy.risk = format!("{} No plan can be approved for it: {why}.", remedy.risk).trim_start().to_owned();
}
