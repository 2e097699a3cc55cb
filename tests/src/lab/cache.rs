//! Things that take long to make, made once and kept between runs.
//!
//! Each is a directory named after its content. It is made under another name
//! and renamed when complete, so a killed run leaves nothing half made, and
//! under a file lock, so that processes at the same time make it once.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::command;

/// Where the lab keeps what it made: `$DIALTONE_LAB_CACHE`, else a directory
/// of its own under `/var/cache`.
pub(crate) fn root() -> PathBuf {
    env::var_os("DIALTONE_LAB_CACHE")
        .filter(|path| !path.is_empty())
        .map_or_else(|| PathBuf::from("/var/cache/dialtone-lab"), PathBuf::from)
}

/// A name for content made from these inputs.
pub(crate) fn key(prefix: &str, inputs: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    inputs.hash(&mut hasher);
    format!("{prefix}-{:016x}", hasher.finish())
}

/// An exclusive lock on a file of the cache, held until dropped.
pub(crate) fn lock(name: &str) -> Result<File> {
    let directory = root();
    fs::create_dir_all(&directory)?;
    let file = File::create(directory.join(format!("{name}.lock")))?;
    file.lock()?;
    Ok(file)
}

/// The directory called `name`, made by `make` if it is not there yet.
pub(crate) fn once(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let done = root().join(name);
    if done.is_dir() {
        return Ok(done);
    }
    let _held = lock(name)?;
    if done.is_dir() {
        return Ok(done);
    }
    let making = root().join(format!(".making-{name}"));
    remove_tree(&making)?;
    fs::create_dir_all(&making)?;
    make(&making).with_context(|| format!("making {name}"))?;
    fs::rename(&making, &done)?;
    Ok(done)
}

fn remove_tree(path: &Path) -> Result<()> {
    if path.exists() {
        let options = ["-rf", "--one-file-system", "--"].map(Path::new);
        command::check("rm", options.into_iter().chain([path]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_its_inputs() {
        assert_eq!(key("image", &["a", "b"]), key("image", &["a", "b"]));
        assert_ne!(key("image", &["a", "b"]), key("image", &["a", "c"]));
        assert!(key("image", &["a"]).starts_with("image-"));
    }
}
