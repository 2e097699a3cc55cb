//! Drop-ins of a unit: they outlive the package's next version of it, and take one file away to be undone.

use crate::ask::Ask;
use crate::shell;

/// Commands that put lines into a unit and start it anew, and what undoes them.
pub(crate) struct DropIn {
    /// In order.
    pub(crate) commands: Vec<String>,
    /// Takes the lines out again; the unit runs with them until its next start.
    pub(crate) undo: String,
}

/// A drop-in with these lines in this section, named after its topic. None where the engine has no unit, or a line cannot be
/// pasted.
pub(crate) fn drop_in(ask: &Ask<'_>, topic: &str, section: &str, lines: &[String]) -> Option<DropIn> {
    let unit = ask.unit()?;
    let existing = ask.engine.as_ref()?.unit.known().map(|unit| unit.value.drop_ins.as_slice()).unwrap_or_default();
    let directory = format!("/etc/systemd/system/{unit}.d");
    let file = format!("{directory}/{}", name(topic, existing));
    let mut words = vec![shell::word(section)?];
    words.extend(lines.iter().map(|line| shell::word(line)).collect::<Option<Vec<_>>>()?);
    let mut commands = vec![
        format!("sudo mkdir -p {directory}"),
        format!("printf '%s\\n' {} | sudo tee {file}", words.join(" ")),
        "sudo systemctl daemon-reload".to_owned(),
    ];
    commands.extend(ask.restart());
    Some(DropIn { commands, undo: format!("sudo rm {file} && sudo systemctl daemon-reload") })
}

/// systemd reads drop-ins in the order of their names, whatever directory they are in, and the last one wins.
fn name(topic: &str, existing: &[String]) -> String {
    let own = format!("60-dialtone-{topic}.conf");
    let later = existing.iter().filter_map(|path| path.rsplit('/').next()).any(|name| name > own.as_str());
    if later { format!("zz-dialtone-{topic}.conf") } else { own }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn it_wins_over_what_is_there() {
        assert_eq!(name("limits", &[]), "60-dialtone-limits.conf");
        assert_eq!(name("limits", &["/etc/systemd/system/x.d/10-a.conf".to_owned()]), "60-dialtone-limits.conf");
        assert_eq!(name("limits", &["/etc/systemd/system/x.d/override.conf".to_owned()]), "zz-dialtone-limits.conf");
    }
}
