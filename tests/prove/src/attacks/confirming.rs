//! False words about plans that an operator did sign: who lies about them gets them undone, never kept. Those that no controller
//! can say are said on the actuator's socket, by an agent that was taken over, too.

use common_plan::wire::{Doubt, Reply, Request};
use common_plan::{PlanBytes, PlanId, State};
use tests_node::until;

use super::{Attack, Node, Signed, VALUES};
use crate::scripted::{Answer, act};

pub(super) const WITHHELD: Attack = Attack {
    name: "the answer withheld whether a plan worked: undone at the deadline",
    answer: Answer::Nothing,
    run: |world, node, _| {
        let signed = world.signed(&node.plan("withheld"));
        until("it is live", || {
            // What is left of the flood may have every place in the agent.
            if node.host.entry(&signed.bytes).is_none() {
                world.scripted().send(&node.name, act(signed.bytes.as_slice(), &signed.approvals));
            }
            node.host.live() == VALUES[2]
        });
        undone(node, &signed.bytes);
    },
};

pub(super) const WRONG_NONCE: Attack = Attack {
    name: "a confirmation with a wrong nonce, often",
    answer: Answer::Nothing,
    run: |world, node, _| {
        let signed = world.signed(&node.plan("wrong nonce"));
        applied(node, &signed);
        for guess in 0..50 {
            let nonce = format!("{guess:032x}");
            assert_eq!(ended(node, &Request::Confirm { plan: signed.bytes.id(), nonce }), State::Applied);
        }
        assert_eq!(ended(node, &revert(signed.bytes.id())), State::Reverted);
    },
};

pub(super) const TOO_LATE: Attack = Attack {
    name: "a true confirmation after the deadline",
    answer: Answer::Nothing,
    run: |world, node, _| {
        let signed = world.signed(&node.plan("too late"));
        let nonce = applied(node, &signed);
        undone(node, &signed.bytes);
        assert_eq!(ended(node, &Request::Confirm { plan: signed.bytes.id(), nonce }), State::Reverted);
    },
};

pub(super) const OTHERS_NONCE: Attack = Attack {
    name: "one plan's nonce to confirm others",
    answer: Answer::Nothing,
    run: |world, node, _| {
        let [first, second] = ["first", "second"].map(|risk| world.signed(&node.plan(risk)));
        let nonce = applied(node, &first);
        // One that was never handed in, one that was undone, and then the next with the nonce of the last.
        let early = Request::Confirm { plan: second.bytes.id(), nonce: nonce.clone() };
        assert!(matches!(node.host.ask(&early), Some(Reply::Refused { code, .. }) if code == "unknown"));
        let undone = Request::Confirm { plan: node.undone.bytes.id(), nonce: nonce.clone() };
        assert_eq!(ended(node, &undone), State::Reverted);
        assert_eq!(ended(node, &revert(first.bytes.id())), State::Reverted);
        applied(node, &second);
        assert_eq!(ended(node, &Request::Confirm { plan: second.bytes.id(), nonce }), State::Applied);
        assert_eq!(ended(node, &revert(second.bytes.id())), State::Reverted);
    },
};

pub(super) const REVERT_FLOOD: Attack = Attack {
    name: "a flood of wishes to undo what lasts, and what never was",
    answer: Answer::Undo,
    run: |_, node, trial| {
        // One that is turned away, since eight are being answered, asks again.
        let asked = |wish: &Request| {
            (0..1000).find_map(|times| {
                let reply = node.host.ask(wish);
                if times > 0 && reply.is_some() {
                    trial.sample("of a flood of 200 wishes, turned away before it was answered: times", times);
                }
                reply
            })
        };
        for number in 0..100_u64 {
            let kept = asked(&revert(node.kept.bytes.id()));
            assert!(matches!(&kept, Some(Reply::Done { entry }) if entry.state == State::Persisted), "{kept:?}");
            let never = revert(format!("{number:016x}").parse().unwrap());
            assert!(matches!(asked(&never), Some(Reply::Refused { code, .. }) if code == "unknown"));
        }
    },
};

fn revert(plan: PlanId) -> Request {
    Request::Revert { plan, doubt: Doubt::NotSeen }
}

/// Hands a plan in, as an agent does; its nonce.
fn applied(node: &Node, signed: &Signed) -> String {
    let request = Request::Act { plan: signed.bytes.clone(), approvals: signed.approvals.clone() };
    match node.host.ask(&request) {
        Some(Reply::Applied { nonce, .. }) => nonce,
        reply => panic!("{reply:?}"),
    }
}

fn ended(node: &Node, request: &Request) -> State {
    match node.host.ask(request) {
        Some(Reply::Done { entry }) => entry.state,
        reply => panic!("{reply:?}"),
    }
}

/// Waits until the node has undone a plan by itself, and tells so.
fn undone(node: &Node, plan: &PlanBytes) {
    until("it is undone", || node.host.entry(plan).is_some_and(|entry| entry.state == State::Reverted));
    let because = node.host.entry(plan).and_then(|entry| entry.because).unwrap();
    assert!(because.contains("in time"), "{because}");
}
