//! Points at which tests stop the program to kill it. There is nothing of this in a release build.

/// Every point, in the order in which they are passed.
pub const POINTS: [&str; 12] = [
    "begun",
    "before-image",
    "guard-starts",
    "guard-armed",
    "armed",
    "before-act",
    "acted",
    "applied",
    "confirmed",
    "persisting",
    "undoing",
    "undone",
];

#[cfg(debug_assertions)]
mod at {
    use std::sync::OnceLock;

    static CHOSEN: OnceLock<String> = OnceLock::new();

    /// Chooses the point at which this process, and a guard it starts, stops.
    pub fn choose(point: String) {
        CHOSEN.get_or_init(|| point);
    }

    /// The point that was chosen.
    pub fn chosen() -> Option<&'static str> {
        CHOSEN.get().map(String::as_str)
    }

    /// Stops here, as if it had lost the processor for good, if this is the chosen point.
    pub fn point(name: &str) {
        debug_assert!(super::POINTS.contains(&name), "{name} is not in the list");
        if chosen() == Some(name) {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP).ok();
            // The signal is the whole process's: another thread may have to take it first, and must find a processor to.
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

#[cfg(not(debug_assertions))]
mod at {
    /// Nothing.
    pub fn point(_: &str) {}

    /// None.
    pub fn chosen() -> Option<&'static str> {
        None
    }
}

pub use at::*;
