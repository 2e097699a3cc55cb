//! The node's two clocks.

use common_model::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// The wall clock, which people and time servers set.
pub fn now() -> Timestamp {
    Timestamp(millis(ClockId::Realtime))
}

/// Milliseconds since boot, the time asleep included. Nobody can set it.
pub fn boot_ms() -> u64 {
    u64::try_from(millis(ClockId::Boottime)).unwrap_or_default()
}

fn millis(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}
