//! A .deb from a staged tree, with dpkg-deb and nothing else.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::manifest::Manifest;
use super::stage::CONFIG;
use super::{Build, script};
use crate::workspace;

/// Writes the package and returns where.
pub(super) fn write(build: &Build, manifest: &Manifest, staged: &Path) -> anyhow::Result<PathBuf> {
    let files = relative_files(staged)?;
    let control = staged.join("DEBIAN");
    std::fs::create_dir_all(&control)?;
    let bytes = files.iter().map(|file| Ok(staged.join(file).metadata()?.len())).sum::<anyhow::Result<u64>>()?;
    put(&control, "control", &describe(build, manifest, bytes), 0o644)?;
    let sums = workspace::output(Command::new("md5sum").args(&files).current_dir(staged))?;
    put(&control, "md5sums", &String::from_utf8(sums)?, 0o644)?;
    if !manifest.config.is_empty() {
        let files: String = manifest.config.iter().map(|file| format!("/{CONFIG}/{file}\n")).collect();
        put(&control, "conffiles", &files, 0o644)?;
    }
    if manifest.service {
        for (name, text) in maintainer_scripts(manifest)? {
            put(&control, name, &text, 0o755)?;
        }
    }

    let package = build.out.join(format!("{}_{}_{}.deb", manifest.name, build.version, architecture()));
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.args(["--root-owner-group", if build.quick { "-Zgzip" } else { "-Zxz" }]);
    dpkg.args(build.quick.then_some("-z1")).arg("--build").arg(staged).arg(&package);
    workspace::output(dpkg.env("SOURCE_DATE_EPOCH", &build.epoch))?;
    std::fs::remove_dir_all(&control)?;
    Ok(package)
}

fn put(folder: &Path, name: &str, text: &str, mode: u32) -> anyhow::Result<()> {
    std::fs::write(folder.join(name), text)?;
    Ok(std::fs::set_permissions(folder.join(name), Permissions::from_mode(mode))?)
}

/// Debian's name for the machine this runs on.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The binaries link glibc and libgcc only; 2.34 is where pthreads became part of libc.
fn describe(build: &Build, manifest: &Manifest, bytes: u64) -> String {
    let depends = if manifest.service { "libc6 (>= 2.34), libgcc-s1, systemd" } else { "libc6 (>= 2.34), libgcc-s1" };
    // For pull requests, where some are configured.
    let recommends = if manifest.name == "dialtone-controller" { "Recommends: git\n" } else { "" };
    let description: String = manifest.description.lines().map(|line| format!(" {line}\n")).collect();
    format!(
        "Package: {}\nVersion: {}\nArchitecture: {}\nSection: admin\nPriority: optional\n\
         Maintainer: Dialtone <maintainers@dialtone.invalid>\nInstalled-Size: {}\nDepends: {depends}\n{recommends}\
         Description: {}\n{description}",
        manifest.name,
        build.version,
        architecture(),
        bytes.div_ceil(1024),
        manifest.summary,
    )
}

fn maintainer_scripts(manifest: &Manifest) -> anyhow::Result<[(&'static str, String); 3]> {
    let case = |when: &str, body: &str| format!("case \"$1\" in {when})\n{body};;\nesac\n");
    let shell = |body: String| format!("#!/bin/sh\nset -e\n{body}");
    let upgraded = "UPGRADED=no\nif [ -n \"${2:-}\" ]; then UPGRADED=yes; fi\n";
    let installed = case("configure", &format!("{upgraded}{}", script("installed", manifest)?));
    let gone = case("remove", &script("removed", manifest)?) + &case("purge", &script("purged", manifest)?);
    Ok([
        ("postinst", shell(installed)),
        ("prerm", shell(case("remove", &script("removing", manifest)?))),
        ("postrm", shell(gone)),
    ])
}

/// Every file under a folder, relative to it, in the order of their names.
pub(super) fn relative_files(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path.strip_prefix(root)?.to_str().context("a file without a readable name")?.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}
