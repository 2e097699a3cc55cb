//! The packages people install: `deploy/<part>/package.yaml` says what there is, the folder beside it holds the unit and its
//! company, and every file is found by its name.

mod deb;
mod manifest;
mod rpm;
mod stage;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::workspace::{self, command};
use manifest::Manifest;

/// The folders of `deploy/` that become a package each.
const PARTS: [&str; 3] = ["agent", "controller", "cli"];

/// How packages are built.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    profile: String,
    out: PathBuf,
}

impl Options {
    /// `--profile P` is cargo's; `--out DIR` is relative to the root.
    pub(crate) fn parse(arguments: &[&str]) -> anyhow::Result<Options> {
        let mut options = Options { profile: "release".to_owned(), out: PathBuf::from("dist") };
        for pair in arguments.chunks(2) {
            match pair {
                ["--profile", profile] => options.profile = (*profile).to_owned(),
                ["--out", out] => options.out = PathBuf::from(out),
                other => bail!("packages takes --profile P and --out DIR, not {other:?}"),
            }
        }
        Ok(options)
    }

    /// Packages for tests are made quickly, packages for people small.
    fn quick(&self) -> bool {
        self.profile == "dev"
    }
}

/// What is the same for every package of one build.
struct Build {
    version: String,
    /// Where cargo put the binaries.
    binaries: PathBuf,
    /// Staged trees and build files; emptied first.
    scratch: PathBuf,
    out: PathBuf,
    quick: bool,
    /// Seconds since 1970 of the commit that is packaged, so that the same commit gives the same package.
    epoch: String,
}

/// Builds the binaries and writes one .deb each, and one .rpm each where `rpmbuild` is there.
pub(crate) fn build(options: &Options) -> anyhow::Result<()> {
    let manifests = PARTS.map(|part| Manifest::read(part).with_context(|| format!("deploy/{part}/package.yaml")));
    let manifests = manifests.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let build = Build::prepare(options, &manifests)?;
    let with_rpm = workspace::has_program("rpmbuild");
    for manifest in &manifests {
        let staged = stage::stage(&build, manifest).with_context(|| format!("staging {}", manifest.name))?;
        eprintln!("{}", deb::write(&build, manifest, &staged)?.display());
        if with_rpm {
            eprintln!("{}", rpm::write(&build, manifest, &staged)?.display());
        }
    }
    if !with_rpm {
        eprintln!("no .rpm: rpmbuild is not installed (Debian: apt install rpm)");
    }
    Ok(())
}

impl Build {
    fn prepare(options: &Options, manifests: &[Manifest]) -> anyhow::Result<Build> {
        let mut cargo = command("cargo", &["build", "--locked", "--profile", &options.profile]);
        for manifest in manifests {
            cargo.args(["--package", &manifest.crate_name, "--bin", &manifest.name]);
            for helper in &manifest.helpers {
                cargo.args(["--package", &helper.crate_name, "--bin", &helper.name]);
            }
        }
        workspace::run(&mut cargo)?;

        let metadata = workspace::metadata(&["--no-deps"])?;
        let target = Path::new(metadata["target_directory"].as_str().context("no target directory")?);
        let packages = metadata["packages"].as_array().context("no packages")?;
        let version = packages.iter().find(|package| package["name"] == "xtask").and_then(|p| p["version"].as_str());
        let scratch = target.join("packaging");
        if scratch.exists() {
            std::fs::remove_dir_all(&scratch)?;
        }
        let out = workspace::root().join(&options.out);
        std::fs::create_dir_all(&out)?;
        Ok(Build {
            version: version.context("no version")?.to_owned(),
            binaries: target.join(if options.quick() { "debug" } else { &options.profile }),
            scratch,
            out,
            quick: options.quick(),
            epoch: match std::env::var("SOURCE_DATE_EPOCH") {
                Ok(epoch) => epoch,
                Err(_) => workspace::line(&mut command("git", &["log", "-1", "--format=%ct"]))?,
            },
        })
    }
}

/// A fragment of `deploy/scripts` for this package. A unit that is a template cannot be started or stopped by its name.
fn script(fragment: &str, manifest: &Manifest) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(workspace::root().join("deploy/scripts").join(fragment))?;
    let config = manifest.name.trim_start_matches("dialtone-");
    let units: Vec<String> = manifest.units()?.into_iter().filter(|unit| !unit.contains('@')).collect();
    let services: Vec<&str> = units.iter().filter(|unit| unit.ends_with(".service")).map(String::as_str).collect();
    let programs = [&manifest.name].into_iter().chain(manifest.helpers.iter().map(|helper| &helper.name));
    let states: Vec<String> = programs.map(|name| format!("/var/lib/{name}")).collect();
    Ok(text
        .replace("SERVICES", &services.join(" "))
        .replace("UNITS", &units.join(" "))
        .replace("STATES", &states.join(" "))
        .replace("NAME", &manifest.name)
        .replace("CONFIG", &format!("{config}.yaml")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_release_packages_unless_told_otherwise() {
        let options = Options::parse(&[]).unwrap();
        assert_eq!(options, Options { profile: "release".to_owned(), out: PathBuf::from("dist") });
        let options = Options::parse(&["--out", "target/p", "--profile", "dev"]).unwrap();
        assert_eq!(options, Options { profile: "dev".to_owned(), out: PathBuf::from("target/p") });
        assert!(Options::parse(&["--profile"]).is_err());
    }

    #[test]
    fn scripts_name_the_package_and_its_configuration() {
        let purged = script("purged", &Manifest::read("agent").unwrap()).unwrap();
        assert!(
            purged.contains("rm -rf /var/lib/dialtone-agent /var/lib/dialtone-actuator /etc/dialtone/agent.yaml\n"),
            "{purged}"
        );
        let removing = script("removing", &Manifest::read("agent").unwrap()).unwrap();
        let stopped =
            "dialtone-actuator.service dialtone-actuator.socket dialtone-agent.service dialtone-recover.service";
        assert!(removing.contains(stopped), "{removing}");
    }
}
