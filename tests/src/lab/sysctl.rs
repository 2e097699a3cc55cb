//! Kernel settings that every host and the machine itself share.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{cache, run};

/// One global kernel setting, held for as long as this lives and then put back
/// to what it was, even if the test process is killed.
///
/// A lock on a file makes tests that need the same setting, in this process or
/// another, wait for each other.
pub struct SysctlGuard {
    live: PathBuf,
    /// What it was, in a file that the teardown of the run reads, too.
    saved: PathBuf,
    _lock: File,
}

impl SysctlGuard {
    /// Sets `key`, as `vm.max_map_count`, to `value`.
    ///
    /// # Errors
    /// When there is no such setting or the kernel refuses the value.
    pub fn set(key: &str, value: &str) -> Result<Self> {
        let guard = Self::hold(key)?;
        fs::write(&guard.live, value).with_context(|| format!("sysctl {key}={value}"))?;
        Ok(guard)
    }

    /// Leaves `key` as it is, but lets nobody else change it. The holder, and
    /// hosts it works on, may.
    ///
    /// # Errors
    /// When there is no such setting.
    pub fn hold(key: &str) -> Result<Self> {
        let lock = cache::lock(&format!("sysctl-{key}"))?;
        let live = Path::new("/proc/sys").join(key.replace('.', "/"));
        let before = fs::read_to_string(&live).with_context(|| format!("sysctl {key}"))?;
        let saved = run::current()?.directory.join("sysctl").join(key);
        fs::write(&saved, before.trim())?;
        Ok(Self { live, saved, _lock: lock })
    }
}

impl Drop for SysctlGuard {
    fn drop(&mut self) {
        let restored = fs::read(&self.saved).and_then(|before| fs::write(&self.live, before));
        // Left behind, the saved value is tried again when the run ends.
        if restored.is_ok() {
            fs::remove_file(&self.saved).ok();
        }
    }
}
