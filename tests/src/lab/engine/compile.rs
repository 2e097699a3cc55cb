//! The few classes that are not published as jars, compiled against those that
//! are.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::lab::{command, java};

/// Open files that both engines ask for in production mode.
const WANTED_OPEN_FILES: u64 = 65_535;

/// One Java class of the lab's own.
#[derive(Clone, Copy, Hash)]
pub(super) struct Source {
    /// Its file name.
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    /// The jar it goes into, from the engine's home; the engine's main jar if
    /// none.
    pub(super) jar: Option<&'static str>,
}

/// The most open files this machine allows a process, where that is less than
/// the engines want.
pub(super) fn open_files_ceiling() -> Result<Option<u64>> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let hard = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().nth(1))
        .context("no limit of open files in /proc/self/limits")?;
    Ok(hard.parse().ok().filter(|limit| *limit < WANTED_OPEN_FILES))
}

/// Compiles one source file, whose class uses the jars in `lib`, into a
/// directory of classes.
pub(super) fn compile(name: &str, source: &str, lib: &Path, classes: &Path) -> Result<()> {
    let sources = tempfile::tempdir()?;
    let file = sources.path().join(name);
    fs::write(&file, source)?;
    let javac = java::home()?.join("bin/javac");
    let class_path = format!("{}/*", lib.display());
    command::check(
        &javac.to_string_lossy(),
        ["-nowarn", "-proc:none", "-cp", &class_path, "-d"].map(Path::new).into_iter().chain([classes, &file]),
    )?;
    Ok(())
}

/// Adds a directory of classes to a jar, in place of those of the same names;
/// makes the jar if there is none.
pub(super) fn add_to_jar(classes: &Path, jar: &Path) -> Result<()> {
    if let Some(directory) = jar.parent() {
        fs::create_dir_all(directory)?;
    }
    let tool = java::home()?.join("bin/jar");
    let mode = if jar.exists() { "--update" } else { "--create" };
    command::check(
        &tool.to_string_lossy(),
        [mode.as_ref(), "--file".as_ref(), jar, "-C".as_ref(), classes, Path::new(".")],
    )?;
    Ok(())
}
