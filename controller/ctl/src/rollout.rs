//! A rollout as a controller hands it out, believed only as far as its bytes and those of its plans bear it out.

use common_plan::rollout::{Order, Rollout, RolloutId};
use proto::v1;
use serde::Serialize;

use crate::plan::{Fetched, Untrue};

/// A rollout that consists of what its id says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FetchedRollout {
    /// What it consists of, by its bytes.
    pub(crate) order: Order,
    /// How it stands, in the controller's words.
    pub(crate) rollout: Rollout,
    /// Its plans, in order, by their bytes.
    pub(crate) plans: Vec<Fetched>,
}

/// An answer that must not be acted upon.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UntrueRollout {
    /// Its bytes are those of another, or none.
    #[error("the bytes that came are not those of rollout {0}; nothing was signed")]
    OtherBytes(RolloutId),
    /// Its plans are not those it consists of.
    #[error("the plans that came are not those of rollout {0}; nothing was signed")]
    OtherPlans(RolloutId),
    /// A plan of it cannot be believed.
    #[error(transparent)]
    Plan(#[from] Untrue),
    /// The controller's words cannot be read.
    #[error("what the controller says of a rollout cannot be read")]
    Words(#[source] serde_json::Error),
}

impl FetchedRollout {
    /// Checks an answer about the rollout of this id; where none was asked for, about any.
    pub(crate) fn check(asked: Option<&RolloutId>, reply: v1::RolloutReply) -> Result<Self, UntrueRollout> {
        let id = RolloutId::of(&reply.order);
        if asked.is_some_and(|asked| *asked != id) {
            return Err(UntrueRollout::OtherBytes(id));
        }
        let order = Order::decode(&reply.order).map_err(|_| UntrueRollout::OtherBytes(id.clone()))?;
        let plans = reply.plans.into_iter().map(Fetched::read).collect::<Result<Vec<_>, _>>()?;
        let rollout: Rollout = serde_json::from_slice(&reply.rollout_json).map_err(UntrueRollout::Words)?;
        let by_bytes: Vec<_> = plans.iter().map(|plan| (plan.id(), plan.plan.node.clone())).collect();
        let by_words: Vec<_> = rollout.turns.iter().map(|turn| (turn.plan.clone(), turn.node.clone())).collect();
        let ids: Vec<_> = by_bytes.iter().map(|(id, _)| id.clone()).collect();
        if rollout.id != id || order.plans != ids || by_bytes != by_words {
            return Err(UntrueRollout::OtherPlans(id));
        }
        Ok(Self { order, rollout, plans })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use common_model::Timestamp;
    use common_plan::rollout::{Calls, Moment, Phase, ROLLOUT_SCHEMA, RolloutStage, Turn};
    use common_plan::{Service, Step, Verb};

    use super::*;
    use crate::plan::tests::{NOW, fetched, plan, reply as plan_reply};

    /// Restarts es-1 and es-2.
    pub(crate) fn rollout() -> FetchedRollout {
        let restart = |node: &str| {
            let mut plan = plan();
            plan.node = node.parse().unwrap();
            plan.goal.endpoint = format!("http://{node}:9200");
            plan.goal.cause = "not-running".parse().unwrap();
            plan.why.sentence = "The kernel's limits were raised (rolling restart of logs)".to_owned();
            plan.risk = "Clients of this node lose their connections until it is up again.".to_owned();
            plan.undo = "A restart cannot be taken back.".to_owned();
            plan.step = Step::Service(Service {
                unit: "elasticsearch.service".parse().unwrap(),
                verb: Verb::Restart,
                from: "active".parse().unwrap(),
                enable: false,
            });
            fetched(plan)
        };
        let plans = vec![restart("es-2"), restart("es-1")];
        let order = Order {
            schema: ROLLOUT_SCHEMA.to_owned(),
            cluster: "logs".to_owned(),
            made_at: NOW.plus_millis(-60_000),
            why: "The kernel's limits were raised".to_owned(),
            calls: Calls::Flush,
            plans: plans.iter().map(Fetched::id).collect(),
            remarks: vec!["es-9 is in the cluster, too, and no agent is known on it: it is left out".to_owned()],
        };
        let turn = |plan: &Fetched| Turn {
            node: plan.plan.node.clone(),
            plan: plan.id(),
            phase: Phase::Waits,
            since: NOW.plus_millis(-60_000),
            said: None,
            before: None,
            run_before: None,
        };
        let rollout = Rollout {
            id: RolloutId::of(&order.encode().unwrap()),
            cluster: "logs".to_owned(),
            made_at: order.made_at,
            expires_at: NOW.plus_millis(840_000),
            stage: RolloutStage::Proposed,
            turns: plans.iter().map(turn).collect(),
            held: false,
            stop: None,
            history: vec![moment(NOW.plus_millis(-60_000), "controller", None, "proposed")],
        };
        FetchedRollout { order, rollout, plans }
    }

    pub(crate) fn moment(at: Timestamp, who: &str, node: Option<&str>, what: &str) -> Moment {
        Moment { at, who: who.to_owned(), node: node.map(|node| node.parse().unwrap()), what: what.to_owned() }
    }

    fn reply(fetched: &FetchedRollout) -> v1::RolloutReply {
        v1::RolloutReply {
            order: fetched.order.encode().unwrap(),
            rollout_json: serde_json::to_vec(&fetched.rollout).unwrap(),
            plans: fetched.plans.iter().map(|plan| plan_reply(&plan.plan, &plan.record)).collect(),
        }
    }

    #[test]
    fn what_its_id_says_is_taken() {
        let rollout = rollout();
        assert_eq!(FetchedRollout::check(Some(&rollout.rollout.id), reply(&rollout)).unwrap(), rollout);
    }

    #[test]
    fn another_order_other_plans_and_other_nodes_are_not() {
        let real = rollout();
        let id = &real.rollout.id;
        let mut swapped = reply(&real);
        swapped.plans.swap(0, 1);
        assert!(matches!(FetchedRollout::check(Some(id), swapped), Err(UntrueRollout::OtherPlans(_))));
        let mut fewer = reply(&real);
        fewer.plans.pop();
        assert!(matches!(FetchedRollout::check(Some(id), fewer), Err(UntrueRollout::OtherPlans(_))));
        let mut other = real.clone();
        other.order.cluster = "billing".to_owned();
        assert!(matches!(FetchedRollout::check(Some(id), reply(&other)), Err(UntrueRollout::OtherBytes(_))));
        let mut renamed = real.clone();
        renamed.rollout.turns[0].node = "es-7".parse().unwrap();
        assert!(matches!(FetchedRollout::check(Some(id), reply(&renamed)), Err(UntrueRollout::OtherPlans(_))));
    }
}
