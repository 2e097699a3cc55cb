//! A file of sysctl.d(5), of which one key's last line is changed and the rest stays, byte for byte.

use common_plan::Sysctl;

/// What the last line about the key says, as it stands there.
pub(super) fn last_value(content: &str, key: Sysctl) -> Option<&str> {
    content.lines().rev().find_map(|line| value(line, key))
}

/// The file with the value in it: in the place of the last line about the key, else in a new one at the end.
pub(super) fn with_value(content: Option<&str>, key: Sysctl, to: u64) -> String {
    let content = content.unwrap_or_default();
    let mut lines: Vec<String> = content.split_inclusive('\n').map(str::to_owned).collect();
    let set = format!("{key} = {to}");
    match lines.iter_mut().rev().find(|line| value(line, key).is_some()) {
        Some(line) => {
            let end = line.trim_end_matches(['\r', '\n']).len();
            *line = format!("{set}{}", line.split_off(end));
        }
        None => {
            let end = if content.is_empty() || content.ends_with('\n') { "" } else { "\n" };
            lines.push(format!("{end}{set}\n"));
        }
    }
    lines.concat()
}

/// `key = value`, the key with dots or slashes; a leading `-` makes systemd ignore that it cannot be set.
fn value(line: &str, key: Sysctl) -> Option<&str> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (name, value) = line.split_once('=')?;
    let name = name.trim().trim_start_matches('-').replace('/', ".");
    (name == key.name()).then_some(value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "# vm.max_map_count = 1\nvm.swappiness=1\r\nvm/max_map_count=65530\n-vm.max_map_count = 65531 \r\nx\n";

    #[test]
    fn the_last_line_of_the_key_counts() {
        assert_eq!(last_value(FILE, Sysctl::MaxMapCount), Some("65531"));
        assert_eq!(last_value(FILE, Sysctl::Somaxconn), None);
        assert_eq!(last_value("", Sysctl::Somaxconn), None);
    }

    #[test]
    fn only_that_line_is_changed() {
        let changed = with_value(Some(FILE), Sysctl::MaxMapCount, 262_144);
        assert_eq!(changed, FILE.replace("-vm.max_map_count = 65531 ", "vm.max_map_count = 262144"));
        assert_eq!(last_value(&changed, Sysctl::MaxMapCount), Some("262144"));
    }

    #[test]
    fn a_key_that_is_not_there_is_added_as_a_line_of_its_own() {
        for (before, after) in [
            (None, "net.core.somaxconn = 4096\n"),
            (Some("a = 1"), "a = 1\nnet.core.somaxconn = 4096\n"),
            (Some("a = 1\n"), "a = 1\nnet.core.somaxconn = 4096\n"),
        ] {
            assert_eq!(with_value(before, Sysctl::Somaxconn, 4096), after);
        }
    }
}
