//! A Debian package of an engine, made of its own jars and a layout like that
//! of the vendor's package.
//!
//! What differs from the vendor's: the launcher is short, the unit is
//! `Type=simple` because the module that tells systemd about readiness is not
//! published, and no file in `sysctl.d` is shipped, since kernel settings would
//! change on the whole machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Engine, maven};
use crate::lab::{cache, command, java};

/// Raise when the package changes in a way its files do not show.
const VERSION: u32 = 1;

/// Where each file of the package comes from. Modes: 0755 for programs and
/// maintainer scripts, else 0644.
const FILES: &[(&str, &str)] = &[
    ("DEBIAN/control", include_str!("files/control")),
    ("DEBIAN/conffiles", include_str!("files/conffiles")),
    ("DEBIAN/postinst", include_str!("files/postinst")),
    ("etc/@NAME@/@NAME@.yml", include_str!("files/engine.yml")),
    ("etc/@NAME@/jvm.options", include_str!("files/jvm.options")),
    ("etc/@NAME@/log4j2.properties", include_str!("files/log4j2.properties")),
    ("etc/default/@NAME@", include_str!("files/default")),
    ("usr/lib/systemd/system/@NAME@.service", include_str!("files/service")),
    ("usr/share/@NAME@/bin/@NAME@", include_str!("files/launcher")),
    (
        "usr/share/@NAME@/modules/transport-netty4/plugin-descriptor.properties",
        include_str!("files/plugin-descriptor.properties"),
    ),
    ("usr/share/@NAME@/modules/transport-netty4/plugin-security.policy", include_str!("files/plugin-security.policy")),
];

/// The package file of an engine, made at first use.
pub(super) fn prepare(engine: Engine) -> Result<PathBuf> {
    let java_home = java::home()?;
    let fill = |text: &str| fill(text, engine, &java_home);
    let files: Vec<(String, String)> = FILES.iter().map(|(path, text)| (fill(path), fill(text))).collect();
    let spec = engine.spec();
    let name = cache::key(
        &format!("{}-{}", spec.name, spec.version),
        &(VERSION, &files, spec.descriptor, spec.artifacts, spec.plugin),
    );
    let file_name = format!("{}_{}_all.deb", spec.name, spec.version);
    let directory = cache::once(&name, |making| {
        let tree = making.join("tree");
        lay_out(engine, &tree, &files)?;
        let package = making.join(&file_name);
        let options = ["--root-owner-group", "-Znone", "--build"].map(Path::new);
        command::check("dpkg-deb", options.into_iter().chain([tree.as_path(), &package]))?;
        fs::remove_dir_all(tree)?;
        Ok(())
    })?;
    Ok(directory.join(file_name))
}

fn fill(text: &str, engine: Engine, java_home: &Path) -> String {
    let spec = engine.spec();
    text.replace("@NAME@", spec.name)
        .replace("@TITLE@", spec.title)
        .replace("@VERSION@", spec.version)
        .replace("@ENV@", spec.environment)
        .replace("@PROPERTY@", spec.property)
        .replace("@MAIN@", spec.main)
        .replace("@NETTY_PLUGIN@", spec.netty_plugin)
        .replace("@JAVA_HOME@", &java_home.to_string_lossy())
}

fn lay_out(engine: Engine, tree: &Path, files: &[(String, String)]) -> Result<()> {
    let spec = engine.spec();
    for (path, text) in files {
        let path = tree.join(path);
        let program = path.ends_with("DEBIAN/postinst") || path.iter().any(|part| part == "bin");
        write(&path, text, if program { 0o755 } else { 0o644 })?;
    }
    fs::create_dir_all(tree.join("etc").join(spec.name).join("jvm.options.d"))?;
    let home = tree.join("usr/share").join(spec.name);
    let (lib, netty) = (home.join("lib"), home.join("modules/transport-netty4"));
    maven::copy_jars(spec.artifacts, &lib)?;
    for entry in fs::read_dir(&lib)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text.starts_with("netty-") || text.starts_with("transport-netty4-") {
            fs::rename(lib.join(&name), netty.join(&name))?;
        }
    }
    let descriptor = netty.join("plugin-descriptor.properties");
    let text = fs::read_to_string(&descriptor)? + spec.descriptor;
    fs::write(descriptor, text)?;
    let plugins = home.join("plugins");
    fs::create_dir_all(&plugins)?;
    if let Some((name, artifact)) = spec.plugin {
        maven::unpack_zip(artifact, &plugins.join(name))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(())
}
