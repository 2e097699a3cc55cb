//! Commands that people paste. Text from a node gets in only quoted.

use common_model::text::printable_line;

/// `text` as one word of a POSIX shell; none when it holds a character that cannot be seen, which no quoting makes safe to paste.
pub(crate) fn word(text: &str) -> Option<String> {
    if text.is_empty() || printable_line(text) != text {
        return None;
    }
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@' | '%' | '+' | ',' | '=');
    if text.chars().all(plain) { Some(text.to_owned()) } else { Some(format!("'{}'", text.replace('\'', r"'\''"))) }
}

/// `text` as a word, when it is an absolute path that stays where it says: no command takes it for an option.
pub(crate) fn path(text: &str) -> Option<String> {
    let stays = text.starts_with('/') && !text.split('/').any(|part| part == "..");
    stays.then(|| word(text)).flatten()
}

/// Whether `text` is a bare name, of a unit, user, package or plugin: the same with and without quotes, and no option.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':');
    !text.is_empty() && !text.starts_with('-') && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_node_is_ever_run() {
        assert_eq!(word("/etc/sysctl.d/60-x.conf").as_deref(), Some("/etc/sysctl.d/60-x.conf"));
        assert_eq!(word("a b$(reboot)'c").as_deref(), Some(r"'a b$(reboot)'\''c'"));
        for hidden in ["a\nreboot", "a\u{1b}[2J", "a\tb", "a\u{202e}b", ""] {
            assert_eq!(word(hidden), None, "{hidden:?}");
        }
    }

    #[test]
    fn a_path_is_never_an_option_and_leads_nowhere_else() {
        assert_eq!(path("/srv/my data").as_deref(), Some("'/srv/my data'"));
        for other in ["-rf", "data", "/srv/../etc", "", "/srv\n/etc"] {
            assert_eq!(path(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_name_needs_no_quotes() {
        assert!(is_name("elasticsearch@2.service"));
        for other in ["", "-x", "a b", "a;b", "a/b", "ä"] {
            assert!(!is_name(other), "{other:?}");
        }
    }
}
