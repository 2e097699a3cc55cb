//! Points at which trials stop the controller to kill it, as it carries out a plan of its own. There is nothing of this in a release
//! build.

/// Every point, in the order in which they are passed.
pub const POINTS: [&str; 10] =
    ["audited", "begun", "pushing", "pushed", "opened", "acting", "called", "revoked", "told", "recorded"];

#[cfg(debug_assertions)]
mod at {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// The point at which this process stops, and how often it is passed before.
    static CHOSEN: OnceLock<(String, AtomicU32)> = OnceLock::new();

    /// Chooses where this process stops: `POINT`, or `POINT:N` for the Nth time that it is passed.
    pub fn choose(at: &str) {
        let (point, times) = at.split_once(':').unwrap_or((at, "1"));
        let before = times.parse::<u32>().unwrap_or(1).saturating_sub(1);
        CHOSEN.get_or_init(|| (point.to_owned(), AtomicU32::new(before)));
    }

    /// Stops here, as if it had lost the processor for good, if this is the chosen point.
    pub(crate) fn point(name: &str) {
        debug_assert!(super::POINTS.contains(&name), "{name} is not in the list");
        let Some((chosen, before)) = CHOSEN.get() else { return };
        let passes = || before.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if chosen == name && !passes() {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP).ok();
            // The signal is the whole process's: another thread may have to take it first, and must find a processor to.
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

#[cfg(not(debug_assertions))]
mod at {
    /// Nothing.
    pub(crate) fn point(_: &str) {}
}

#[cfg(debug_assertions)]
pub use at::choose;
pub(crate) use at::point;
