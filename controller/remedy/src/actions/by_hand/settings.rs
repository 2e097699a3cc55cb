//! Starts that fail for what the configuration says.

use super::{Told, words, yml};
use crate::actions::unit_limit::wanted_address;
use crate::ask::{Ask, shown};
use crate::shell;

pub(super) fn syntax(ask: &Ask<'_>) -> Told {
    let line: Option<u64> = ask.number("line");
    let at = line.map(|line| format!(":{line}")).unwrap_or_default();
    let around = |yml: String| match line {
        Some(line) => format!("sudo sed -n '{},{}p' {yml}", line.saturating_sub(2).max(1), line.saturating_add(2)),
        None => format!("sudo cat {yml}"),
    };
    Told {
        title: format!("Correct {}{at}{}, then start the engine", yml(ask), ask.on_node()),
        commands: ask.yml().map(around).into_iter().chain(ask.restart()).collect(),
        risk: "The loader stops at the first fault: there may be another below it.".to_owned(),
        ..Told::default()
    }
}

pub(super) fn unknown_setting(ask: &Ask<'_>) -> Told {
    let key = ask.detail("key").unwrap_or_default();
    let (name, on) = (shown(key), ask.on_node());
    if ask.message().contains("secure setting") && ask.number::<u64>("line").is_none() {
        return secure_setting(ask, key);
    }
    let title = match ask.number::<u64>("line") {
        Some(line) => format!("Correct or take out {name} in {}:{line}{on}, then start the engine", yml(ask)),
        None => format!("Take {name} out of wherever it is set{on}, then start the engine: the yml does not show it"),
    };
    let search =
        shell::word(key).zip(ask.config_dir()).map(|(key, config)| format!("sudo grep -rnsF -e {key} {config}"));
    let unit = ask.unit().map(|unit| format!("systemctl cat {unit}"));
    Told {
        title,
        commands: search.into_iter().chain(unit).chain(ask.restart()).collect(),
        risk: "What it was set for has another name in this version, needs a plugin that is not there, or is no more."
            .to_owned(),
        ..Told::default()
    }
}

/// The value cannot be read back once it is out, so the keystore is kept.
fn secure_setting(ask: &Ask<'_>, key: &str) -> Told {
    let keystore = ask.config_dir().map(|config| format!("{config}/{}.keystore", ask.product().slug()));
    let commands = match (shell::word(key).filter(|_| !key.starts_with('-')), ask.program("keystore"), &keystore) {
        (Some(key), Some(program), Some(file)) => {
            let kept = format!("sudo cp -p {file} {file}.before");
            [kept, format!("sudo {program} remove {key}")].into_iter().chain(ask.restart()).collect()
        }
        _ => Vec::new(),
    };
    Told {
        title: format!("Take {} out of the keystore{}, then start the engine", shown(key), ask.on_node()),
        commands,
        risk: "A plugin that is not there may want it back: the first command keeps the keystore as it is.".to_owned(),
        undo: keystore.map(|file| format!("sudo cp -p {file}.before {file}")).unwrap_or_default(),
    }
}

pub(super) fn setting_missing(ask: &Ask<'_>) -> Told {
    let search = ask.yml().map(|yml| format!("sudo grep -nE 'ssl|security' {yml}"));
    Told {
        title: format!("Add to {}{} what the engine asks for: {}", yml(ask), ask.on_node(), shown(ask.message())),
        commands: search.into_iter().chain(ask.restart()).collect(),
        risk: "Where it asks for a key and certificate, give it those: with security switched off, whoever reaches the port can read and delete all data.".to_owned(),
        ..Told::default()
    }
}

pub(super) fn bind_address(ask: &Ask<'_>) -> Told {
    let search = ask.yml().map(|yml| format!("sudo grep -n host {yml}"));
    let address = wanted_address(ask.message());
    let what = address.map_or_else(|| "the address it is told to bind to".to_owned(), |address| address.to_string());
    Told {
        title: format!("Give {} {what}, or tell the engine another address in {}", ask.node_name(), yml(ask)),
        commands: ["ip -brief address".to_owned()].into_iter().chain(search).chain(ask.restart()).collect(),
        risk: "0.0.0.0 would bind too, and opens the engine on every network the machine is in.".to_owned(),
        ..Told::default()
    }
}

pub(super) fn port_taken(ask: &Ask<'_>) -> Told {
    let (on, port) = (ask.on_node(), ask.number::<u16>("port"));
    let holder = ask.detail("holder").map(shown);
    let sockets = ask.engine.as_ref().and_then(|engine| engine.sockets.known());
    let is_free =
        |port: &u16| sockets.is_some_and(|sockets| sockets.value.listeners.iter().all(|held| held.port != *port));
    if let Some(port) = port.filter(is_free) {
        return Told {
            title: format!("Start {}{on} again: port {port} is free by now", ask.who()),
            commands: ask.restart(),
            risk: "What held the port may come back first, as after a boot.".to_owned(),
            ..Told::default()
        };
    }
    let what = port.map_or_else(|| "its port".to_owned(), |port| format!("port {port}"));
    let by = holder.map(|holder| format!(", which {holder} holds")).unwrap_or_default();
    let filter = port.map(|port| format!(" 'sport = :{port}'")).unwrap_or_default();
    Told {
        title: format!("Free {what}{on}{by}, then start the engine"),
        commands: [format!("sudo ss -ltnp{filter}")].into_iter().chain(ask.restart()).collect(),
        risk: "Find out what the other process is for before it is stopped. An older instance of the engine is stopped by its own unit.".to_owned(),
        ..Told::default()
    }
}

pub(super) fn file_missing(ask: &Ask<'_>) -> Told {
    let file = words::path(ask.message());
    let named = file.and_then(|file| {
        let settings = &ask.config()?.settings;
        let setting = settings
            .iter()
            .find(|setting| setting.values.iter().any(|value| file.ends_with(value.as_str()) && !value.is_empty()))?;
        Some(format!(", or correct {} in {}:{}", shown(&setting.key), yml(ask), setting.line))
    });
    let named = named.unwrap_or_else(|| ", or correct the setting that names it".to_owned());
    let absolute = file.and_then(|file| match file.starts_with('/') {
        true => shell::path(file),
        false => shell::path(&format!("{}/{file}", ask.engine.as_ref()?.engine.config_dir)),
    });
    let what = file.map_or_else(|| "the file that is missing".to_owned(), shown);
    Told {
        title: format!("Put {what} in its place{}{named}, then start the engine", ask.on_node()),
        commands: absolute.map(|file| format!("sudo namei -l {file}")).into_iter().chain(ask.restart()).collect(),
        risk: format!("It has to be readable by {}; a private key by nobody else.", ask.user()),
        ..Told::default()
    }
}
