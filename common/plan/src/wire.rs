//! What is said over the actuator's socket, `/run/dialtone-actuator/socket`: one JSON object a line, each way.
//!
//! The agent asks [`Request::Act`]; the actuator answers [`Reply::Refused`], or [`Reply::Applied`] once the change is live. The
//! agent has the controller look from outside over a new connection and, if it is content, sends [`Request::Confirm`] with the
//! nonce, on this connection or another. [`Reply::Done`] is how it ended. An agent that was started again meanwhile asks
//! [`Request::Pending`] and goes on where the one before it was.

use serde::{Deserialize, Serialize};

use crate::approval::Approval;
use crate::plan::{PlanBytes, PlanId};
use crate::report::Entry;

/// The longest line.
pub const MAX_LINE: usize = 256 * 1024;

/// To the actuator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Carry this out.
    Act {
        /// The plan's exact bytes.
        plan: PlanBytes,
        /// Who approved it.
        approvals: Vec<Approval>,
    },
    /// The controller has seen from outside that it works.
    Confirm {
        /// Which.
        plan: PlanId,
        /// From [`Reply::Applied`]; proves that whoever confirms was reached after the change.
        nonce: String,
    },
    /// Which plan waits for its confirmation?
    Pending {},
    /// It is not going to be confirmed: undo it now instead of at the deadline.
    Revert {
        /// Which.
        plan: PlanId,
        /// Why not.
        doubt: Doubt,
    },
}

/// Why a plan is not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// The controller has looked from outside and has not seen it work.
    NotSeen,
    /// The controller was not reached, over a connection made after the change, while there was time.
    NotReached,
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Doubt::NotSeen => "it was not seen from outside to work",
            Doubt::NotReached => "the controller was not reached in time after the change",
        })
    }
}

/// From the actuator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Not carried out; nothing was changed.
    Refused {
        /// [`crate::Refusal::code`].
        code: String,
        /// For people.
        because: String,
    },
    /// Live. Undone unless confirmed within the plan's window.
    Applied {
        /// Which.
        plan: PlanId,
        /// Random text made after the act.
        nonce: String,
        /// Milliseconds left to confirm.
        left_ms: u64,
    },
    /// No plan waits for its confirmation.
    Idle {},
    /// It has ended.
    Done {
        /// How.
        entry: Entry,
    },
}
