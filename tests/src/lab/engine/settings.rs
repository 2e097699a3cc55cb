//! What an engine's own code makes of a yml.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Engine, package};
use crate::lab::{command, java};

/// A program that has the engine's classes read files.
const READER: &str = include_str!("files/java/ReadSettings.java");

/// What came of reading a yml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// Every setting by its dotted key, those included that the engine adds: one text, or a list of them.
    Settings(BTreeMap<String, Value>),
    /// The engine would not start, for this reason.
    Refused(String),
}

impl Engine {
    /// Has the engine's own code read each of these texts as its yml, all in one JVM, with these variables in its environment.
    ///
    /// # Errors
    /// When its package cannot be made, or Java does not answer for each of them.
    pub fn read_settings(self, texts: &[&str], environment: &[(&str, &str)]) -> Result<Vec<Loaded>> {
        let directory = tempfile::tempdir()?;
        let lib = unpack_lib(self, directory.path())?;
        let (config, all) = (directory.path().join("config"), directory.path().join("texts"));
        let reader = directory.path().join("ReadSettings.java");
        fs::create_dir(&config)?;
        fs::write(&all, framed(texts)?)?;
        fs::write(&reader, READER.replace("@VENDOR@", self.vendor()))?;
        let mut java = Command::new(java::home()?.join("bin/java"));
        java.args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp"]).arg(format!("{}/*", lib.display())).arg(&reader);
        java.arg(&all).arg(config.join(format!("{}.yml", self.name()))).env_clear().envs(environment.iter().copied());
        let answers = command::output(&mut java)?.ok()?;
        let loaded = answers.lines().map(loaded).collect::<Result<Vec<_>>>()?;
        ensure!(loaded.len() == texts.len(), "{} answers to {} texts", loaded.len(), texts.len());
        Ok(loaded)
    }

    /// The package that its classes are in.
    fn vendor(self) -> &'static str {
        self.spec().words.iter().find(|(word, _)| *word == "@VENDOR@").map_or("", |(_, vendor)| vendor)
    }
}

/// The engine's jars, out of its package.
fn unpack_lib(engine: Engine, to: &Path) -> Result<std::path::PathBuf> {
    let lib = format!("./usr/share/{}/lib", engine.name());
    let package = package::prepare(engine)?;
    let mut tar = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()).spawn()?;
    let files = tar.stdout.take().context("a pipe")?;
    let unpacked = Command::new("tar").args(["--extract", "--directory"]).arg(to).arg(&lib).stdin(files).status()?;
    let read = tar.wait()?;
    ensure!(unpacked.success() && read.success(), "{lib} cannot be unpacked");
    Ok(to.join(lib))
}

/// Each text behind its length.
fn framed(texts: &[&str]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend(u32::try_from(text.len())?.to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    Ok(bytes)
}

fn loaded(answer: &str) -> Result<Loaded> {
    match answer.split_at_checked(1) {
        Some(("+", settings)) => Ok(Loaded::Settings(serde_json::from_str(settings)?)),
        Some(("-", reason)) => Ok(Loaded::Refused(reason.to_owned())),
        _ => bail!("not an answer: {answer:?}"),
    }
}
