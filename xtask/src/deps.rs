//! Who may depend on whom. The edges between our crates are recorded in `docs/deps.toml`, so that a new one is a decision
//! somebody makes; what pure crates may never reach, and which crate alone may use a library, is fixed here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::workspace;

/// Crates that are functions of their input.
pub(crate) const PURE: [&str; 6] = [
    "common-model",
    "common-evidence",
    "common-yml",
    "controller-correlate",
    "controller-diagnose",
    "controller-remedy",
];

/// What a pure crate must not reach, however far down.
const IMPURE: [&str; 10] =
    ["tokio", "tonic", "sled", "rand", "inotify", "netlink-sys", "rustix", "socket2", "rustls", "tracing"];

/// Libraries that only these crates of ours may name.
const ONLY: [(&str, &[&str]); 5] = [
    ("sled", &["controller-store"]),
    ("rustls", &["common-tls"]),
    ("rcgen", &["common-tls", "system-tests"]),
    ("inotify", &["agent-sources"]),
    ("netlink-sys", &["agent-sources"]),
];

const GOLDEN: &str = "docs/deps.toml";

/// Names of packages by id, and for each id what it links: normal dependencies only.
struct Graph {
    names: BTreeMap<String, String>,
    links: BTreeMap<String, Vec<String>>,
    members: Vec<String>,
}

/// Compares what is with what may be.
pub(crate) fn check() -> anyhow::Result<()> {
    let graph =
        Graph::read(&workspace::metadata(&["--filter-platform", "host-tuple"])?).context("reading cargo metadata")?;
    let mut problems = forbidden(&graph);
    let recorded = std::fs::read_to_string(workspace::root().join(GOLDEN)).with_context(|| GOLDEN)?;
    let present = edges(&graph);
    if recorded != present {
        let recorded: BTreeSet<&str> = recorded.lines().collect();
        let present: BTreeSet<&str> = present.lines().collect();
        problems.extend(recorded.difference(&present).map(|line| format!("{GOLDEN}: -{line}")));
        problems.extend(present.difference(&recorded).map(|line| format!("{GOLDEN}: +{line}")));
        problems.push("record wanted edges with `cargo xtask deps --write`".to_owned());
    }
    if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("\n")) }
}

/// Records the present edges.
pub(crate) fn write() -> anyhow::Result<()> {
    let graph =
        Graph::read(&workspace::metadata(&["--filter-platform", "host-tuple"])?).context("reading cargo metadata")?;
    Ok(std::fs::write(workspace::root().join(GOLDEN), edges(&graph))?)
}

impl Graph {
    fn read(metadata: &Value) -> Option<Graph> {
        let packages = metadata["packages"].as_array()?;
        let names = packages.iter().filter_map(|p| Some((text(&p["id"])?, text(&p["name"])?))).collect();
        let members = metadata["workspace_members"].as_array()?.iter().filter_map(text).collect();
        let nodes = metadata["resolve"]["nodes"].as_array()?;
        let links = nodes.iter().filter_map(|node| Some((text(&node["id"])?, normal_dependencies(node)?))).collect();
        Some(Graph { names, links, members })
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }

    fn direct<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a String> {
        self.links.get(id).into_iter().flatten()
    }

    /// Every package that is linked into this one, by name.
    fn reach<'a>(&'a self, id: &'a str) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            open.extend(self.direct(next).map(String::as_str).filter(|linked| seen.insert(*linked)));
        }
        seen.into_iter().map(|linked| self.name(linked)).collect()
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A dependency whose `dep_kinds` has an entry without a kind is linked; the others are for tests and build scripts.
fn normal_dependencies(node: &Value) -> Option<Vec<String>> {
    let linked = |dependency: &&Value| {
        dependency["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    Some(node["deps"].as_array()?.iter().filter(linked).filter_map(|dependency| text(&dependency["pkg"])).collect())
}

fn forbidden(graph: &Graph) -> Vec<String> {
    let mut problems = Vec::new();
    for id in &graph.members {
        let name = graph.name(id);
        if PURE.contains(&name) {
            let reach = graph.reach(id);
            let impure = IMPURE.iter().filter(|library| reach.contains(*library));
            problems.extend(impure.map(|library| format!("{name} is pure and must not reach {library}")));
        }
        for (library, users) in ONLY {
            if !users.contains(&name) && graph.direct(id).any(|linked| graph.name(linked) == library) {
                problems.push(format!("{name} must not use {library}: only {} may", users.join(" and ")));
            }
        }
    }
    problems
}

/// One line for each crate of ours: the crates of ours it links.
fn edges(graph: &Graph) -> String {
    let ours: BTreeSet<&str> = graph.members.iter().map(|id| graph.name(id)).collect();
    let mut lines: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for id in &graph.members {
        let linked = graph.direct(id).map(|linked| graph.name(linked)).filter(|linked| ours.contains(linked));
        lines.insert(graph.name(id), linked.collect());
    }
    lines.iter().map(|(name, linked)| format!("{name} = {:?}\n", linked.iter().collect::<Vec<_>>())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(links: &[(&str, &[&str])]) -> Graph {
        let own = |name: &&str| (*name).to_owned();
        Graph {
            names: links.iter().map(|(name, _)| ((*name).to_owned(), (*name).to_owned())).collect(),
            links: links.iter().map(|(name, to)| ((*name).to_owned(), to.iter().map(own).collect())).collect(),
            members: links.iter().map(|(name, _)| (*name).to_owned()).filter(|name| name.contains('-')).collect(),
        }
    }

    #[test]
    fn a_pure_crate_must_not_reach_an_impure_one_through_another() {
        let bad = graph(&[("common-model", &["regex"]), ("regex", &["tokio"]), ("tokio", &[])]);
        assert_eq!(forbidden(&bad), ["common-model is pure and must not reach tokio"]);
        let good = graph(&[("common-model", &["regex"]), ("regex", &[]), ("tokio", &[])]);
        assert_eq!(forbidden(&good), Vec::<String>::new());
    }

    #[test]
    fn the_store_alone_names_sled() {
        let graph = graph(&[("controller-api", &["sled"]), ("controller-store", &["sled"]), ("sled", &[])]);
        assert_eq!(forbidden(&graph), ["controller-api must not use sled: only controller-store may"]);
    }

    #[test]
    fn edges_name_only_our_crates() {
        let graph = graph(&[("a-b", &["serde", "c-d"]), ("c-d", &[]), ("serde", &[])]);
        assert_eq!(edges(&graph), "a-b = [\"c-d\"]\nc-d = []\n");
    }

    #[test]
    fn dependencies_of_tests_and_build_scripts_are_not_linked() {
        let node = serde_json::json!({"deps": [
            {"pkg": "linked", "dep_kinds": [{"kind": "dev"}, {"kind": null}]},
            {"pkg": "tests", "dep_kinds": [{"kind": "dev"}]},
            {"pkg": "build", "dep_kinds": [{"kind": "build"}]},
        ]});
        assert_eq!(normal_dependencies(&node), Some(vec!["linked".to_owned()]));
    }
}
