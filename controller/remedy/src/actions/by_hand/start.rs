//! Starts themselves: by whom, by what, and how long they may take.

use super::Told;
use crate::ask::Ask;
use crate::shell;

pub(super) fn patience(ask: &Ask<'_>) -> Told {
    Told {
        title: format!("Give the engine{} more time to start: TimeoutStartSec= of its unit", ask.on_node()),
        risk: "An engine that hangs at its start is then ended later.".to_owned(),
        ..Told::default()
    }
}

pub(super) fn root(ask: &Ask<'_>) -> Told {
    let user = ask.user();
    let title = match ask.unit() {
        Some(unit) => format!("Start it by its unit{}, which runs it as {user}: {unit}", ask.on_node()),
        None => format!("Start it as a user of its own{}, to whom its data and logs belong", ask.on_node()),
    };
    Told {
        title,
        commands: ask.restart(),
        risk: format!("What was run as root may have left files that {user} cannot write."),
        ..Told::default()
    }
}

pub(super) fn start(ask: &Ask<'_>) -> Told {
    let slug = ask.product().slug();
    let home =
        ask.engine.as_ref().and_then(|engine| engine.engine.home.as_deref()).map(|home| home.trim_end_matches('/'));
    let program = home.and_then(|home| shell::path(&format!("{home}/bin/{slug}")));
    Told {
        title: format!(
            "Start {}{} the way it was started before: it has no unit that can be named here",
            ask.who(),
            ask.on_node()
        ),
        commands: program.map(|program| format!("{program} -d")).into_iter().collect(),
        risk: "As the user that its data belongs to, never as root. Make sure that whoever stopped it is done."
            .to_owned(),
        ..Told::default()
    }
}
