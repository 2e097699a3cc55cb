//! A plan as a controller hands it out, believed only as far as its bytes bear it out.

use common_plan::{InvalidPlan, Plan, PlanBytes, PlanId, Record};
use proto::v1;
use serde::Serialize;

use crate::render::persons::{Persons, once_each};

/// A plan whose bytes are the ones asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fetched {
    /// What the bytes say. This is what people are shown.
    pub(crate) plan: Plan,
    /// What is signed.
    pub(crate) bytes: PlanBytes,
    /// What became of it, in the controller's words.
    pub(crate) record: Record,
}

/// An answer that must not be acted upon.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untrue {
    /// One plan was asked for, and the bytes of another came.
    #[error("asked for plan {asked}, the controller sent the bytes of plan {got}; nothing was signed")]
    OtherBytes {
        /// By the caller.
        asked: PlanId,
        /// By the bytes.
        got: PlanId,
    },
    /// The controller's own words about the plan contradict its bytes.
    #[error("what the controller says of plan {0} is not what the plan's bytes say; nothing was signed")]
    OtherRecord(PlanId),
    /// The bytes are no plan, or one of a newer sort.
    #[error("the bytes of plan {0} cannot be read; nothing was signed")]
    Unreadable(PlanId, #[source] InvalidPlan),
    /// More bytes than a plan has.
    #[error("the controller's answer is no plan")]
    TooLarge(#[source] InvalidPlan),
    /// The record is not one.
    #[error("what became of plan {0} cannot be read")]
    Record(PlanId, #[source] serde_json::Error),
}

impl Fetched {
    /// Checks an answer about `asked`.
    pub(crate) fn check(asked: &PlanId, reply: v1::PlanReply) -> Result<Self, Untrue> {
        let fetched = Self::read(reply)?;
        let got = fetched.bytes.id();
        if got != *asked {
            return Err(Untrue::OtherBytes { asked: asked.clone(), got });
        }
        Ok(fetched)
    }

    /// Checks an answer that may be about a plan that is new to the caller.
    pub(crate) fn read(reply: v1::PlanReply) -> Result<Self, Untrue> {
        let bytes = PlanBytes::new(reply.plan).map_err(Untrue::TooLarge)?;
        let id = bytes.id();
        let plan = bytes.decode().map_err(|error| Untrue::Unreadable(id.clone(), error))?;
        let record: Record =
            serde_json::from_slice(&reply.record_json).map_err(|error| Untrue::Record(id.clone(), error))?;
        if !is_about(&record, &id, &plan) {
            return Err(Untrue::OtherRecord(id));
        }
        Ok(Self { plan, bytes, record })
    }

    /// Its id, by its bytes.
    pub(crate) fn id(&self) -> PlanId {
        self.bytes.id()
    }

    /// Who has approved it by a signature that holds, and who still could.
    pub(crate) fn persons(&self) -> Persons {
        let by = once_each(self.valid_approvals().map(|approved| approved.operator.clone()));
        Persons { by, ..Persons::told(&self.record) }
    }

    /// Takes newer words of the controller about the same plan; what contradicts its bytes is left.
    pub(crate) fn take(&mut self, record: &Record) {
        if record.history.len() >= self.record.history.len() && is_about(record, &self.bytes.id(), &self.plan) {
            self.record = record.clone();
        }
    }

    /// Those whose signature is one over these bytes.
    pub(crate) fn valid_approvals(&self) -> impl Iterator<Item = &common_plan::Approved> {
        self.record.approvals.iter().filter(|approved| approved.approval.holds_for(&self.bytes))
    }
}

/// Whether the controller's words are about this plan and do not contradict it.
fn is_about(record: &Record, id: &PlanId, plan: &Plan) -> bool {
    let said = (&record.id, &record.node, record.action, &record.goal, record.expires_at);
    said == (id, &plan.node, plan.step.action(), &plan.goal, plan.expires_at)
}

#[cfg(test)]
pub(crate) mod tests {
    use common_model::Timestamp;
    use common_plan::{CarriedOutBy, Goal, Label, OnNode, Stage, Step, Sysctl, SysctlFile, SysctlSet, Transition, Why};

    use super::*;

    /// 2027-01-15 08:00:00 UTC, as in the other tests of pages.
    pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);

    /// Raises `vm.max_map_count` on es-1.
    pub(crate) fn plan() -> Plan {
        Plan {
            schema: common_plan::SCHEMA.to_owned(),
            node: "es-1".parse().unwrap(),
            by: CarriedOutBy::Node(OnNode {
                session: "0123456789abcdef0123456789abcdef".parse().unwrap(),
                epoch: 2,
                expires_boot_ms: 9_000_000,
                confirm_within_s: 120,
            }),
            made_at: NOW.plus_millis(-60_000),
            expires_at: NOW.plus_millis(840_000),
            step: Step::SysctlSet(SysctlSet {
                key: Sysctl::MaxMapCount,
                from: 65_530,
                to: 262_144,
                persist: Some(SysctlFile {
                    name: Some("60-dialtone.conf".parse::<Label>().unwrap()),
                    from: Some("65530".to_owned()),
                }),
                start: Some("elasticsearch.service".parse().unwrap()),
            }),
            why: Why {
                sentence: "Elasticsearch on es-1 does not start: a bootstrap check fails because vm.max_map_count is \
                           65530 and must be at least 262144"
                    .to_owned(),
                evidence: vec![
                    "/var/log/elasticsearch/prod.log: max virtual memory areas vm.max_map_count [65530] is too low"
                        .to_owned(),
                    "/proc/sys/vm/max_map_count: 65530".to_owned(),
                ],
            },
            goal: Goal { endpoint: "http://es-1:9200".to_owned(), cause: "bootstrap-check".parse().unwrap() },
            risk: "None known: the setting only allows more memory maps; it holds for the whole host.".to_owned(),
            undo: "vm.max_map_count gets its old value, and the file its old line.".to_owned(),
        }
    }

    /// What the controller says of a plan that was just made.
    pub(crate) fn record(plan: &Plan) -> Record {
        Record {
            id: plan.encode().unwrap().id(),
            node: plan.node.clone(),
            action: plan.step.action(),
            title: "Raise vm.max_map_count to 262144 on es-1".to_owned(),
            goal: plan.goal.clone(),
            made_at: plan.made_at,
            expires_at: plan.expires_at,
            needed: 1,
            approvals: Vec::new(),
            could_approve: Vec::new(),
            stage: Stage::Proposed,
            history: vec![transition(Stage::Proposed, plan.made_at, "controller", None)],
            link: None,
            reverted_by: None,
            rollout: None,
            until: None,
            follow_up: None,
        }
    }

    pub(crate) fn transition(stage: Stage, at: Timestamp, who: &str, because: Option<&str>) -> Transition {
        Transition { stage, at, who: who.to_owned(), because: because.map(str::to_owned) }
    }

    pub(crate) fn fetched(plan: Plan) -> Fetched {
        Fetched { bytes: plan.encode().unwrap(), record: record(&plan), plan }
    }

    pub(crate) fn reply(plan: &Plan, record: &Record) -> v1::PlanReply {
        v1::PlanReply {
            plan: plan.encode().unwrap().as_slice().to_vec(),
            record_json: serde_json::to_vec(record).unwrap(),
        }
    }

    #[test]
    fn the_bytes_asked_for_are_taken() {
        let plan = plan();
        let record = record(&plan);
        assert_eq!(Fetched::check(&record.id, reply(&plan, &record)).unwrap(), fetched(plan));
    }

    #[test]
    fn another_plans_bytes_are_not() {
        let asked = record(&plan()).id;
        let mut other = plan();
        other.risk = "none at all".to_owned();
        // Whether or not the controller says so.
        let mut lie = record(&other);
        assert!(matches!(Fetched::check(&asked, reply(&other, &lie)), Err(Untrue::OtherBytes { .. })));
        lie.id = asked.clone();
        assert!(matches!(Fetched::check(&asked, reply(&other, &lie)), Err(Untrue::OtherRecord(_))));
    }

    #[test]
    fn words_that_contradict_the_bytes_are_not() {
        let plan = plan();
        let lies: [fn(&mut Record); 4] = [
            |record| record.node = "es-2".parse().unwrap(),
            |record| record.action = common_plan::Action::Service,
            |record| record.goal.endpoint = "http://es-2:9200".to_owned(),
            |record| record.expires_at = Timestamp(0),
        ];
        for lie in lies {
            let mut record = record(&plan);
            lie(&mut record);
            assert!(matches!(Fetched::read(reply(&plan, &record)), Err(Untrue::OtherRecord(_))));
        }
    }

    #[test]
    fn bytes_that_are_no_plan_are_not() {
        let plan = plan();
        let bytes = b"{\"schema\":\"dialtone.plan/9\"}".to_vec();
        let id = PlanBytes::new(bytes.clone()).unwrap().id();
        let reply = v1::PlanReply { plan: bytes, ..reply(&plan, &record(&plan)) };
        assert!(matches!(Fetched::check(&id, reply), Err(Untrue::Unreadable(..))));
    }
}
