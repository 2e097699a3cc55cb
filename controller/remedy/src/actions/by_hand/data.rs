//! Starts that fail for the data, plugins and keystore that are on the disk.

use common_model::probe::Product;

use super::{Told, words};
use crate::ask::{Ask, shown};
use crate::shell;

pub(super) fn data_path_locked(ask: &Ask<'_>) -> Told {
    let at = words::path(ask.message()).map(|path| format!(" {}", shown(path))).unwrap_or_default();
    Told {
        title: format!("Stop the other instance that uses the data directory{at}{}, then start the engine", ask.on_node()),
        commands: ["pgrep -af 'bootstrap[.](Elasticsearch|OpenSearch)'".to_owned()].into_iter().chain(ask.restart()).collect(),
        risk: "Two instances on one directory destroy it, which the lock prevents: never delete node.lock. Stop the other by its own unit and wait until its process is gone.".to_owned(),
        ..Told::default()
    }
}

/// The directories of the packages are given back to the engine's user whole. Any other is named by the node, and is for a person
/// to judge: it may be a part of the system that must never be the engine's.
pub(super) fn path_permission(ask: &Ask<'_>) -> Told {
    let (on, user, message) = (ask.on_node(), ask.user(), ask.message());
    let path = words::path(message).and_then(shell::path);
    let what = path.clone().unwrap_or_else(|| "the path that the engine names".to_owned());
    let show = path.clone().map(|path| format!("sudo namei -l {path}"));
    if message.contains("Read-only file system") {
        let unit =
            ask.unit().map(|unit| format!("systemctl show -p ProtectSystem -p ReadWritePaths -p ReadOnlyPaths {unit}"));
        let mount = path.map(|path| format!("findmnt --target {path}"));
        return Told {
            title: format!("Let the engine write to {what}{on}: its mount, or its unit, says read-only"),
            commands: mount.into_iter().chain(unit).collect(),
            risk:
                "A disk that fails is mounted read-only by the kernel: look at journalctl -k before it is mounted anew."
                    .to_owned(),
            ..Told::default()
        };
    }
    let slug = ask.product().slug();
    let packaged = [format!("/var/lib/{slug}"), format!("/var/log/{slug}")];
    let own =
        path.as_ref().and_then(|path| packaged.iter().find(|own| path == *own || path.starts_with(&format!("{own}/"))));
    let give = own.map(|own| format!("sudo chown -R {user}: {own}"));
    let then = if give.is_some() { ask.restart() } else { Vec::new() };
    Told {
        title: format!("Give {user} access to {what}{on}"),
        commands: show.into_iter().chain(give).chain(then).collect(),
        risk: format!(
            "Every directory above it has to let {user} through, too. Where owner and mode are right, SELinux or AppArmor may refuse: sudo ausearch -m avc -ts recent."
        ),
        ..Told::default()
    }
}

pub(super) fn disk_full(ask: &Ask<'_>) -> Told {
    let slug = ask.product().slug();
    let settings = ask.engine.as_ref().map(|engine| engine.settings());
    let of = |values: Option<Vec<String>>, default: &str| match values {
        Some(values) if !values.is_empty() => values.iter().filter_map(|path| shell::path(path)).collect(),
        _ => vec![format!("/var/{default}/{slug}")],
    };
    let mut paths: Vec<String> = of(settings.as_ref().map(|set| set.path_data.values.clone()), "lib");
    paths.extend(of(settings.map(|set| set.path_logs.values), "log"));
    let paths = paths.join(" ");
    Told {
        title: format!("Make room on the full disk{}, then start the engine", ask.on_node()),
        commands: [
            format!("df -h {paths} /tmp"),
            format!("df -i {paths} /tmp"),
            format!("sudo du -xh --max-depth=1 {paths} | sort -h | tail"),
        ]
        .into_iter()
        .chain(ask.restart())
        .collect(),
        risk: "Grow the disk, or take away what is not the engine's. Below its data directory nothing may be deleted by hand: indices are deleted through the engine once it is up.".to_owned(),
        ..Told::default()
    }
}

/// The version that the data needs next: the one that wrote it, or the one on the way that the message names.
pub(super) fn data_incompatible(ask: &Ask<'_>) -> Told {
    let versions = words::versions(ask.message());
    let wanted = match versions.as_slice() {
        [_, _, through] => Some(*through),
        [wrote, ..] => Some(*wrote),
        [] => None,
    };
    let package =
        ask.engine.as_ref().and_then(|engine| engine.engine.package.as_deref()).filter(|name| shell::is_name(name));
    let os = ask.host().map(|host| host.os).unwrap_or_default();
    let install = wanted.zip(package).and_then(|(version, package)| install(&os, package, version));
    Told {
        title: match wanted {
            Some(version) => format!("Install {} {version}{}, which its data needs", ask.product().title(), ask.on_node()),
            None => format!("Install the version{} that its data needs: {}", ask.on_node(), shown(ask.message())),
        },
        commands: install.into_iter().chain(ask.restart()).collect(),
        risk: "Never delete the data directory to get past this: it is the data. A later version writes it so that no earlier one reads it; take a snapshot before the next upgrade.".to_owned(),
        ..Told::default()
    }
}

/// By the package manager of the systems the engines have packages for.
fn install(os: &str, package: &str, version: &str) -> Option<String> {
    const RPM: [&str; 7] = ["Red Hat", "CentOS", "Rocky", "AlmaLinux", "Fedora", "Amazon", "Oracle"];
    if os.contains("Debian") || os.contains("Ubuntu") {
        return Some(format!("sudo apt-get install --allow-downgrades {package}={version}"));
    }
    RPM.iter().any(|name| os.contains(name)).then(|| format!("sudo yum install {package}-{version}"))
}

pub(super) fn plugin(ask: &Ask<'_>) -> Told {
    let program = ask.program("plugin");
    let name = words::plugin(ask.message());
    let commands = match (&program, name) {
        (Some(program), Some(name)) => {
            let both = [format!("sudo {program} remove {name}"), format!("sudo {program} install {name}")];
            both.into_iter().chain(ask.restart()).collect()
        }
        (Some(program), None) => vec![format!("sudo {program} list")],
        (None, _) => Vec::new(),
    };
    Told {
        title: format!("Replace the plugin {}{} by its build for this version", name.unwrap_or("of another version"), ask.on_node()),
        commands,
        risk: "A plugin that is not the vendor's is installed from its own address instead of by its name. Its configuration stays.".to_owned(),
        ..Told::default()
    }
}

/// The password goes through a file that only the engine's user reads, and that is gone afterwards.
pub(super) fn keystore(ask: &Ask<'_>) -> Told {
    let variable = match ask.product() {
        Product::Elasticsearch => "ES_KEYSTORE_PASSPHRASE_FILE",
        Product::Opensearch => "OPENSEARCH_KEYSTORE_PASSPHRASE_FILE",
    };
    let file = format!("/run/{}-keystore-passphrase", ask.product().slug());
    let commands = ask.unit().map(|unit| {
        vec![
            format!(
                "sudo sh -c \"systemd-ask-password 'Keystore password:' | install -m 0400 -o {} /dev/stdin {file}\"",
                ask.user()
            ),
            format!("sudo systemctl set-environment {variable}={file}"),
            format!("sudo systemctl restart {unit}"),
            format!("sudo systemctl unset-environment {variable}"),
            format!("sudo rm {file}"),
        ]
    });
    Told {
        title: format!("Start {}{} with the password of its keystore", ask.who(), ask.on_node()),
        commands: commands.unwrap_or_default(),
        risk: "If the password is right and the engine still refuses, the keystore is damaged: put it back from a backup, never make a new one over it.".to_owned(),
        ..Told::default()
    }
}
