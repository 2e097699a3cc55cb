//! Edits of the engine's own file, all the way: asked for in the repository it comes from, merged there by a person, rolled out by
//! the node, and seen from outside to have worked.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use system_tests::lab::engine::Scheme;
use system_tests::lab::gitea::Gitea;
use system_tests::lab::{Engine, Host, Output, client, until};
use tempfile::TempDir;

use super::console::{Console, last_incident};
use super::{json as said, proposed, record, trust};
use crate::fleet::{Fleet, unwrapped};

const CONFIG: &str = "/etc/dialtone/controller.yaml";
const TOKEN: &str = "/etc/dialtone/git.token";
/// For what comes about by itself.
const LIMIT: Duration = Duration::from_secs(150);

/// A forge that serves its repositories with a certificate of the site's own, and a controller that knows them: what
/// administrators set up once.
struct Site {
    fleet: Fleet,
    gitea: Gitea,
    /// What a reviewer has checked out.
    review: TempDir,
}

fn site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(Site::set_up)
}

/// Where a node's file is.
#[derive(Clone, Copy)]
enum Remote {
    /// A branch is all that it gets.
    Plain,
    /// It gets a pull request.
    Forge,
}

impl Remote {
    fn repository(self) -> &'static str {
        match self {
            Self::Plain => "es-config",
            Self::Forge => "os-config",
        }
    }
}

impl Site {
    fn set_up() -> Self {
        let fleet = Fleet::set_up_with("git-controller", ("prove_start_seconds", 100), &["git"]).unwrap();
        let (gitea, controller) = (Gitea::start().unwrap(), &fleet.controller);
        let settings = controller.read(CONFIG).unwrap();
        let kept = settings.lines().filter(|line| !line.starts_with("repositor")).map(|line| format!("{line}\n"));
        let [plain, forge] =
            [Remote::Plain, Remote::Forge].map(|remote| gitea.repository(remote.repository()).unwrap());
        let common = format!("path: '{{node}}/engine.yml', token_file: {TOKEN}");
        let entries = format!(
            "repository_poll_seconds: 1\n\
             repositories:\n\
             - {{name: es-config, forge: git, url: '{plain}', nodes: [edit-es, edit-back], {common}}}\n\
             - {{name: os-config, forge: gitea, url: '{forge}', clusters: [lab], allow_without_password: true, {common}}}\n"
        );
        controller.write(CONFIG, kept.collect::<String>() + &entries).unwrap();
        controller.write(TOKEN, gitea.token()).unwrap();
        controller.check(&["chown", "root:dialtone-controller", TOKEN]).unwrap();
        controller.check(&["chmod", "0640", TOKEN]).unwrap();
        controller.write("/usr/local/share/ca-certificates/site.crt", gitea.authority()).unwrap();
        controller.check(&["update-ca-certificates"]).unwrap();
        let review = client().unwrap().directory().unwrap();
        for (remote, url) in [(Remote::Plain, plain), (Remote::Forge, forge)] {
            gitea.git(review.path(), &["clone", "--quiet", &url, remote.repository()]).unwrap();
        }
        let site = Self { fleet, gitea, review };
        for remote in [Remote::Plain, Remote::Forge] {
            site.push(remote, "README.md", "Configuration of our engines.\n");
        }
        site.fleet.controller.check(&["systemctl", "restart", "dialtone-controller"]).unwrap();
        site.fleet.dialtone(&["key"]).unwrap().ok().unwrap();
        site
    }

    fn dialtone(&self, arguments: &[&str]) -> Output {
        self.fleet.dialtone(arguments).unwrap()
    }

    /// A reviewer's git.
    fn git(&self, remote: Remote, arguments: &[&str]) -> String {
        self.gitea.git(&self.review.path().join(remote.repository()), arguments).unwrap()
    }

    /// Commits a file and pushes it.
    fn push(&self, remote: Remote, path: &str, text: &str) {
        let file = self.review.path().join(remote.repository()).join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        self.git(remote, &["add", "--all"]);
        self.git(remote, &["commit", "--quiet", "-m", &format!("Set up {path}")]);
        self.git(remote, &["push", "--quiet", "origin", "HEAD:main"]);
    }

    /// Merges what was asked for, as people do there.
    fn merge(&self, remote: Remote, plan: &str) {
        let branch = format!("dialtone/{plan}");
        match remote {
            Remote::Plain => {
                self.git(remote, &["fetch", "--quiet"]);
                self.git(remote, &["merge", "--quiet", "--no-ff", "--no-edit", &format!("origin/{branch}")]);
                self.git(remote, &["push", "--quiet", "origin", "HEAD:main"]);
            }
            Remote::Forge => {
                let asked = self.gitea.api("GET", "/repos/ops/os-config/pulls?state=open", &Value::Null).unwrap();
                let request =
                    asked.as_array().unwrap().iter().find(|request| request["head"]["ref"] == branch.as_str());
                let request = request.unwrap_or_else(|| panic!("{asked:#}"));
                let shown = record(&self.fleet, plan);
                assert_eq!(request["html_url"], shown["link"], "{shown:#}");
                assert!(request["body"].as_str().unwrap().contains("approved by `alice`"), "{request:#}");
                let merge = format!("/repos/ops/os-config/pulls/{}/merge", request["number"]);
                self.gitea.api("POST", &merge, &json!({"Do": "merge"})).unwrap();
                self.git(remote, &["pull", "--quiet"]);
            }
        }
    }

    fn stage(&self, plan: &str) -> String {
        record(&self.fleet, plan)["stage"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a plan is at this stage; what was said of that.
    fn wait_stage(&self, plan: &str, stage: &str) -> String {
        let reached = until(stage, LIMIT, || Ok((self.stage(plan) == stage).then_some(())));
        reached.unwrap_or_else(|error| panic!("{error}: {:#}", record(&self.fleet, plan)));
        let history = record(&self.fleet, plan)["history"].clone();
        history.as_array().unwrap().last().unwrap()["because"].as_str().unwrap_or_default().to_owned()
    }
}

/// A node whose engine's file comes from the repository, and says something that keeps clients out.
struct Broken {
    remote: Remote,
    node: Host,
    engine: Engine,
    yml: String,
}

impl Broken {
    /// `edit` makes of the healthy file the one that is merged and rolled out before anything is seen.
    fn new(remote: Remote, name: &str, engine: Engine, edit: impl Fn(&str) -> String) -> Self {
        let node = Host::boot(name).unwrap();
        engine.run_healthy(&node).unwrap();
        site().fleet.join(&node).unwrap();
        let unit = format!("{}.service", engine.name());
        let allow = format!(
            "{{config-install: {{files: [{}], keys: [http.port, network.host], units: [{unit}]}}}}",
            engine.yml_path()
        );
        trust(&node, site().fleet.laptop(), &allow);
        // What is broken afterwards is seen as a change.
        site().fleet.diagnose_until(&format!("http://{}:9200", node.ip()), "healthy");
        let yml = edit(&format!("# Product search. Changes only by review.\n{}", engine.healthy_yml()));
        site().push(remote, &format!("{name}/engine.yml"), &yml);
        engine.set_yml(&node, &yml).unwrap();
        node.check(&["systemctl", "restart", engine.name()]).unwrap();
        Self { remote, node, engine, yml }
    }

    fn endpoint(&self) -> String {
        format!("http://{}:9200", self.node.ip())
    }

    fn on_node(&self) -> String {
        self.node.read(&self.engine.yml_path()).unwrap()
    }

    fn merged(&self) -> String {
        site().git(self.remote, &["show", &format!("main:{}/engine.yml", self.node.name())])
    }

    /// How often systemd has started the engine.
    fn starts(&self) -> usize {
        self.engine.journal(&self.node).unwrap().matches(&format!("Starting {}.service", self.engine.name())).count()
    }

    /// The pull request's plan, approved by the command and merged, and the rollout that is proposed then.
    fn merged_plan(&self, cause: &str) -> (String, String) {
        let plan = proposed(&site().fleet, &self.node, cause, "config-edit").1;
        site().dialtone(&["approve", &plan, "--yes"]).ok().unwrap();
        site().wait_stage(&plan, "applied");
        site().merge(self.remote, &plan);
        let told = site().wait_stage(&plan, "verified");
        let rollout = told.rsplit_once("dialtone approve ").unwrap_or_else(|| panic!("{told}")).1.to_owned();
        (plan, rollout)
    }
}

/// The plan of a rollout of one node.
fn plan_of(rollout: &str) -> String {
    let shown = said(&site().dialtone(&["rollout", rollout, "-o", "json"]));
    let turns = shown["rollout"]["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 1, "{shown:#}");
    turns[0]["plan"].as_str().unwrap().to_owned()
}

/// Approves, merges and approves the rollout, all but the merge in the console; prints how long the node and its proof took.
#[allow(clippy::print_stdout, reason = "a figure for people")]
fn mends(broken: &Broken, cause: &str, line: &str) {
    let (site, endpoint) = (site(), broken.endpoint());
    let plan = proposed(&site.fleet, &broken.node, cause, "config-edit").1;
    let console = Console::open(site.fleet.laptop());
    console.read_incident(&endpoint);
    console.read_plan(&plan);
    console.say_yes();
    let begun = Instant::now();
    console.follow("waits for the merge");
    let asked = begun.elapsed();
    assert_eq!(broken.merged(), broken.yml);
    site.merge(broken.remote, &plan);
    let begun = Instant::now();
    console.follow("merged");
    let seen = begun.elapsed();
    assert_eq!(broken.on_node(), broken.yml, "a merge alone changes nothing on a node");
    let told = site.wait_stage(&plan, "verified");
    let rollout = told.rsplit_once("dialtone approve ").unwrap_or_else(|| panic!("{told}")).1;
    let install = plan_of(rollout);
    console.back();
    console.read_plan(rollout);
    console.say_yes();
    let begun = Instant::now();
    console.follow("done");
    println!(
        "config-edit ({cause}): {:.1} s until it was asked for, {:.1} s until its merge was seen; config-install: {:.1} s from approval to \
         proven",
        asked.as_secs_f64(),
        seen.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    console.back();
    console.see_it_ended();
    console.quit();

    let merged = broken.merged();
    assert_eq!(broken.on_node(), merged, "to the byte");
    assert!(merged.contains(line) && merged.starts_with("# Product search. Changes only by review.\n"), "{merged}");
    let owner = broken.node.check(&["stat", "--format=%U:%G %a", &broken.engine.yml_path()]).unwrap();
    assert_eq!(owner.trim(), format!("root:{} 660", broken.engine.name()));
    broken.engine.wait_http(&broken.node, 9200, Scheme::Http).unwrap();

    let incident = last_incident(&site.fleet, &endpoint);
    assert_eq!((&incident["closed"]["who"], &incident["verdict"]["cause"]), (&"controller".into(), &cause.into()));
    for plan in [&plan, &install] {
        let of_it = |done: &&Value| done["id"] == plan.as_str();
        let done = incident["plans"].as_array().unwrap().iter().find(of_it).unwrap_or_else(|| panic!("{incident:#}"));
        assert_eq!((&done["stage"], &done["approved_by"][0]["operator"]), (&"verified".into(), &"alice".into()));
    }
    site.dialtone(&["audit", "verify"]).ok().unwrap();
}

#[test]
fn another_port_is_put_right_in_the_repository_and_from_there_on_the_node() {
    let other = |yml: &str| format!("{yml}http:\n  port: 9201 # where the proxy wants it\n");
    let broken = Broken::new(Remote::Plain, "edit-es", Engine::Elasticsearch, other);
    mends(&broken, "port-differs", "http:\n  port: 9200 # where the proxy wants it\n");
}

#[test]
fn an_engine_on_loopback_is_opened_in_the_repository_and_from_there_on_the_node() {
    let broken =
        Broken::new(Remote::Forge, "edit-os", Engine::OpenSearch, |yml| yml.replace("network.host: 0.0.0.0\n", ""));
    let line = format!("network.host: [\"_local_\", \"{}\"]\n", broken.node.ip());
    mends(&broken, "bound-to-loopback", &line);
}

#[test]
fn a_file_that_is_not_what_was_merged_for_is_left_and_one_that_does_not_start_is_put_back() {
    let broken =
        Broken::new(Remote::Plain, "edit-back", Engine::Elasticsearch, |yml| format!("{yml}http.port: 9201\n"));
    let (_, rollout) = broken.merged_plan("port-differs");
    let by_hand = format!("{}# by hand\n", broken.yml);
    broken.engine.set_yml(&broken.node, &by_hand).unwrap();
    let starts = broken.starts();
    let told = site().dialtone(&["approve", &rollout, "--yes"]);
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(
        unwrapped(&told.stdout)
            .contains("/etc/elasticsearch/elasticsearch.yml does not hold what the plan was made for"),
        "{told:?}"
    );
    assert_eq!(site().stage(&plan_of(&rollout)), "refused");
    assert_eq!((broken.on_node(), broken.starts()), (by_hand, starts));

    // What the agent cannot know of: a check of the site's own before each start.
    broken.engine.set_yml(&broken.node, &broken.yml).unwrap();
    let own = "[Service]\nExecStartPre=+/bin/sh -c '! grep 9200 /etc/elasticsearch/elasticsearch.yml'\n";
    broken.engine.drop_in(&broken.node, "own-check", own).unwrap();
    let proposed = until("the rollout for the file as it is again", LIMIT, || {
        let output = site().dialtone(&["rollout", "propose", broken.node.name(), "-o", "json"]);
        Ok(output.success().then(|| said(&output)["rollout"]["id"].as_str().unwrap().to_owned()))
    });
    let rollout = proposed.unwrap();
    let told = site().dialtone(&["approve", &rollout, "--yes"]);
    assert_eq!(told.code, Some(1), "{told:?}");
    let why = "not proven from outside: elasticsearch.service was restarted and failed (exit-code)";
    assert!(unwrapped(&told.stdout).contains(why), "{told:?}");
    assert_eq!(site().stage(&plan_of(&rollout)), "rolled-back");
    assert_eq!(broken.on_node(), broken.yml);
    assert_eq!(broken.starts(), starts + 2, "once with the new file, once with the old one");
    broken.engine.wait_http(&broken.node, 9201, Scheme::Http).unwrap();
}
