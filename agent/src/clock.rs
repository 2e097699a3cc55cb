//! The node's clock, and the controller's as far as a stream tells.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use common_model::Timestamp;

/// Now, by the node's clock.
pub(crate) fn now() -> Timestamp {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Timestamp(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// The controller's clock: what it said when a stream began, carried on by the kernel's count of time, which nobody sets.
/// Certificates live by this clock, so one that is renewed by it is renewed in time, however wrong the node's clock is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ControllerClock {
    said: Timestamp,
    heard: Instant,
}

impl ControllerClock {
    /// The controller has just said that it is this time.
    pub(crate) fn told(said: Timestamp) -> Self {
        Self { said, heard: Instant::now() }
    }

    /// Now, by the controller's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.said.plus_millis(i64::try_from(self.heard.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}
