//! An .rpm from a staged tree, with rpmbuild.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::manifest::Manifest;
use super::stage::CONFIG;
use super::{Build, deb, script};
use crate::workspace;

/// Writes the package and returns where.
pub(super) fn write(build: &Build, manifest: &Manifest, staged: &Path) -> anyhow::Result<PathBuf> {
    let top = build.scratch.join(format!("{}.rpm", manifest.name));
    std::fs::create_dir_all(&top)?;
    let spec = top.join("package.spec");
    std::fs::write(&spec, specify(build, manifest, staged)?)?;
    let define = |name: &str, value: &str| ["--define".to_owned(), format!("{name} {value}")];
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild.args(["-bb", "--quiet"]).args(define("_topdir", top.to_str().context("the path is not readable")?));
    // The tree is stripped and compressed already.
    rpmbuild.args(define("__os_install_post", "%{nil}"));
    rpmbuild.args(define("_build_id_links", "none")).args(define("_buildhost", "localhost"));
    rpmbuild
        .args(define("use_source_date_epoch_as_buildtime", "1"))
        .args(define("clamp_mtime_to_source_date_epoch", "1"));
    rpmbuild.args(define("_binary_payload", if build.quick { "w1.gzdio" } else { "w19.zstdio" }));
    workspace::output(rpmbuild.arg(&spec).env("SOURCE_DATE_EPOCH", &build.epoch))?;

    let architecture = std::env::consts::ARCH;
    let file = format!("{}-{}-1.{architecture}.rpm", manifest.name, build.version);
    let package = build.out.join(&file);
    std::fs::copy(top.join("RPMS").join(architecture).join(&file), &package).with_context(|| file)?;
    Ok(package)
}

/// Where zsh looks on Debian, and on the systems that use rpm.
const ZSH: (&str, &str) = ("/usr/share/zsh/vendor-completions", "/usr/share/zsh/site-functions");

/// The scriptlets call it, so it has to be there before them, and until after them.
const REQUIRES: &str = "Requires: systemd\nRequires(post,preun,postun): systemd\n";

/// The tree is built already, so the spec only lays it out; rpm finds the libraries by itself.
fn specify(build: &Build, manifest: &Manifest, staged: &Path) -> anyhow::Result<String> {
    let listed = |file: &String| {
        let kept = if file.starts_with(CONFIG) { "%config(noreplace) " } else { "" };
        format!("{kept}/{file}").replace(ZSH.0, ZSH.1)
    };
    let files: Vec<String> = deb::relative_files(staged)?.iter().map(listed).collect();
    let scripts = if manifest.service { scriptlets(manifest)? } else { String::new() };
    let requires = match manifest.name.as_str() {
        // For pull requests, where some are configured.
        "dialtone-controller" => format!("{REQUIRES}Recommends: git\n"),
        _ if manifest.service => REQUIRES.to_owned(),
        _ => String::new(),
    };
    Ok(format!(
        "Name: {}\nVersion: {}\nRelease: 1\nSummary: {}\nLicense: Apache-2.0\n{}\n%description\n{}\n\
         %install\ncp -a {}/. %{{buildroot}}/\n\
         mv %{{buildroot}}{} %{{buildroot}}{}\n\n{scripts}%files\n%defattr(-,root,root)\n%dir /usr/share/doc/{}\n{}\n",
        manifest.name,
        build.version,
        manifest.summary,
        requires,
        manifest.description,
        staged.display(),
        ZSH.0,
        ZSH.1,
        manifest.name,
        files.join("\n"),
    ))
}

/// In %post, %preun and %postun `$1` is how many versions of the package will be left.
fn scriptlets(manifest: &Manifest) -> anyhow::Result<String> {
    let when = |condition: &str, body: String| format!("if [ \"$1\" {condition} ]; then\n{body}fi\n");
    let upgraded = "UPGRADED=no\nif [ \"$1\" -gt 1 ]; then UPGRADED=yes; fi\n";
    Ok(format!(
        "%post\n{upgraded}{}\n%preun\n{}\n%postun\n{}\n",
        script("installed", manifest)?,
        when("-eq 0", script("removing", manifest)?),
        when("-eq 0", script("removed", manifest)?),
    ))
}
