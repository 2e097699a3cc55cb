//! From a cluster's nodes to a rollout: the order, and a plan for each node.

use std::cmp::Reverse;

use common_evidence::collectors::engine_config::EngineConfig;
use common_model::probe::Product;
use common_model::{NodeName, Timestamp};
use common_plan::rollout::{Calls, MAX_NODES, Moment, Order, Phase, ROLLOUT_SCHEMA, Rollout, RolloutStage, Turn};
use common_plan::{ConfigInstall, Digest, Goal, Label, Plan, RolloutId, Service, Step, UnitName, Verb, Why};
use common_yml::Edit;
use controller_correlate::{EngineView, NodePicture, Reading};

use crate::plan::{Actuated, Terms, line};

/// How much longer an approval has to be good for each node before its own: start, rejoin and recovery of an engine that is slow.
const PER_NODE_MS: i64 = 15 * 60_000;
/// Risk and undo of a restart.
const RESTART: (&str, &str) = (
    "Clients of this node lose their connections until it is up again; a restart that fails leaves it down.",
    "A restart cannot be taken back.",
);
/// The same where the engine's file is edited first.
const INSTALL: (&str, &str) = (
    "Clients of this node lose their connections until it is up again, and once more if it has to go back to the old file.",
    "The node puts the old file back and restarts the engine once more, by itself where the new one is not proven.",
);
/// The verdict that a restarted engine must not give.
const CAUSE: &str = "not-running";

/// A node of the cluster, with one of its engines.
pub struct Member<'a> {
    /// What is known of the node.
    pub node: &'a NodePicture,
    /// Its engine.
    pub engine: &'a EngineView,
    /// Where it answers HTTP.
    pub endpoint: String,
    /// Whether the cluster has elected it.
    pub elected: bool,
}

/// An edit that was merged where the nodes' files come from.
#[derive(Debug, Clone)]
pub struct Merged {
    /// What it changes.
    pub edits: Vec<Edit>,
    /// The node it was made for.
    pub node: NodeName,
    /// What it was to mend there.
    pub goal: Goal,
}

/// A rollout nobody has approved yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// What it consists of; its bytes give the id.
    pub order: Order,
    /// The same.
    pub bytes: Vec<u8>,
    /// How it stands.
    pub rollout: Rollout,
    /// The plans in order, each with how many persons its node wants to approve it, and its title.
    pub plans: Vec<(Plan, u8, String)>,
}

/// What is asked of a cluster whose oldest engine is this one.
pub(crate) fn calls(product: Product, version: Option<(u32, u32)>) -> Calls {
    match (product, version) {
        // OpenSearch 1 is Elasticsearch 7.10 by this; 7.6 made a plain flush do the same, and 8.0 took the other away.
        (Product::Opensearch, Some((..=1, _))) => Calls::SyncedFlush,
        (Product::Elasticsearch, Some((major, minor))) if (major, minor) < (7, 6) => Calls::SyncedFlush,
        _ => Calls::Flush,
    }
}

/// A rolling restart of these nodes: in order of name, the elected one last, so that there is one election and not many. Where
/// an edit was `merged`, each node's file gets it first, unless it has it. The error says what is in the way.
pub fn propose(
    cluster: &str,
    mut members: Vec<Member<'_>>,
    asked: bool,
    remarks: Vec<String>,
    (why, merged): (&str, Option<&Merged>),
    terms: &Terms,
    now: Timestamp,
) -> Result<Proposed, String> {
    if members.is_empty() || members.len() > MAX_NODES {
        return Err(format!(
            "{cluster} has {} nodes that are known here; a rollout has 1 to {MAX_NODES}",
            members.len()
        ));
    }
    members.sort_by_key(|member| (member.elected, member.node.name.clone()));
    let oldest = members
        .iter()
        .min_by_key(|member| version(member.engine).map_or(Reverse(None), |version| Reverse(Some(Reverse(version)))));
    let calls = match (asked, oldest) {
        (true, Some(member)) => calls(member.engine.product(), version(member.engine)),
        _ => Calls::Nothing,
    };
    let count = i64::try_from(members.len()).unwrap_or(1);
    let ttl_ms = terms.valid_ms() + (count - 1) * PER_NODE_MS;
    let mut plans = Vec::new();
    for member in &members {
        plans.push(one(member, cluster, (terms, ttl_ms), (why, merged), now)?);
    }
    let ids = plans.iter().map(|(plan, ..)| plan.encode().map(|bytes| bytes.id()).map_err(|error| error.to_string()));
    let order = Order {
        schema: ROLLOUT_SCHEMA.to_owned(),
        cluster: cluster.to_owned(),
        made_at: now,
        why: line(why),
        calls,
        plans: ids.collect::<Result<_, _>>()?,
        remarks: remarks.iter().map(|remark| line(remark)).collect(),
    };
    let bytes = order.encode().map_err(|error| error.to_string())?;
    let turns = plans.iter().zip(&order.plans).map(|((plan, ..), id)| Turn {
        node: plan.node.clone(),
        plan: id.clone(),
        phase: Phase::Waits,
        since: now,
        said: None,
        before: None,
        run_before: None,
    });
    let proposed = Moment { at: now, who: "controller".to_owned(), node: None, what: "proposed".to_owned() };
    let rollout = Rollout {
        id: RolloutId::of(&bytes),
        cluster: cluster.to_owned(),
        made_at: now,
        expires_at: now.plus_millis(ttl_ms),
        stage: RolloutStage::Proposed,
        turns: turns.collect(),
        held: false,
        stop: None,
        history: vec![proposed],
    };
    Ok(Proposed { order, bytes, rollout, plans })
}

/// Major and minor.
fn version(engine: &EngineView) -> Option<(u32, u32)> {
    let mut parts = engine.engine.version.as_deref()?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn one(
    member: &Member<'_>,
    cluster: &str,
    (terms, ttl_ms): (&Terms, i64),
    (why, merged): (&str, Option<&Merged>),
    now: Timestamp,
) -> Result<(Plan, u8, String), String> {
    let node: &NodeName = &member.node.name;
    let edits = merged.map_or(&[][..], |merged| &merged.edits);
    let carrier = Actuated::of(member.node, terms).ok_or_else(|| {
        format!("{node} carries out no plans: on it, systemctl enable --now dialtone-actuator.socket")
    })?;
    let unit: UnitName = member
        .engine
        .unit_name()
        .and_then(|unit| unit.parse().ok())
        .ok_or_else(|| format!("the engine on {node} has no systemd unit that a plan could name"))?;
    let state = member.engine.unit.known().map(|unit| unit.value.active_state.clone());
    let from: Label = match state.as_deref() {
        Some("active") => "active".parse().map_err(|error| format!("{error}"))?,
        // What it does not run for may be what is edited.
        Some(state @ ("inactive" | "failed")) if !edits.is_empty() => {
            state.parse().map_err(|error| format!("{error}"))?
        }
        Some(state) => return Err(format!("{unit} on {node} is {state}, not active: dialtone diagnose {node}")),
        None => return Err(format!("it is not known whether {unit} runs on {node}")),
    };
    let sentence = format!("{} (rolling restart of {cluster})", why.trim_end_matches('.'));
    let why = Why { sentence: line(&sentence), evidence: Vec::new() };
    let cause = CAUSE.parse().map_err(|error| format!("{error}"))?;
    let runs = Goal { endpoint: member.endpoint.clone(), cause };
    let goal = merged.filter(|merged| merged.node == *node).map_or(runs, |merged| merged.goal.clone());
    let verb = if from.as_str() == "active" { Verb::Restart } else { Verb::Start };
    let restart = Step::Service(Service { unit: unit.clone(), verb, from: from.clone(), enable: false });
    let (step, title, texts) = match install(member, edits, &unit, &from)? {
        Some(install) => {
            let title = format!("Edit {} on {node} and restart {unit}", install.file);
            (Step::ConfigInstall(install), title, INSTALL)
        }
        None => (restart, format!("Restart {unit} on {node}"), RESTART),
    };
    let (plan, needed) = carrier.plan_for(ttl_ms, step, (why, goal), texts, now)?;
    Ok((plan, needed, title))
}

/// What brings a node's file to what was merged; none where it is there already. What the file becomes has to be known to the
/// byte, so that a file from which something had to be hidden is left to whatever else brings it there.
fn install(
    member: &Member<'_>,
    edits: &[Edit],
    unit: &UnitName,
    state: &Label,
) -> Result<Option<ConfigInstall>, String> {
    if edits.is_empty() {
        return Ok(None);
    }
    let (node, path) = (&member.node.name, member.engine.engine.config_file());
    let config = member.engine.config.known().map(|cited| &cited.value);
    let config = config.filter(|config| config.unreadable.is_none() && !config.cut);
    let config = config.ok_or_else(|| format!("{path} on {node} is not known"))?;
    let unclear = |error: common_yml::EditError| format!("{path} on {node}: {}", line(&error.to_string()));
    if is_in_force(&config.text, edits).map_err(unclear)? {
        return Ok(None);
    }
    let from = Digest::of(config.text.as_bytes());
    if config.digest.as_ref() != Some(&from) {
        return Err(format!(
            "{path} on {node} holds values that are hidden from the controller, which can therefore not say what it becomes: bring \
             the merged file there as you do otherwise, and propose again"
        ));
    }
    let text = common_yml::apply(&config.text, edits).map_err(unclear)?;
    let file = path.parse().map_err(|_| format!("{path} on {node} is no file that a plan may edit"))?;
    let to = Digest::of(text.as_bytes());
    Ok(Some(ConfigInstall { file, edits: edits.to_vec(), from, to, unit: unit.clone(), state: state.clone() }))
}

/// Whether it is known that an engine's file does not say what these edits make it say.
pub fn lacks(engine: &EngineView, edits: &[Edit]) -> bool {
    engine.config.known().is_some_and(|config| is_in_force(&config.value.text, edits).is_ok_and(|is| !is))
}

/// An engine as it would be with these edits made in its file; as it is where they cannot be made.
pub fn edited(engine: &EngineView, edits: &[Edit]) -> EngineView {
    let mut next = engine.clone();
    if let Reading::Known(cited) = &mut next.config
        && let Ok(text) = common_yml::apply(&cited.value.text, edits)
    {
        let EngineConfig { settings, fatal, .. } = EngineConfig::from_text(&cited.value.path, &text);
        cited.value = EngineConfig { text, settings, fatal, digest: None, ..cited.value.clone() };
    }
    next
}

/// Whether the file says already what the edits make it say.
fn is_in_force(text: &str, edits: &[Edit]) -> Result<bool, common_yml::EditError> {
    for edit in edits {
        let is_so = match edit {
            Edit::Set { key, to, .. } => common_yml::current(text, key)?.as_ref() == Some(to),
            Edit::Unset { key, .. } => common_yml::current(text, key)?.is_none(),
            Edit::Rename { key, to } => {
                common_yml::current(text, key)?.is_none() && common_yml::current(text, to)?.is_some()
            }
        };
        if !is_so {
            return Ok(false);
        }
    }
    Ok(true)
}
