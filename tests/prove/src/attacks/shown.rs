//! One plan shown to an operator, and another one to be signed: against the real `dialtone approve`.

use common_plan::{Plan, Record, Stage};

use super::{Attack, VALUES};
use crate::scripted::Answer;

pub(super) const SWAPPED: Attack = Attack {
    name: "one plan shown and another one's bytes to be signed",
    answer: Answer::Keep,
    run: |world, node, _| {
        // One controller and one screen: a node at a time.
        static SCREEN: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _screen = SCREEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let scripted = world.scripted();
        let (harmless, other) = (node.plan("harmless"), node.plan("not what was asked for"));
        let (asked, swapped) = (harmless.encode().unwrap(), other.encode().unwrap());
        let id = asked.id().to_string();
        let before = scripted.signed();
        // The record of the one, of the other, and of the other under the name of the one, with the bytes of the other.
        for record in [record(&harmless), record(&other), Record { id: asked.id(), ..record(&other) }] {
            scripted.show(swapped.clone(), record);
            let output = world.alice.output(&["approve", &id, "--yes"]);
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && told.contains("nothing was signed"), "{told}");
        }
        assert_eq!(scripted.signed(), before, "something was signed");
        // Of the right bytes, what is shown is what they say, not what the controller says of them.
        scripted.show(asked, Record { title: "Nothing much".to_owned(), ..record(&harmless) });
        let output = world.alice.output(&["plan", &id]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(&VALUES[2].to_string()) && !told.contains("Nothing much"), "{told}");
    },
};

fn record(plan: &Plan) -> Record {
    Record {
        id: plan.encode().unwrap().id(),
        node: plan.node.clone(),
        action: plan.step.action(),
        title: "Raise it".to_owned(),
        goal: plan.goal.clone(),
        made_at: plan.made_at,
        expires_at: plan.expires_at,
        needed: 1,
        approvals: Vec::new(),
        could_approve: Vec::new(),
        stage: Stage::Proposed,
        history: Vec::new(),
        link: None,
        rollout: None,
        follow_up: None,
        reverted_by: None,
        until: None,
    }
}
