//! Every step on a host in a directory: what it needs, what it does, and that undoing leaves what was there, however far it came.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use common_plan::{ConfigInstall, Digest, Limit, LimitValue, Service, Sysctl, SysctlFile, SysctlSet, UnitLimit, Verb};
use tempfile::TempDir;

use super::*;

const CONF: &str = "/etc/sysctl.d/60-elasticsearch.conf";

struct Host {
    _root: TempDir,
    places: Places,
}

impl Host {
    fn new(unit: &str) -> Self {
        let root = TempDir::new().unwrap();
        let host = Self { places: Places::below(root.path().to_owned()), _root: root };
        host.write("/proc/sys/vm/max_map_count", "65530\n");
        host.write("/usr/bin/state", unit);
        host.write("/usr/bin/at-boot", "disabled");
        let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/systemctl");
        symlink(stand_in, host.places.at("/usr/bin/systemctl")).unwrap();
        host
    }

    fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(self.places.at(path).parent().unwrap()).unwrap();
        fs::write(self.places.at(path), content).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.places.at(path)).ok()
    }

    /// Everything that a step may change.
    fn state(&self) -> Vec<Option<String>> {
        let drop_ins = ["/etc/systemd/system/es.service.d/60-dialtone.conf", TRIAL];
        let files = std::iter::once(CONF).chain(drop_ins).map(|path| self.read(path));
        std::iter::once(Some(self.live())).chain(files).collect()
    }

    /// The value. Unlike the kernel's own, the file in its place keeps what a shorter line does not overwrite.
    fn live(&self) -> String {
        self.read("/proc/sys/vm/max_map_count").unwrap().trim().to_owned()
    }

    /// What systemctl was asked to change.
    fn jobs(&self) -> Vec<String> {
        let calls = self.read("/usr/bin/calls").unwrap_or_default();
        calls.lines().filter(|call| !call.starts_with("show")).map(str::to_owned).collect()
    }

    fn observe(&self, step: &Step) -> Result<Before, Refusal> {
        observe(step, &id(), &self.places)
    }

    fn apply(&self, step: &Step, before: &Before) {
        apply(step, before, &id(), &self.places).unwrap();
    }

    fn persist(&self, step: &Step, before: &Before) {
        persist(step, before, &id(), &self.places).unwrap();
    }

    fn undo(&self, step: &Step, before: &Before) -> Result<(), String> {
        undo(step, before, &id(), &self.places)
    }
}

const TRIAL: &str = "/run/systemd/system/es.service.d/61-dialtone-trial.conf";

fn id() -> PlanId {
    "0123456789abcdef".parse().unwrap()
}

fn sysctl(from: Option<&str>, start: bool) -> Step {
    Step::SysctlSet(SysctlSet {
        key: Sysctl::MaxMapCount,
        from: 65530,
        to: 262_144,
        persist: Some(SysctlFile {
            name: Some("60-elasticsearch.conf".parse().unwrap()),
            from: from.map(str::to_owned),
        }),
        start: start.then(|| "es.service".parse().unwrap()),
    })
}

fn limit() -> Step {
    Step::UnitLimit(UnitLimit {
        unit: "es.service".parse().unwrap(),
        limits: [(Limit::Memlock, LimitValue::Infinity)].into(),
        from: None,
        start: Some("es.service".parse().unwrap()),
    })
}

/// However far a step came, undoing it brings back what was there, and undoing it again changes nothing.
#[test]
fn undoing_brings_back_what_was_there_from_wherever_it_stopped() {
    for step in [sysctl(Some("65530"), false), sysctl(Some("65530"), true), limit()] {
        for stage in 0..3 {
            let host = Host::new("failed");
            host.write(CONF, "# ours\nvm.max_map_count=65530\n");
            let old = host.state();
            let before = host.observe(&step).unwrap();
            if stage > 0 {
                host.apply(&step, &before);
                assert_ne!(host.state(), old);
            }
            if stage > 1 {
                host.persist(&step, &before);
            }
            for _ in 0..2 {
                host.undo(&step, &before).unwrap();
                assert_eq!(host.state(), old, "{step:?} stopped after {stage}");
                let unit = host.read("/usr/bin/state").unwrap();
                assert!(matches!(unit.trim(), "failed" | "inactive") || step.starts().is_none(), "{unit}");
            }
        }
    }
}

#[test]
fn a_value_lasts_in_its_file_and_starts_what_failed_for_want_of_it() {
    let (host, step) = (Host::new("failed"), sysctl(None, true));
    let before = host.observe(&step).unwrap();
    host.apply(&step, &before);
    assert_eq!(host.live(), "262144");
    assert_eq!(host.read(CONF), None, "nothing lasts before it is confirmed");
    assert_eq!(host.jobs(), ["start --no-block -- es.service"]);
    host.persist(&step, &before);
    assert_eq!(host.read(CONF).unwrap(), "vm.max_map_count = 262144\n");
}

#[test]
fn a_unit_that_runs_is_neither_started_nor_stopped() {
    let (host, step) = (Host::new("active"), sysctl(None, true));
    let before = host.observe(&step).unwrap();
    host.apply(&step, &before);
    host.undo(&step, &before).unwrap();
    assert_eq!(host.jobs(), [""; 0]);
}

#[test]
fn what_is_not_as_the_plan_says_refuses_it() {
    let host = Host::new("active");
    assert!(matches!(host.observe(&sysctl(Some("65530"), false)), Err(Refusal::Changed(_))), "no such line");
    host.write(CONF, "vm.max_map_count = 1\n");
    assert!(matches!(host.observe(&sysctl(None, false)), Err(Refusal::Changed(_))), "such a line");
    host.write("/proc/sys/vm/max_map_count", "65531\n");
    assert!(matches!(host.observe(&sysctl(Some("1"), false)), Err(Refusal::Changed(_))), "another value");
    host.write(TRIAL, "");
    assert!(matches!(host.observe(&limit()), Err(Refusal::Changed(_))), "a trial of somebody else");
    let start = Step::Service(Service {
        unit: "es.service".parse().unwrap(),
        verb: Verb::Start,
        from: "failed".parse().unwrap(),
        enable: false,
    });
    assert!(matches!(host.observe(&start), Err(Refusal::Changed(_))), "it runs");
    fs::remove_file(host.places.at(CONF)).unwrap();
    symlink("/etc/passwd", host.places.at(CONF)).unwrap();
    host.write("/proc/sys/vm/max_map_count", "65530\n");
    assert!(matches!(host.observe(&sysctl(None, false)), Err(Refusal::Impossible(_))), "a link");
}

#[test]
fn what_somebody_else_made_of_a_file_stays() {
    let (host, step) = (Host::new("active"), sysctl(None, false));
    let before = host.observe(&step).unwrap();
    host.apply(&step, &before);
    host.write(CONF, "theirs\n");
    assert!(persist(&step, &before, &id(), &host.places).unwrap_err().contains("changed by somebody else"));
    assert!(host.undo(&step, &before).unwrap_err().contains(CONF));
    assert_eq!(host.read(CONF).unwrap(), "theirs\n");
    assert_eq!(host.live(), "65530", "the rest is undone all the same");
}

#[test]
fn limits_are_tried_below_run_and_last_below_etc() {
    let (host, step) = (Host::new("failed"), limit());
    let before = host.observe(&step).unwrap();
    host.apply(&step, &before);
    let content = "# Written by Dialtone.\n[Service]\nLimitMEMLOCK=infinity\n";
    assert_eq!(host.state()[2..], [None, Some(content.to_owned())]);
    host.persist(&step, &before);
    assert_eq!(host.state()[2..], [Some(content.to_owned()), None]);
    assert_eq!(host.jobs(), ["daemon-reload", "start --no-block -- es.service", "daemon-reload"]);
}

/// The limits are gone at once, so that systemd shows what the unit has without them, and back unless that is confirmed.
#[test]
fn limits_are_taken_away_and_put_back_unless_that_is_confirmed() {
    let (host, raise) = (Host::new("active"), limit());
    let before = host.observe(&raise).unwrap();
    host.apply(&raise, &before);
    host.persist(&raise, &before);
    let raised = host.state();
    let Step::UnitLimit(UnitLimit { unit, .. }) = raise else { unreachable!() };
    let content = raised[2].clone().unwrap();
    let from = Some(Digest::of(content.as_bytes()));
    let back = Step::UnitLimit(UnitLimit { unit, limits: [].into(), from, start: None });
    let before = host.observe(&back).unwrap();
    host.apply(&back, &before);
    assert_eq!(host.state()[2..], [None, None]);
    host.undo(&back, &before).unwrap();
    assert_eq!(host.state(), raised);
    host.undo(&back, &before).unwrap();
    host.apply(&back, &before);
    host.persist(&back, &before);
    assert_eq!(host.state()[2..], [None, None]);
    let changes = host.jobs().iter().filter(|job| *job != "daemon-reload").count();
    assert_eq!(changes, 0, "a unit that runs is left running: {:?}", host.jobs());
    host.write("/etc/systemd/system/es.service.d/60-dialtone.conf", "theirs\n");
    assert!(matches!(host.observe(&back), Err(Refusal::Changed(_))), "another file");
}

#[test]
fn a_disabled_unit_is_enabled_once_it_was_seen_to_run_and_disabled_again_where_it_was_not() {
    let (host, unit) = (Host::new("inactive"), "es.service".parse().unwrap());
    let step = Step::Service(Service { unit, verb: Verb::Start, from: "inactive".parse().unwrap(), enable: true });
    let before = host.observe(&step).unwrap();
    host.apply(&step, &before);
    assert_eq!(host.jobs(), ["start --no-block -- es.service"]);
    host.persist(&step, &before);
    host.undo(&step, &before).unwrap();
    let back = ["enable -- es.service", "stop --no-block -- es.service", "disable -- es.service"];
    assert_eq!(host.jobs()[1..], back);
    host.undo(&step, &before).unwrap();
    assert_eq!(host.jobs()[1..], back, "nothing is left to undo");
    host.write("/usr/bin/at-boot", "masked");
    assert!(matches!(host.observe(&step), Err(Refusal::Changed(_))), "it was masked meanwhile");
}

#[test]
fn a_restart_is_a_restart() {
    let host = Host::new("active");
    let unit = "es.service".parse().unwrap();
    let step = Step::Service(Service { unit, verb: Verb::Restart, from: "active".parse().unwrap(), enable: false });
    let before = host.observe(&step).unwrap();
    host.apply(&step, &before);
    host.undo(&step, &before).unwrap();
    assert_eq!(host.jobs(), ["restart --no-block -- es.service"]);
}

const YML: &str = "/etc/elasticsearch/elasticsearch.yml";
const OLD: &str = "# ours\ncluster.name: logs\nhttp.host: _local_\n# the rest\n";
const NEW: &str = "# ours\ncluster.name: logs\nhttp.host: 0.0.0.0\n# the rest\n";

fn install() -> Step {
    let edit = r#"{"edit":"set","key":"http.host","from":"_local_","to":"0.0.0.0"}"#;
    Step::ConfigInstall(ConfigInstall {
        file: YML.parse().unwrap(),
        edits: vec![serde_json::from_str(edit).unwrap()],
        from: Digest::of(OLD.as_bytes()),
        to: Digest::of(NEW.as_bytes()),
        unit: "es.service".parse().unwrap(),
        state: "active".parse().unwrap(),
    })
}

/// A host whose unit has runs, as systemd has.
fn running() -> Host {
    let host = Host::new("active");
    let stand_in = "#!/bin/sh\nhere=${0%/*}\necho \"$*\" >>\"$here/calls\"\ncase \"$*\" in\n*InvocationID*) cat \"$here/run\" ;;\n\
                    show*) cat \"$here/state\" ;;\nrestart*) echo x >>\"$here/run\" ;;\nesac\n";
    fs::remove_file(host.places.at("/usr/bin/systemctl")).unwrap();
    host.write("/usr/bin/systemctl", stand_in);
    fs::set_permissions(host.places.at("/usr/bin/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    host.write("/usr/bin/run", "x\n");
    host.write(YML, OLD);
    fs::create_dir_all(host.places.plan(&id())).unwrap();
    host
}

fn restarts(host: &Host) -> usize {
    host.jobs().iter().filter(|job| job.starts_with("restart")).count()
}

#[test]
fn a_file_gets_exactly_the_approved_edits_and_its_engine_one_restart_each_way() {
    let (host, step) = (running(), install());
    let before = host.observe(&step).unwrap();
    host.apply(&step, &before);
    assert_eq!((host.read(YML).as_deref(), restarts(&host)), (Some(NEW), 1));
    host.undo(&step, &before).unwrap();
    assert_eq!((host.read(YML).as_deref(), restarts(&host)), (Some(OLD), 2));
    // Undoing that was cut short is undone again, and nothing is restarted twice.
    host.undo(&step, &before).unwrap();
    assert_eq!((host.read(YML).as_deref(), restarts(&host)), (Some(OLD), 2));
}

#[test]
fn an_engine_that_was_not_restarted_yet_is_not_by_the_undoing() {
    let (host, step) = (running(), install());
    let before = host.observe(&step).unwrap();
    host.write(YML, NEW);
    host.undo(&step, &before).unwrap();
    assert_eq!((host.read(YML).as_deref(), restarts(&host)), (Some(OLD), 0));
}

#[test]
fn a_file_that_is_another_or_becomes_another_is_not_touched() {
    let host = running();
    host.write(YML, &format!("{OLD}node.name: x\n"));
    assert!(matches!(host.observe(&install()), Err(Refusal::Changed(_))));
    host.write(YML, OLD);
    let Step::ConfigInstall(mut other) = install() else { unreachable!() };
    other.to = Digest::of(b"something else");
    assert!(matches!(host.observe(&Step::ConfigInstall(other)), Err(Refusal::Impossible(_))));
    let before = host.observe(&install()).unwrap();
    host.apply(&install(), &before);
    let theirs = format!("{NEW}# mine\n");
    host.write(YML, &theirs);
    assert!(host.undo(&install(), &before).unwrap_err().contains("somebody else"));
    assert_eq!((host.read(YML), restarts(&host)), (Some(theirs), 1));
}
