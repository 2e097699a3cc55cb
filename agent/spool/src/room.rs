//! Making room within the quota: unacknowledged states go first, events only when nothing else is left.

use common_model::Class;

use crate::error::SpoolError;
use crate::spool::Spool;

/// Unacknowledged records that were deleted because the quota was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Lowest number among them.
    pub first: u64,
    /// Highest number among them; not every number between the two is lost.
    pub last: u64,
    /// States: to be read and appended again once there is room.
    pub states: u64,
    /// Events: lost.
    pub events: u64,
}

impl Dropped {
    fn one(seq: u64, class: Class) -> Self {
        let (states, events) = match class {
            Class::State => (1, 0),
            Class::Event => (0, 1),
        };
        Self { first: seq, last: seq, states, events }
    }

    fn and(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            states: self.states + other.states,
            events: self.events + other.events,
        }
    }
}

/// Both together.
fn sum(a: Option<Dropped>, b: Option<Dropped>) -> Option<Dropped> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.and(b)),
        (one, None) | (None, one) => one,
    }
}

impl Spool {
    /// Deletes unacknowledged records until `wanted` bytes and an eighth of the quota are free: first the states of the
    /// oldest closed segments, then the oldest closed segments. What is deleted is noted in `self.dropped` segment by segment,
    /// so that it is told even if the next one cannot be written.
    pub(crate) fn make_room(&mut self, wanted: u64) -> Result<(), SpoolError> {
        let target = self.limits.quota - self.limits.quota / 8;
        let acked = self.acked();
        self.cursor = None;
        for only_states in [true, false] {
            let mut index = 0;
            while index < self.closed.len() && self.bytes() + wanted > target {
                let segment = &self.closed[index];
                if only_states && segment.states == 0 {
                    index += 1;
                    continue;
                }
                let mut dropped = None;
                let rewritten = segment.rewrite(&self.dir, segment.incarnation, |seq, class| {
                    let keep = only_states && class == Class::Event && seq > acked;
                    if !keep && seq > acked {
                        dropped = sum(dropped, Some(Dropped::one(seq, class)));
                    }
                    keep
                });
                let rewritten = rewritten.map_err(SpoolError::of(&self.dir, "cannot make room"))?;
                self.head.dropped_events += dropped.map_or(0, |dropped| dropped.events);
                self.dropped = sum(self.dropped, dropped);
                match rewritten {
                    Some(smaller) => {
                        self.closed[index] = smaller;
                        index += 1;
                    }
                    None => {
                        self.closed.remove(index);
                    }
                }
            }
        }
        Ok(())
    }
}
