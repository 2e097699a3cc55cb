//! A clock that was set back: what is dated within the time it went through twice cannot be put in order.
//!
//! A clock that was set forward does no such harm: whatever came later is still dated later.

use common_evidence::collectors::host::Host;
use common_model::change::Topic;
use common_model::time::span;
use common_model::{Change, Timestamp};

use super::{Draft, Pair, item};
use crate::picture::NodePicture;

/// A smaller step is less than the slack that times of several sources get anyway.
const STEP_MS: i64 = 5_000;
/// The step is noticed at most this long after it was made: the host is read every minute.
const NOTICED_MS: i64 = 120_000;
/// The key whose old and new value are what the clock would say, and what it says.
const KEY: &str = "clock";

/// That the clock was set back, as the moment of boot tells: it is dated by the clock of the reading. Over a boot, the time of
/// the reading itself tells.
pub(super) fn set_back(pair: &Pair<'_>) -> Vec<Draft> {
    let Some((old, new)) = pair.states::<Host>() else { return Vec::new() };
    let (Some(previous), now) = (pair.previous, pair.next.taken_at) else { return Vec::new() };
    if old.boot_id.is_empty() || new.boot_id.is_empty() {
        return Vec::new();
    }
    // In a container the boot is that of its init: it can begin anew, but never have begun earlier.
    let same_boot = old.boot_id == new.boot_id;
    let step = if same_boot { old.booted_at_ms.saturating_sub(new.booted_at_ms) } else { 0 };
    let before = if same_boot { now.plus_millis(step) } else { previous.taken_at };
    let back = before.millis_since(now);
    if back <= STEP_MS {
        return Vec::new();
    }
    vec![Draft {
        at: now,
        topic: Topic::Clock,
        subject: new.hostname,
        what: format!("the clock was set back by {}, to {now}; it said {before}", span(back)),
        diff: String::new(),
        items: vec![item(KEY, Some(before.to_string()), Some(now.to_string()))],
    }]
}

/// The stretches of time that a node's clock went through twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Relived(Vec<(Timestamp, Timestamp)>);

impl Relived {
    /// Those that the node's change log tells of.
    pub fn of(node: &NodePicture) -> Self {
        Self(node.changes.iter().filter(|change| change.topic == Topic::Clock).filter_map(stretch).collect())
    }

    /// Whether what is dated so may have been before or after anything else dated near it.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.0.iter().any(|(from, until)| (*from..=*until).contains(&at))
    }
}

fn stretch(change: &Change) -> Option<(Timestamp, Timestamp)> {
    let item = change.items.iter().find(|item| item.key == KEY)?;
    let until: Timestamp = item.old.as_deref()?.parse().ok()?;
    let to: Timestamp = item.new.as_deref()?.parse().ok()?;
    Some((to.plus_millis(-NOTICED_MS), until))
}

#[cfg(test)]
mod tests {
    use common_model::Envelope;

    use super::*;
    use crate::changes::between;
    use crate::testing::{AT, Node};

    const DAY_MS: i64 = 86_400_000;

    fn host(boot: &str, booted: Timestamp, taken_at: Timestamp) -> Envelope {
        let host = Host { boot_id: boot.to_owned(), booted_at_ms: booted.0, ..Host::default() };
        let read = Node::bare().json::<Host>("", &host).build().evidence.pop().unwrap();
        Envelope { taken_at, ..read }
    }

    /// What the log says of a clock when the second reading follows the first.
    fn told(first: &Envelope, second: &Envelope) -> Vec<Change> {
        let mut changes = between(Some(first), second);
        changes.retain(|change| change.topic == Topic::Clock);
        changes
    }

    #[test]
    fn a_clock_that_was_a_day_ahead_and_is_set_right_went_through_a_day_twice() {
        let booted = AT.plus_millis(-3_600_000);
        let ahead = host("a", booted.plus_millis(DAY_MS), AT.plus_millis(DAY_MS));
        let right = host("a", booted, AT.plus_millis(60_000));
        let changes = told(&ahead, &right);
        assert_eq!(changes.len(), 1, "{changes:#?}");
        assert!(changes[0].what.starts_with("the clock was set back by 24 h, to 2026-01-31T14:11:00"), "{changes:#?}");
        let node = Node::bare().change(changes[0].clone()).build();
        let relived = Relived::of(&node);
        assert!(relived.contains(AT.plus_millis(3_600_000)) && relived.contains(AT));
        assert!(!relived.contains(AT.plus_millis(-3_600_000)) && !relived.contains(AT.plus_millis(DAY_MS + 120_000)));
        // Set forward, kept in step, and a container that was started again: nothing is out of order.
        for (first, second) in [
            (&right, &ahead),
            (&right, &host("a", booted.plus_millis(-2_000), AT)),
            (&right, &host("a", booted.plus_millis(600_000), AT.plus_millis(660_000))),
        ] {
            assert_eq!(told(first, second), []);
        }
    }

    #[test]
    fn a_host_that_forgot_the_time_over_a_boot_is_noticed() {
        let before = host("a", AT.plus_millis(-3_600_000), AT);
        let after = host("b", AT.plus_millis(-DAY_MS - 60_000), AT.plus_millis(-DAY_MS));
        assert_eq!(told(&before, &after).len(), 1);
        assert_eq!(told(&before, &host("b", AT.plus_millis(60_000), AT.plus_millis(120_000))), []);
    }
}
