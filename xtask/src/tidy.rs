//! The rules of the tree that no compiler checks.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::deps::PURE;
use crate::workspace;

/// The longest a source file may be.
const MAX_LINES: usize = 600;

/// What the manifest of every crate says.
const INHERITED_LINTS: &str = "[lints]\nworkspace = true\n";

/// What a pure crate may not call, one file for all: clippy reads only the file of the crate it checks, so each links here.
const PURE_CLIPPY: &str = ".config/pure/clippy.toml";

/// The three catalogues: one folder and one word in `mod.rs` for each entry.
const CATALOGUES: [&str; 3] =
    ["common/evidence/src/collectors", "controller/diagnose/src/causes", "controller/remedy/src/actions"];

/// The only files of what is installed that start programs; which ones is tried by `make prove ONLY=I21`.
const STARTERS: [&str; 4] =
    ["agent/sources/src/command.rs", "agent/act/src/tools.rs", "agent/act/src/guard.rs", "controller/forge/src/git.rs"];

/// Unfinished work, split so that this file does not find itself.
const UNFINISHED: [&str; 4] =
    [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("FIX", "ME"), concat!("XX", "X:")];

/// Checks every rule and lists every place that breaks one.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut problems = Vec::new();
    for file in workspace::files("*.rs")?.iter().filter(|file| !is_generated(file)) {
        let text = read(file)?;
        problems.extend(in_source(&text).chain(starter(file, &text)).map(|problem| format!("{file}: {problem}")));
    }
    for file in workspace::files(".")?.iter().filter(|file| *file != "Cargo.lock") {
        // What is not text names nothing.
        let Ok(text) = std::fs::read_to_string(workspace::root().join(file)) else { continue };
        problems.extend(own_path(&text, &workspace::root()).map(|problem| format!("{file}: {problem}")));
    }
    for file in workspace::files("*.md")? {
        let text = read(&file)?;
        let folder = workspace::root().join(&file).parent().map(Path::to_path_buf).unwrap_or_default();
        let dead = links(&text).filter(|link| !folder.join(link).exists());
        problems.extend(dead.map(|link| format!("{file}: nothing is at {link}")));
    }
    for catalogue in CATALOGUES {
        let differing =
            unregistered(&read(&format!("{catalogue}/mod.rs"))?, folders(&workspace::root().join(catalogue))?);
        problems.extend(differing.into_iter().map(|problem| format!("{catalogue}: {problem}")));
    }
    problems.extend(in_crates(&workspace::metadata(&["--no-deps"])?)?);
    if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("\n")) }
}

/// Whether a file is written by `cargo xtask gen-proto`.
pub(crate) fn is_generated(file: &str) -> bool {
    file.contains("/gen/")
}

fn read(file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(workspace::root().join(file)).with_context(|| file.to_owned())
}

fn in_source(text: &str) -> impl Iterator<Item = String> {
    let opening = (!text.starts_with("//! ")).then(|| "must open with `//!` and what it is for".to_owned());
    let lines = text.lines().count();
    let length = (lines > MAX_LINES).then(|| format!("has {lines} lines; {MAX_LINES} is the most"));
    let unfinished = UNFINISHED.into_iter().filter(|word| text.contains(word)).map(|word| format!("has {word}"));
    opening.into_iter().chain(length).chain(unfinished.collect::<Vec<_>>())
}

/// Starting a program, by any of the types that do, where that is not to be done.
fn starter(file: &str, text: &str) -> Option<String> {
    let installed = ["agent/", "common/", "controller/"].iter().any(|folder| file.starts_with(folder));
    if !installed || file.contains("/tests/") || file.ends_with("tests.rs") || STARTERS.contains(&file) {
        return None;
    }
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.contains("process::Command").then(|| format!("starts programs, which only {} do", STARTERS.join(", ")))
}

/// A path such as `/src` is too common a word to look for.
fn own_path(text: &str, root: &Path) -> Option<String> {
    let path = root.to_str().filter(|_| root.components().count() > 2)?;
    text.contains(path).then(|| format!("names {path}, which is a path of this machine"))
}

/// The relative targets of a page's links, without their anchors.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
}

fn folders(catalogue: &Path) -> anyhow::Result<BTreeSet<String>> {
    let entries = std::fs::read_dir(catalogue)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.iter().filter(|e| e.path().is_dir()).filter_map(|e| e.file_name().into_string().ok()).collect())
}

/// Folders without a word in the registry. A word without a folder does not compile.
fn unregistered(module: &str, folders: BTreeSet<String>) -> Vec<String> {
    let words = module.split("registry! {").nth(1).and_then(|rest| rest.split('}').next()).unwrap_or_default();
    let words: BTreeSet<String> = words.split([',', '\n']).map(|word| word.trim().to_owned()).collect();
    let missing = folders.into_iter().filter(|folder| !words.contains(folder));
    missing.map(|folder| format!("the folder {folder} is not in the registry of mod.rs")).collect()
}

fn in_crates(metadata: &Value) -> anyhow::Result<Vec<String>> {
    let root = workspace::root();
    let mut problems = Vec::new();
    for package in metadata["packages"].as_array().context("no packages")? {
        let name = package["name"].as_str().context("a package without a name")?;
        let manifest = Path::new(package["manifest_path"].as_str().context("a package without a manifest")?);
        let folder = manifest.parent().context("a manifest without a folder")?;
        let relative = folder.strip_prefix(&root)?.to_string_lossy();
        if name != name_of(&relative) {
            problems.push(format!("{relative}: the crate is called {name} and should be {}", name_of(&relative)));
        }
        if !std::fs::read_to_string(manifest)?.contains(INHERITED_LINTS) {
            problems.push(format!("{relative}/Cargo.toml does not inherit the lints of the workspace"));
        }
        let rules = folder.join("clippy.toml").canonicalize().ok();
        if PURE.contains(&name) && rules != root.join(PURE_CLIPPY).canonicalize().ok() {
            problems.push(format!("{relative}/clippy.toml must be a link to {PURE_CLIPPY}"));
        }
    }
    Ok(problems)
}

/// A crate is called as its folder is.
fn name_of(folder: &str) -> String {
    if folder == "tests" { "system-tests".to_owned() } else { folder.replace('/', "-") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        in_source(text).collect()
    }

    #[test]
    fn a_source_file_opens_with_what_it_is_for() {
        assert_eq!(problems("//! Parses.\nfn a() {}\n"), Vec::<String>::new());
        assert_eq!(problems("fn a() {}\n").len(), 1);
    }

    #[test]
    fn programs_are_started_in_few_places() {
        let text = "//! Runs.\nuse std::process::Command;\n";
        assert!(starter("controller/src/plans.rs", text).is_some());
        assert!(starter("common/tls/src/ca.rs", "use tokio::process::Command;").is_some());
        for other in ["controller/forge/src/git.rs", "controller/tests/commands.rs", "tests/node/src/lib.rs"] {
            assert_eq!(starter(other, text), None, "{other}");
        }
        assert_eq!(starter("agent/sources/src/file.rs", "//! Reads.\n#[cfg(test)]\nuse std::process::Command;"), None);
    }

    #[test]
    fn a_source_file_is_not_longer_than_the_limit() {
        let lines = |count: usize| format!("//! Parses.\n{}", "\n".repeat(count - 1));
        assert_eq!(problems(&lines(MAX_LINES)), Vec::<String>::new());
        assert_eq!(problems(&lines(MAX_LINES + 1)), ["has 601 lines; 600 is the most"]);
    }

    #[test]
    fn unfinished_work_is_found() {
        assert_eq!(problems(&format!("//! Parses.\nfn a() {{ {}) }}\n", UNFINISHED[0])).len(), 1);
    }

    #[test]
    fn the_path_of_the_repository_is_found_when_it_is_no_common_word() {
        assert!(own_path("see /home/me/dialtone/target", Path::new("/home/me/dialtone")).is_some());
        assert!(own_path("see /src/lib.rs", Path::new("/src")).is_none());
    }

    #[test]
    fn links_are_relative_targets_without_anchors() {
        let text = "[a](docs/A.md#part) [b](https://example.org) [c](#here) [d](../D.md)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["docs/A.md", "../D.md"]);
    }

    #[test]
    fn a_folder_without_its_word_is_found() {
        let folders = BTreeSet::from(["host".to_owned(), "unit".to_owned()]);
        let module = "macro_rules! registry { … }\nregistry! {\n    host,\n}\n";
        assert_eq!(unregistered(module, folders), ["the folder unit is not in the registry of mod.rs"]);
    }

    #[test]
    fn crates_are_called_as_their_folders() {
        assert_eq!(name_of("controller/diagnose"), "controller-diagnose");
        assert_eq!(name_of("tests"), "system-tests");
    }
}
