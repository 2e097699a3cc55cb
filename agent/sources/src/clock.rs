//! The moment of boot by the wall clock, to which the kernel's process start times are added.

use std::sync::atomic::{AtomicI64, Ordering};

use rustix::time::{ClockId, clock_gettime};

/// A smaller difference is the clock being slewed, not set: without this, every start time would change with each read.
const JITTER_MS: i64 = 1000;

/// Milliseconds since 1970 at which the host booted.
#[derive(Debug)]
pub(crate) enum BootClock {
    /// Follows the wall clock when it is set.
    Live(AtomicI64),
    /// For hosts that are a directory.
    #[cfg(test)]
    Fixed(i64),
}

impl BootClock {
    pub(crate) fn live() -> Self {
        Self::Live(AtomicI64::new(measure()))
    }

    pub(crate) fn epoch_ms(&self) -> i64 {
        match self {
            Self::Live(known) => {
                let (before, now) = (known.load(Ordering::Relaxed), measure());
                if (now - before).abs() <= JITTER_MS {
                    return before;
                }
                known.store(now, Ordering::Relaxed);
                now
            }
            #[cfg(test)]
            Self::Fixed(epoch) => *epoch,
        }
    }
}

fn measure() -> i64 {
    millis(ClockId::Realtime) - millis(ClockId::Boottime)
}

fn millis(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}
