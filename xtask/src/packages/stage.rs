//! The tree of files a package installs, as it will lie on the disk.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Build;
use super::manifest::Manifest;
use crate::workspace;

/// Where each shell looks for completions, and under which name.
const COMPLETIONS: [(&str, &str, &str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions", "", ""),
    ("zsh", "usr/share/zsh/vendor-completions", "_", ""),
    ("fish", "usr/share/fish/vendor_completions.d", "", ".fish"),
];

/// Where configuration goes.
pub(super) const CONFIG: &str = "etc/dialtone";

/// Lays out the tree and returns its root.
pub(super) fn stage(build: &Build, manifest: &Manifest) -> anyhow::Result<PathBuf> {
    let tree = Tree { root: build.scratch.join(&manifest.name) };
    let name = &manifest.name;
    binary(&tree, build, name)?;
    for helper in &manifest.helpers {
        binary(&tree, build, &helper.name)?;
    }
    for file in &manifest.config {
        tree.copy(&manifest.folder.join(file), &format!("{CONFIG}/{file}"))?;
    }
    manual(&tree, build, name)?;
    completions(&tree, build, name)?;
    if manifest.service {
        for unit in manifest.units()? {
            tree.copy(&manifest.folder.join(&unit), &format!("usr/lib/systemd/system/{unit}"))?;
        }
        tree.copy(&manifest.folder.join("sysusers.conf"), &format!("usr/lib/sysusers.d/{name}.conf"))?;
        tree.copy(&manifest.folder.join("tmpfiles.conf"), &format!("usr/lib/tmpfiles.d/{name}.conf"))?;
    }
    let copyright = workspace::root().join("deploy/copyright");
    tree.copy(&copyright, &format!("usr/share/doc/{name}/copyright"))?;
    Ok(tree.root)
}

/// Symbols stay out, whatever profile the binary was built with.
fn binary(tree: &Tree, build: &Build, name: &str) -> anyhow::Result<()> {
    let installed = tree.copy(&build.binaries.join(name), &format!("usr/bin/{name}"))?;
    std::fs::set_permissions(&installed, Permissions::from_mode(0o755))?;
    workspace::run(std::process::Command::new("strip").arg("--strip-all").arg(&installed))
}

fn manual(tree: &Tree, build: &Build, name: &str) -> anyhow::Result<()> {
    let pages = build.scratch.join(format!("{name}.man"));
    std::fs::create_dir_all(&pages)?;
    workspace::run(std::process::Command::new(build.binaries.join(name)).args(["man", "--dir"]).arg(&pages))?;
    for page in std::fs::read_dir(&pages)? {
        let page = page?.file_name().into_string().ok().context("a manual page without a readable name")?;
        let installed = tree.copy(&pages.join(&page), &format!("usr/share/man/man1/{page}"))?;
        workspace::run(std::process::Command::new("gzip").args(["--best", "--no-name"]).arg(installed))?;
    }
    Ok(())
}

fn completions(tree: &Tree, build: &Build, name: &str) -> anyhow::Result<()> {
    for (shell, folder, prefix, suffix) in COMPLETIONS {
        let mut ask = std::process::Command::new(build.binaries.join(name));
        let script = workspace::output(ask.args(["completions", shell]))?;
        tree.write(&format!("{folder}/{prefix}{name}{suffix}"), &script)?;
    }
    Ok(())
}

/// A tree of files that belong to root and are readable by all.
struct Tree {
    root: PathBuf,
}

impl Tree {
    fn copy(&self, from: &Path, to: &str) -> anyhow::Result<PathBuf> {
        self.write(to, &std::fs::read(from).with_context(|| from.display().to_string())?)
    }

    fn write(&self, to: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.root.join(to);
        let folder = path.parent().context("a file needs a folder")?;
        std::fs::create_dir_all(folder)?;
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(&self.root)) {
            std::fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        }
        std::fs::write(&path, content)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o644))?;
        Ok(path)
    }
}
