//! The engines' own jars, by Maven.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::lab::command;

/// Puts the jars of these artifacts, and of all they depend on, into `lib`.
/// An artifact is `group:name:version`.
pub(super) fn copy_jars(artifacts: &[&str], lib: &Path) -> Result<()> {
    maven("copy-dependencies", &pom(artifacts, "jar", ""), lib)
}

/// Unpacks an artifact that is a zip file into `directory`.
pub(super) fn unpack_zip(artifact: &str, directory: &Path) -> Result<()> {
    const ALONE: &str = "<exclusions><exclusion><groupId>*</groupId>\
        <artifactId>*</artifactId></exclusion></exclusions>";
    maven("unpack-dependencies", &pom(&[artifact], "zip", ALONE), directory)
}

fn maven(goal: &str, pom: &str, output: &Path) -> Result<()> {
    let project = tempfile::tempdir()?;
    let file = project.path().join("pom.xml");
    fs::write(&file, pom)?;
    let output = format!("-DoutputDirectory={}", output.display());
    let goal = format!("dependency:{goal}");
    let file = file.to_string_lossy();
    command::check("mvn", ["--quiet", "--batch-mode", "--file", &file, &goal, &output])?;
    Ok(())
}

fn pom(artifacts: &[&str], kind: &str, exclusions: &str) -> String {
    let mut text = String::from(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>lab</groupId><artifactId>engine</artifactId><version>1</version>\
         <packaging>pom</packaging><dependencies>",
    );
    for artifact in artifacts {
        let mut parts = artifact.split(':');
        let mut part = || parts.next().unwrap_or_default();
        let (group, name, version) = (part(), part(), part());
        // Writing to a string cannot fail.
        write!(
            text,
            "<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>\
             <version>{version}</version><type>{kind}</type>{exclusions}</dependency>"
        )
        .ok();
    }
    text.push_str("</dependencies></project>");
    text
}
