//! Waiting for a condition, never for a length of time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at again.
const INTERVAL: Duration = Duration::from_millis(40);

/// Looks at a condition until it yields a value.
///
/// # Errors
/// The condition's own error at once, or, when `limit` has passed without a
/// value, one that names `what`.
pub fn until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not seen within {} s", limit.as_secs_f32());
        }
        thread::sleep(INTERVAL);
    }
}
