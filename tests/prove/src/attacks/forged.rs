//! What the CA's key and the database give: identities and records.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use tests_node::until;

use super::{Attack, Signed, World};
use crate::agent::Agent;
use crate::scripted::{Answer, act};

/// What the actuator tells of it.
const TURNED_AWAY: &str = "closed a connection: only root and the agent";
/// `nobody`.
const NOBODY: u32 = 65_534;

pub(super) const AGENT: Attack = Attack {
    name: "a second agent with a certificate for the node, run by another user of it, with a signed plan",
    answer: Answer::Keep,
    run: |world, node, _| {
        let host = &node.host;
        fs::set_permissions(host.root(), Permissions::from_mode(0o755)).unwrap();
        // Even where the socket were open to everybody.
        let socket = host.path("run/dialtone-actuator/socket");
        fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
        let _forged = Agent::start_as(host, &node.name, &world.authority, NOBODY, "forged");
        let log = || fs::read_to_string(host.path("forged.log")).unwrap_or_default();
        until("the forged agent is there", || log().contains("connected"));
        let told = node.journal().matches(TURNED_AWAY).count();
        let signed = world.signed(&node.plan("forged agent"));
        world.scripted().send_to_newest(&node.name, act(signed.bytes.as_slice(), &signed.approvals));
        until("it is turned away", || node.journal().matches(TURNED_AWAY).count() > told);
        assert!(node.host.entry(&signed.bytes).is_none(), "its plan was looked at");
        fs::set_permissions(socket, Permissions::from_mode(0o600)).unwrap();
    },
};

pub(super) const DATABASE: Attack = Attack {
    name: "a forged approval in the database, sent by the real controller",
    answer: Answer::Keep,
    run: |world, node, _| {
        let forged = forged_approval(world, node.place);
        until("it is refused", || node.tells(&forged, "unsigned") > 0);
    },
};

fn forged_approval(world: &World, place: usize) -> Signed {
    let node = &world.nodes[place];
    let mut plan = node.plan("from the database");
    // The same bytes every time.
    (plan.made_at, plan.expires_at) = (common_model::Timestamp(0), common_model::Timestamp(8_000_000_000_000));
    let bytes = plan.encode().unwrap();
    Signed { approvals: vec![world.own.approve(&bytes).unwrap()], bytes }
}

/// Writes the approvals, and lets the real controller find them.
pub(super) fn start_the_real_one(world: &mut World) {
    world.scripted = None;
    for place in 0..world.nodes.len() {
        let forged = forged_approval(world, place);
        world.authority.keep_approved(&forged.bytes, &forged.approvals);
    }
    world.real = Some(world.authority.run());
}
