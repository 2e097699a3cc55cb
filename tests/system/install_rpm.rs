//! The .rpm packages, put in and taken out by rpm on a running host: files, users, units and scriptlets.
//!
//! The host is a Debian system with rpm in it. rpm's database is empty there, so what a package requires is looked at and
//! not resolved; everything else is as on a system that lives by rpm.

use std::collections::BTreeSet;

use system_tests::lab::Host;
use system_tests::packages;

const PACKAGES: [&str; 3] = ["dialtone", "dialtone-agent", "dialtone-controller"];

#[test]
fn rpm_installs_upgrades_and_removes() {
    let host = Host::boot_with("rpm", &["rpm"]).unwrap();
    for name in PACKAGES {
        host.copy_in(&packages::rpm(name).unwrap(), &file(name)).unwrap();
        requires_only_the_system(&host, name);
        host.check(&["rpm", "--install", "--nodeps", &file(name)]).unwrap();
        assert_eq!(host.check(&["rpm", "--verify", "--nodeps", name]).unwrap(), "");
        runs(&host, name);
    }
    host.check(&["dialtone-controller", "init", "--san", "rpm"]).unwrap();
    host.check(&["systemctl", "enable", "--now", "dialtone-controller"]).unwrap();
    host.check(&["systemctl", "start", "dialtone-agent"]).unwrap();
    assert_eq!(property(&host, "dialtone-agent", "ConditionResult"), "no", "it waits for `join`");
    assert_eq!(property(&host, "dialtone-agent", "ActiveState"), "inactive");
    let state = host.check(&["stat", "--format=%U %a", "/var/lib/dialtone-agent"]).unwrap();
    assert_eq!(state.trim(), "dialtone-agent 700");

    let before = property(&host, "dialtone-controller", "MainPID");
    host.check(&["rpm", "--upgrade", "--replacepkgs", "--nodeps", &file("dialtone-controller")]).unwrap();
    assert_eq!(property(&host, "dialtone-controller", "ActiveState"), "active");
    assert_ne!(property(&host, "dialtone-controller", "MainPID"), before, "an upgrade restarts what ran");
    assert_eq!(property(&host, "dialtone-controller", "UnitFileState"), "enabled");
    assert_eq!(property(&host, "dialtone-agent", "ActiveState"), "inactive");

    let installed = PACKAGES.map(|name| host.check(&["rpm", "--query", "--list", name]).unwrap()).concat();
    host.check(&[&["rpm", "--erase"], &PACKAGES[..]].concat()).unwrap();
    assert_eq!(property(&host, "dialtone-controller", "LoadState"), "not-found");
    let there = |path: &&str| host.run(&["test", "-e", path]).unwrap().success();
    assert_eq!(installed.lines().filter(there).collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(!there(&"/usr/share/doc/dialtone"), "a folder of its own goes with it");
    // rpm knows no purge: keys and evidence stay until they are deleted by hand.
    host.check(&["test", "-e", "/etc/dialtone/controller.yaml"]).unwrap();
    host.check(&["test", "-e", "/var/lib/dialtone-controller/ca"]).unwrap();
}

/// Shared libraries of the C runtime, systemd, and a shell for the scriptlets: what every system that uses rpm has.
fn requires_only_the_system(host: &Host, name: &str) {
    let required = host.check(&["rpm", "--query", "--requires", "--package", &file(name)]).unwrap();
    let required: BTreeSet<&str> = required.lines().map(|line| line.split(['(', ' ']).next().unwrap()).collect();
    let known = ["/bin/sh", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libgcc_s.so.1", "libm.so.6"];
    let unknown: Vec<&&str> = required.iter().filter(|word| !known.contains(*word)).collect();
    // `config` is the package's own: its configuration files of this very version.
    let own = |word: &&&str| !["rpmlib", "rtld", "systemd", "config"].contains(*word);
    assert_eq!(unknown.into_iter().filter(own).collect::<Vec<_>>(), Vec::<&&str>::new());
}

fn runs(host: &Host, name: &str) {
    host.check(&[name, "--version"]).unwrap();
    for path in [
        format!("/usr/share/man/man1/{name}.1.gz"),
        format!("/usr/share/bash-completion/completions/{name}"),
        format!("/usr/share/zsh/site-functions/_{name}"),
        format!("/usr/share/fish/vendor_completions.d/{name}.fish"),
    ] {
        host.check(&["test", "-s", &path]).unwrap();
    }
}

fn file(name: &str) -> String {
    format!("/var/cache/{name}.rpm")
}

fn property(host: &Host, unit: &str, name: &str) -> String {
    host.check(&["systemctl", "show", unit, "--value", "--property", name]).unwrap().trim().to_owned()
}
