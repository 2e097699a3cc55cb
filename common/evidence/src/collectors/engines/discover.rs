//! Finding the engines of a node in the facts about it.

use common_model::probe::Product;

use super::Engines;
use super::facts::{EngineProcess, Facts, FileFact, UnitFile, Wanted};
use super::unit_text::{self, UnitText};
use crate::collectors::engine_config::EngineConfig;
use crate::command::{self, Role};
use crate::engine::EngineRef;
use crate::settings;

/// The configuration directories of packages.
static CONFIG_DIRS: &[(&str, Product)] = &[
    ("/etc/elasticsearch", Product::Elasticsearch),
    ("/etc/opensearch", Product::Opensearch),
    ("/etc/wazuh-indexer", Product::Opensearch),
];

/// Units that run other things' processes: what they started by chance is not theirs.
static HOSTS_OF_OTHERS: &[&str] = &["cron", "crond", "ssh", "sshd", "user@", "docker", "containerd", "dialtone-"];

/// True for the command line of an engine's JVM or launcher.
pub fn is_engine(command: &[String]) -> bool {
    command::recognise(command).is_some()
}

/// The files and listings [`discover`] needs that are not in the facts yet.
pub fn wanted(facts: &Facts) -> Wanted {
    let candidates = candidates(facts);
    let mut wanted = Wanted::default();
    for unit in &facts.units {
        wanted.files.extend(environment_files(unit, &unit_text::read(&unit.name, &unit.text)));
    }
    for engine in &candidates {
        wanted.files.push(engine.config_file());
        wanted.listings.extend(engine.home.iter().map(|home| format!("{home}/lib")));
    }
    wanted.files.extend(CONFIG_DIRS.iter().map(|(dir, product)| format!("{dir}/{}.yml", product.slug())));
    wanted.files.retain(|path| path.starts_with('/') && !facts.files.contains_key(path));
    wanted.listings.retain(|path| path.starts_with('/') && !facts.listings.contains_key(path));
    for list in [&mut wanted.files, &mut wanted.listings] {
        list.sort();
        list.dedup();
    }
    wanted
}

/// The engines of a node: from its units, its processes, its packages and the configuration that lies there.
pub fn discover(facts: &Facts) -> Engines {
    let mut engines = candidates(facts);
    for (dir, product) in CONFIG_DIRS {
        let exists =
            !matches!(facts.files.get(&format!("{dir}/{}.yml", product.slug())), None | Some(FileFact::Missing));
        match engines.iter_mut().find(|engine| engine.config_dir == *dir) {
            Some(engine) if exists => engine.found_by.push("config".to_owned()),
            None if exists => engines.push(EngineRef {
                name: product.slug().to_owned(),
                product: Some(*product),
                config_dir: (*dir).to_owned(),
                found_by: vec!["config".to_owned()],
                ..EngineRef::default()
            }),
            _ => {}
        }
    }
    for engine in &mut engines {
        engine.version = version(facts, engine);
        engine.log_file = log_file(facts, engine);
    }
    name_uniquely(&mut engines);
    engines.sort_by(|a, b| a.name.cmp(&b.name));
    let mut problems = facts.problems.clone();
    problems.extend(facts.processes.iter().filter(|process| process.container).map(|process| {
        format!("process {} runs an engine in a container, where its files and sockets cannot be seen", process.pid)
    }));
    Engines { engines, problems }
}

/// Everything that does not need the engines' own files.
fn candidates(facts: &Facts) -> Vec<EngineRef> {
    let mut engines: Vec<EngineRef> = facts.units.iter().filter_map(|unit| from_unit(facts, unit)).collect();
    for group in process_groups(&facts.processes) {
        add_processes(facts, &mut engines, &group);
    }
    for package in &facts.packages {
        add_package(&mut engines, &package.name);
    }
    engines
}

fn from_unit(facts: &Facts, unit: &UnitFile) -> Option<EngineRef> {
    let text = unit_text::read(&unit.name, &unit.text);
    let (product, home) = text.engine()?;
    let files: Vec<(String, String)> = environment_files(unit, &text)
        .iter()
        .filter_map(|path| match facts.files.get(path) {
            Some(FileFact::Text(text)) => Some(unit_text::environment_file(text)),
            _ => None,
        })
        .flatten()
        .collect();
    let (home_variable, config_variable) = variables(product);
    let home = home.or_else(|| text.variable(home_variable, &files).map(str::to_owned));
    let config_dir = command::config_dir(&text.exec)
        .or_else(|| text.variable(config_variable, &files))
        .map_or_else(|| default_config_dir(product, home.as_deref()), str::to_owned);
    Some(EngineRef {
        name: unit.name.trim_end_matches(".service").to_owned(),
        product: Some(product),
        unit: Some(unit.name.clone()),
        config_dir: without_slash(config_dir),
        home,
        arguments: command::settings(&text.exec),
        found_by: vec!["unit".to_owned()],
        ..EngineRef::default()
    })
}

/// Names of the variables for home and configuration directory.
fn variables(product: Product) -> (&'static str, &'static str) {
    match product {
        Product::Opensearch => ("OPENSEARCH_HOME", "OPENSEARCH_PATH_CONF"),
        Product::Elasticsearch => ("ES_HOME", "ES_PATH_CONF"),
    }
}

/// The unit's environment files, and the one the packages' scripts read by themselves.
fn environment_files(unit: &UnitFile, text: &UnitText) -> Vec<String> {
    let mut files = text.environment_files.clone();
    let packaged = text.engine().and_then(|(_, home)| packaged_name(home.as_deref()?).map(str::to_owned));
    if let Some(name) = packaged.filter(|_| !unit.name.contains('@')) {
        for path in [format!("/etc/sysconfig/{name}"), format!("/etc/default/{name}")] {
            if !files.contains(&path) {
                files.push(path);
            }
        }
    }
    files
}

fn packaged_name(home: &str) -> Option<&str> {
    home.strip_prefix("/usr/share/").filter(|name| !name.contains('/'))
}

fn default_config_dir(product: Product, home: Option<&str>) -> String {
    match home {
        None => format!("/etc/{}", product.slug()),
        Some(home) => packaged_name(home).map_or_else(|| format!("{home}/config"), |name| format!("/etc/{name}")),
    }
}

fn without_slash(path: String) -> String {
    match path.trim_end_matches('/') {
        "" => path,
        trimmed => trimmed.to_owned(),
    }
}

/// The processes of each engine: a launcher with its child, or one JVM; parents first.
fn process_groups(processes: &[EngineProcess]) -> Vec<Vec<&EngineProcess>> {
    let mut groups: Vec<Vec<&EngineProcess>> = Vec::new();
    let mut sorted: Vec<&EngineProcess> = processes.iter().filter(|process| !process.container).collect();
    let role = |process: &EngineProcess| command::recognise(&process.command).map(|(_, role)| role);
    sorted.sort_by_key(|process| (role(process) == Some(Role::Server), process.pid));
    for process in sorted {
        match groups.iter_mut().find(|group| group.iter().any(|member| member.pid == process.parent)) {
            Some(group) => group.push(process),
            None => groups.push(vec![process]),
        }
    }
    groups
}

fn add_processes(facts: &Facts, engines: &mut Vec<EngineRef>, group: &[&EngineProcess]) {
    let Some((product, _)) = group.iter().find_map(|process| command::recognise(&process.command)) else { return };
    let home = group.iter().find_map(|process| command::home(&process.command)).map(str::to_owned);
    let told = group.iter().find_map(|process| command::config_dir(&process.command)).map(str::to_owned);
    let unit = group.iter().find_map(|process| process.unit.clone()).filter(|unit| {
        !HOSTS_OF_OTHERS.iter().any(|host| unit.starts_with(host))
            && facts.units.iter().any(|known| known.name == *unit)
    });
    let pids: Vec<u32> = group.iter().map(|process| process.pid).collect();
    let config_dir = told.clone().map(without_slash);
    let known = engines.iter_mut().find(|engine| {
        engine.pids.is_empty()
            && match (&unit, &engine.unit) {
                (Some(unit), Some(of)) => unit == of,
                // Started by hand with a service's configuration: the same engine.
                (None, _) => config_dir.as_ref() == Some(&engine.config_dir),
                (Some(_), None) => false,
            }
    });
    if let Some(engine) = known {
        engine.pids = pids;
        engine.home = home.or(engine.home.take());
        engine.config_dir = config_dir.unwrap_or_else(|| std::mem::take(&mut engine.config_dir));
        engine.found_by.push("process".to_owned());
        return;
    }
    let name = unit.as_deref().map_or(product.slug(), |unit| unit.trim_end_matches(".service")).to_owned();
    let config_dir = config_dir.unwrap_or_else(|| default_config_dir(product, home.as_deref()));
    let found_by = vec!["process".to_owned()];
    engines.push(EngineRef {
        name,
        product: Some(product),
        unit,
        config_dir,
        home,
        pids,
        found_by,
        ..EngineRef::default()
    });
}

fn add_package(engines: &mut Vec<EngineRef>, package: &str) {
    let (product, service) = match package {
        "wazuh-indexer" => (Product::Opensearch, "wazuh-indexer"),
        "opensearch" => (Product::Opensearch, "opensearch"),
        _ => (Product::Elasticsearch, "elasticsearch"),
    };
    let home = format!("/usr/share/{service}");
    let mut owned = false;
    for engine in engines.iter_mut().filter(|engine| engine.home.as_ref() == Some(&home)) {
        engine.package = Some(package.to_owned());
        engine.found_by.push("package".to_owned());
        owned = true;
    }
    if !owned {
        engines.push(EngineRef {
            name: service.to_owned(),
            product: Some(product),
            package: Some(package.to_owned()),
            config_dir: format!("/etc/{service}"),
            home: Some(home),
            found_by: vec!["package".to_owned()],
            ..EngineRef::default()
        });
    }
}

/// The version of the package that owns the home, else that in the name of the engine's own jar.
fn version(facts: &Facts, engine: &EngineRef) -> Option<String> {
    let slug = engine.product?.slug();
    let jar = engine.home.as_ref().and_then(|home| facts.listings.get(&format!("{home}/lib"))).and_then(|names| {
        let number = |name: &String| Some(name.strip_prefix(slug)?.strip_prefix('-')?.strip_suffix(".jar")?.to_owned());
        names.iter().filter_map(number).find(|version| version.starts_with(|c: char| c.is_ascii_digit()))
    });
    jar.or_else(|| {
        // The version of a rebranded package is not the engine's.
        let package = engine.package.as_ref().filter(|package| *package != "wazuh-indexer")?;
        let version = &facts.packages.iter().find(|known| known.name == *package)?.version;
        let upstream = version.split_once(':').map_or(version.as_str(), |(_, rest)| rest);
        Some(upstream.split_once('-').map_or(upstream, |(version, _)| version).to_owned())
    })
}

fn log_file(facts: &Facts, engine: &EngineRef) -> Option<String> {
    let path = engine.config_file();
    let text = match facts.files.get(&path)? {
        FileFact::Text(text) => text.as_str(),
        FileFact::Missing => "",
        FileFact::Unreadable(_) => return None,
    };
    let config = EngineConfig::from_text(&path, text);
    settings::log_file(Some(&config), &engine.arguments, engine.product?, &engine.config_dir, engine.home.as_deref())
}

fn name_uniquely(engines: &mut [EngineRef]) {
    for at in 1..engines.len() {
        let (before, rest) = engines.split_at_mut(at);
        let Some(engine) = rest.first_mut() else { return };
        let taken = |name: &str| before.iter().any(|other| other.name == name);
        if taken(&engine.name) {
            let slug = engine.product.map_or("engine", Product::slug);
            let mark = engine.pids.first().map_or_else(|| at.to_string(), u32::to_string);
            engine.name = format!("{slug}-{mark}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::Package;
    use super::*;

    const PACKAGED: &str = "[Service]\nEnvironment=ES_HOME=/usr/share/elasticsearch\nEnvironment=ES_PATH_CONF=/etc/elasticsearch\nEnvironmentFile=-/etc/default/elasticsearch\nExecStart=/usr/share/elasticsearch/bin/systemd-entrypoint -p ${PID_DIR}/elasticsearch.pid --quiet\n";

    fn unit(name: &str, text: &str) -> UnitFile {
        UnitFile { name: name.to_owned(), text: text.to_owned() }
    }

    fn package(name: &str, version: &str) -> Package {
        Package { name: name.to_owned(), version: version.to_owned() }
    }

    fn process(pid: u32, parent: u32, unit: Option<&str>, command: &str) -> EngineProcess {
        EngineProcess {
            pid,
            parent,
            unit: unit.map(str::to_owned),
            command: command.split(' ').map(str::to_owned).collect(),
            ..EngineProcess::default()
        }
    }

    fn found(facts: &Facts) -> Vec<EngineRef> {
        discover(facts).engines
    }

    #[test]
    fn unit_package_launcher_and_server_are_one_engine() {
        let facts = Facts {
            units: vec![unit("elasticsearch.service", PACKAGED)],
            packages: vec![package("elasticsearch", "8.14.1")],
            processes: vec![
                process(
                    20,
                    10,
                    Some("elasticsearch.service"),
                    "java --module-path /usr/share/elasticsearch/lib -m org.elasticsearch.server/org.elasticsearch.bootstrap.Elasticsearch",
                ),
                process(
                    10,
                    1,
                    Some("elasticsearch.service"),
                    "java -Dcli.name=server -Des.path.home=/usr/share/elasticsearch -Des.path.conf=/etc/elasticsearch org.elasticsearch.launcher.CliToolLauncher",
                ),
            ],
            ..Facts::default()
        };
        let engines = found(&facts);
        assert_eq!(engines.len(), 1, "{engines:?}");
        let engine = &engines[0];
        assert_eq!(engine.name, "elasticsearch");
        assert_eq!(engine.pids, [10, 20]);
        assert_eq!(engine.version.as_deref(), Some("8.14.1"));
        assert_eq!(engine.config_dir, "/etc/elasticsearch");
        assert_eq!(engine.found_by, ["unit", "process", "package"]);
    }

    #[test]
    fn instances_of_a_template_are_told_apart() {
        let template = "Environment=ES_PATH_CONF=/etc/elasticsearch/%i\nExecStart=/usr/share/elasticsearch/bin/elasticsearch -Enode.name=%i\n";
        let facts = Facts {
            units: vec![unit("elasticsearch@a.service", template), unit("elasticsearch@b.service", template)],
            packages: vec![package("elasticsearch", "1:7.17.28-1")],
            processes: vec![process(
                5,
                1,
                Some("elasticsearch@b.service"),
                "java -Des.path.home=/usr/share/elasticsearch -Des.path.conf=/etc/elasticsearch/b org.elasticsearch.bootstrap.Elasticsearch",
            )],
            ..Facts::default()
        };
        let engines = found(&facts);
        let names: Vec<&str> = engines.iter().map(|engine| engine.name.as_str()).collect();
        assert_eq!(names, ["elasticsearch@a", "elasticsearch@b"]);
        assert_eq!(engines[0].config_dir, "/etc/elasticsearch/a");
        assert_eq!(engines[0].arguments, ["node.name=a"]);
        assert!(engines[0].pids.is_empty());
        assert_eq!(engines[1].pids, [5]);
        assert!(engines.iter().all(|engine| engine.version.as_deref() == Some("7.17.28")));
    }

    #[test]
    fn a_tarball_started_by_hand_beside_a_package_that_does_not_run() {
        let mut facts = Facts {
            packages: vec![package("opensearch", "2.19.1")],
            processes: vec![process(
                7,
                6,
                None,
                "/opt/es/jdk/bin/java -Des.path.home=/opt/es -Des.path.conf=/opt/es/config org.elasticsearch.bootstrap.Elasticsearch -Ehttp.port=9201",
            )],
            ..Facts::default()
        };
        let wants = wanted(&facts);
        assert!(wants.listings.contains(&"/opt/es/lib".to_owned()));
        assert!(wants.files.contains(&"/opt/es/config/elasticsearch.yml".to_owned()));
        facts.listings.insert(
            "/opt/es/lib".to_owned(),
            vec!["elasticsearch-core-7.10.2.jar".to_owned(), "elasticsearch-7.10.2.jar".to_owned()],
        );
        let engines = found(&facts);
        assert_eq!(engines.len(), 2);
        assert_eq!((engines[0].name.as_str(), engines[0].version.as_deref()), ("elasticsearch", Some("7.10.2")));
        assert_eq!(
            (engines[1].name.as_str(), engines[1].found_by.as_slice()),
            ("opensearch", &["package".to_owned()][..])
        );
    }

    #[test]
    fn the_environment_file_moves_the_configuration() {
        let mut facts = Facts { units: vec![unit("elasticsearch.service", PACKAGED)], ..Facts::default() };
        assert!(wanted(&facts).files.contains(&"/etc/default/elasticsearch".to_owned()));
        facts
            .files
            .insert("/etc/default/elasticsearch".to_owned(), FileFact::Text("ES_PATH_CONF=/srv/es/\n".to_owned()));
        facts.files.insert("/etc/elasticsearch/elasticsearch.yml".to_owned(), FileFact::Missing);
        assert!(wanted(&facts).files.contains(&"/srv/es/elasticsearch.yml".to_owned()));
        assert_eq!(found(&facts)[0].config_dir, "/srv/es");
    }

    #[test]
    fn asking_for_what_is_wanted_comes_to_an_end() {
        let mut facts = Facts { units: vec![unit("elasticsearch.service", PACKAGED)], ..Facts::default() };
        for _ in 0..4 {
            let wants = wanted(&facts);
            facts.files.extend(wants.files.into_iter().map(|path| (path, FileFact::Missing)));
            facts.listings.extend(wants.listings.into_iter().map(|path| (path, Vec::new())));
        }
        assert!(wanted(&facts).is_empty());
    }

    #[test]
    fn configuration_left_behind_is_seen_and_nothing_is_nothing() {
        assert_eq!(discover(&Facts::default()), Engines::default());
        let mut facts = Facts::default();
        facts
            .files
            .insert("/etc/elasticsearch/elasticsearch.yml".to_owned(), FileFact::Unreadable("denied".to_owned()));
        assert_eq!(found(&facts)[0].found_by, ["config"]);
    }

    #[test]
    fn containers_are_a_gap_and_lookalikes_are_nothing() {
        let mut inside = process(9, 1, None, "java org.opensearch.bootstrap.OpenSearch");
        inside.container = true;
        let facts = Facts {
            processes: vec![inside],
            units: vec![unit("kibana.service", "After=elasticsearch.service\nExecStart=/usr/share/kibana/bin/kibana")],
            ..Facts::default()
        };
        let seen = discover(&facts);
        assert!(seen.engines.is_empty());
        assert_eq!(seen.problems.len(), 1);
    }

    #[test]
    fn two_by_hand_get_two_names() {
        let run = |pid, conf: &str| {
            process(
                pid,
                1,
                Some("cron.service"),
                &format!("java -Des.path.conf={conf} org.elasticsearch.bootstrap.Elasticsearch"),
            )
        };
        let facts = Facts { processes: vec![run(8, "/a"), run(9, "/b")], ..Facts::default() };
        let names: Vec<String> = found(&facts).into_iter().map(|engine| engine.name).collect();
        assert_eq!(names, ["elasticsearch", "elasticsearch-9"]);
    }
}
