//! I5: somebody has taken over the controller, with its CA's key, its database and its address, and every agent with it: nothing
//! changes on any node, and every node tells what was tried.

use crate::attacks::{ALL, World};
use crate::network::Network;
use crate::run::Run;

use super::Invariant;

/// Nodes for a release, and with every change.
const NODES: u64 = 20;
const FEW_NODES: u64 = 3;

pub(super) const INVARIANT: Invariant = Invariant {
    id: "I5",
    promise: "a controller that was taken over changes nothing that nobody has signed",
    trials: NODES * ALL.len() as u64,
    few: FEW_NODES * ALL.len() as u64,
    prove: |run: &Run| {
        let _network = Network::enter();
        let nodes = run.trials.div_ceil(ALL.len() as u64);
        let mut world = World::taken_over(usize::try_from(nodes).unwrap());
        for (attack, first) in ALL.iter().zip((0..).step_by(usize::try_from(nodes).unwrap())) {
            world.try_on_every_node(attack, run, first);
        }
    },
};
