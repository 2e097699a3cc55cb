//! Commands that people paste. Text from a node gets in only quoted.

/// `text` as one word of a POSIX shell; none when it holds a control character, which no quoting makes safe to paste.
pub(crate) fn word(text: &str) -> Option<String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return None;
    }
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@' | '%' | '+' | ',' | '=');
    if text.chars().all(plain) { Some(text.to_owned()) } else { Some(format!("'{}'", text.replace('\'', r"'\''"))) }
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn nothing_of_a_node_is_ever_run() {
        assert_eq!(word("/etc/sysctl.d/60-x.conf").as_deref(), Some("/etc/sysctl.d/60-x.conf"));
        assert_eq!(word("a b$(reboot)'c").as_deref(), Some(r"'a b$(reboot)'\''c'"));
        assert_eq!(word("a\nreboot"), None);
        assert_eq!(word("a\u{1b}[2J"), None);
    }
}
