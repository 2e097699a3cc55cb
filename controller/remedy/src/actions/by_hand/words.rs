//! What the engine's messages name. It is text of the node: each is told to be what it is taken for before it is used.

use crate::shell;

/// The first path in a message, absolute or as a setting has it, without the marks around it.
pub(super) fn path(message: &str) -> Option<&str> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '[' | ']' | '(' | ')' | '\'' | '"' | ',' | ';');
    let words = message.split(ends).map(|word| word.trim_end_matches([':', '.']));
    let is_path = |word: &&str| word.contains('/') && !word.contains("://") && !word.contains("/...");
    words.into_iter().find(|word| is_path(word) && shell::word(word).is_some())
}

/// Versions in brackets, in order: `from version [8.11.0] to version [7.17.28]`.
pub(super) fn versions(message: &str) -> Vec<&str> {
    let is_version = |text: &&str| {
        text.contains('.') && text.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
    };
    message
        .split('[')
        .skip(1)
        .filter_map(|rest| rest.split_once(']').map(|(inside, _)| inside))
        .filter(is_version)
        .collect()
}

/// The name in `Plugin [foo] was built for`.
pub(super) fn plugin(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("lugin [")?;
    rest.split_once(']').map(|(name, _)| name).filter(|name| shell::is_name(name))
}

/// What the JVM does not take: the word in `Unrecognized VM option 'X'` or `Unrecognized option: -X`.
pub(super) fn option(message: &str) -> Option<&str> {
    let quoted = || message.split_once("VM option '").and_then(|(_, rest)| rest.split_once('\'')).map(|(name, _)| name);
    let bare = || message.split_once("Unrecognized option: ").and_then(|(_, rest)| rest.split_whitespace().next());
    quoted().or_else(bare).filter(|option| shell::word(option).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_among_words() {
        assert_eq!(path("Unable to access 'path.data' (/srv/data)"), Some("/srv/data"));
        assert_eq!(path("Unable to read the file certs/a.pem. Please make sure"), Some("certs/a.pem"));
        assert_eq!(path("could not find java in ES_JAVA_HOME at /opt/jdk/bin/java"), Some("/opt/jdk/bin/java"));
        assert_eq!(path("see https://www.elastic.co/guide"), None);
        assert_eq!(path("at /srv/\u{1b}[2J"), None);
    }

    #[test]
    fn versions_are_numbers_in_brackets() {
        assert_eq!(versions("from version [8.11.0] to version [7.17.28]"), ["8.11.0", "7.17.28"]);
        assert_eq!(versions("holds [$(reboot)] of [1] and [7.x] and [.]"), Vec::<&str>::new());
    }

    #[test]
    fn names_of_plugins_and_options() {
        assert_eq!(plugin("Plugin [analysis-icu] was built for"), Some("analysis-icu"));
        assert_eq!(plugin("Plugin [a; reboot] was built for"), None);
        assert_eq!(option("Unrecognized VM option 'UseConcMarkSweepGC'"), Some("UseConcMarkSweepGC"));
        assert_eq!(option("Unrecognized option: -Xfoo"), Some("-Xfoo"));
        assert_eq!(option("Invalid maximum heap size: -Xmx1t"), None);
    }
}
