//! A Debian package of an engine, made of its own jars and a layout like that
//! of the vendor's package.
//!
//! What differs from the vendor's: the launcher is short; the module that tells
//! systemd about readiness is not published, so the lab compiles its own; no file
//! in `sysctl.d` is shipped, since kernel settings would change on the whole
//! machine; and on a machine that allows nobody the open files that engines want
//! in production, the engine's check accepts what the machine allows.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::compile::{self, Source};
use super::spec::{COMMON_FILES, OPEN_FILES_CHECK};
use super::{Engine, maven};
use crate::lab::{cache, command, java};

/// Raise when the package changes in a way its files do not show.
const VERSION: u32 = 1;

/// The package file of an engine, made at first use.
pub(super) fn prepare(engine: Engine) -> Result<PathBuf> {
    let spec = engine.spec();
    let contents = Contents::of(engine)?;
    let name =
        cache::key(&format!("{}-{}", spec.name, spec.version), &(VERSION, &contents, spec.artifacts, spec.plugin));
    let file_name = format!("{}_{}_all.deb", spec.name, spec.version);
    let directory = cache::once(&name, |making| {
        let tree = making.join("tree");
        lay_out(engine, &tree, &contents)?;
        let package = making.join(&file_name);
        let options = ["--root-owner-group", "-Znone", "--build"].map(Path::new);
        command::check("dpkg-deb", options.into_iter().chain([tree.as_path(), &package]))?;
        fs::remove_dir_all(tree)?;
        Ok(())
    })?;
    Ok(directory.join(file_name))
}

/// What the lab adds to the published jars, with every blank filled in.
#[derive(Hash)]
struct Contents {
    /// Path in the package, and text.
    files: Vec<(String, String)>,
    sources: Vec<(Source, String)>,
}

impl Contents {
    fn of(engine: Engine) -> Result<Self> {
        let spec = engine.spec();
        let java_home = java::home()?;
        let ceiling = compile::open_files_ceiling()?;
        let ceiling_text = ceiling.unwrap_or_default().to_string();
        let java_text = java_home.to_string_lossy();
        let last_words = [
            ("@NAME@", spec.name),
            ("@TITLE@", spec.title),
            ("@VERSION@", spec.version),
            ("@CEILING@", ceiling_text.as_str()),
            ("@JAVA_HOME@", &java_text),
        ];
        // An engine's words may hold the general ones.
        let fill = |text: &str| {
            let words = spec.words.iter().chain(&last_words);
            words.fold(text.to_owned(), |text, (word, meaning)| text.replace(word, meaning))
        };
        let files = COMMON_FILES.iter().chain(spec.files);
        let sources = spec.sources.iter().chain(ceiling.map(|_| &OPEN_FILES_CHECK));
        Ok(Self {
            files: files.map(|(path, text)| (fill(path), fill(text))).collect(),
            sources: sources.map(|source| (*source, fill(source.text))).collect(),
        })
    }
}

fn lay_out(engine: Engine, tree: &Path, contents: &Contents) -> Result<()> {
    let spec = engine.spec();
    for (path, text) in &contents.files {
        write(&tree.join(path), text)?;
    }
    fs::create_dir_all(tree.join("etc").join(spec.name).join("jvm.options.d"))?;
    let home = tree.join("usr/share").join(spec.name);
    let lib = home.join("lib");
    maven::copy_jars(spec.artifacts, &lib)?;
    for (source, text) in &contents.sources {
        let classes = tempfile::tempdir()?;
        compile::compile(source.name, text, &lib, classes.path())?;
        let jar =
            source.jar.map_or_else(|| lib.join(format!("{}-{}.jar", spec.name, spec.version)), |jar| home.join(jar));
        compile::add_to_jar(classes.path(), &jar)?;
    }
    move_netty(&lib, &home.join("modules/transport-netty4"))?;
    let plugins = home.join("plugins");
    fs::create_dir_all(&plugins)?;
    if let Some((name, artifact)) = spec.plugin {
        maven::unpack_zip(artifact, &plugins.join(name))?;
    }
    Ok(())
}

/// The transport is a module with a class loader of its own.
fn move_netty(lib: &Path, module: &Path) -> Result<()> {
    for entry in fs::read_dir(lib)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text.starts_with("netty-") || text.starts_with("transport-netty4-") {
            fs::rename(lib.join(&name), module.join(&name))?;
        }
    }
    Ok(())
}

/// Programs and maintainer scripts begin with `#!`.
fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)?;
    let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(())
}
