//! Changing one setting in the text of a yml file, and nothing else.

use common_evidence::collectors::engine_config::{EngineConfig, Setting};

/// The text with `key` set to `value`, which is valid yml. None when it cannot be done by changing one line.
pub(super) fn set(config: &EngineConfig, key: &str, value: &str) -> Option<String> {
    match config.get(key) {
        Some(setting) => replace(config, setting, value),
        None => Some(append(config, key, value)),
    }
}

/// The text with the setting called otherwise, its value as it is. None unless the line spells out the whole key.
pub(super) fn rename(config: &EngineConfig, setting: &Setting, key: &str) -> Option<String> {
    let mut lines: Vec<&str> = config.text.split_inclusive('\n').collect();
    let at = setting.line.checked_sub(1)?;
    let line = lines.get(at)?;
    let (head, _) = split_key(line, setting)?;
    let before = head.strip_suffix(setting.key.as_str())?;
    let changed = format!("{before}{key}{}", line.get(head.len()..)?);
    lines[at] = &changed;
    Some(lines.concat())
}

/// The text with the setting's line as a comment. A setting that takes several lines would leave a fault: see what the text says.
pub(super) fn comment_out(config: &EngineConfig, setting: &Setting) -> Option<String> {
    let mut lines: Vec<&str> = config.text.split_inclusive('\n').collect();
    let at = setting.line.checked_sub(1)?;
    let line = lines.get(at)?;
    split_key(line, setting)?;
    let changed = format!("#{line}");
    lines[at] = &changed;
    Some(lines.concat())
}

/// Replaces the value on the setting's line; key, indentation and comment stay.
fn replace(config: &EngineConfig, setting: &Setting, value: &str) -> Option<String> {
    let mut lines: Vec<&str> = config.text.split_inclusive('\n').collect();
    let line = lines.get(setting.line.checked_sub(1)?)?;
    let (head, rest) = split_key(line, setting)?;
    let comment = comment(rest);
    let end = if line.ends_with("\r\n") {
        "\r\n"
    } else if line.ends_with('\n') {
        "\n"
    } else {
        ""
    };
    // A value that goes on below, as a block list does, is more than one line.
    if rest.trim().is_empty()
        || rest.trim_start().starts_with('#')
        || rest.trim_start().starts_with(['|', '>', '&', '*'])
    {
        return None;
    }
    if rest.trim_start().starts_with('[') && !rest.contains(']') {
        return None;
    }
    let changed = format!("{head}: {value}{}{end}", comment.map(|text| format!(" {text}")).unwrap_or_default());
    let at = setting.line - 1;
    lines[at] = &changed;
    Some(lines.concat())
}

/// The line up to the colon after the key's last part, and what follows the colon.
fn split_key<'a>(line: &'a str, setting: &Setting) -> Option<(&'a str, &'a str)> {
    let body = line.trim_end_matches(['\n', '\r']);
    let from = body.char_indices().nth(setting.column.checked_sub(1)?).map(|(at, _)| at)?;
    let key = body.get(from..)?;
    let colon = key.find(": ").or_else(|| key.ends_with(':').then(|| key.len() - 1))?;
    let written = key.get(..colon)?.trim().trim_matches(['"', '\'']);
    // The column must be that of the key, or of its last part when it is nested.
    let is_key = setting.key == written || setting.key.ends_with(&format!(".{written}"));
    is_key.then(|| body.split_at(from + colon)).map(|(head, rest)| (head, rest.trim_start_matches(':')))
}

/// The comment after a value: a `#` with white space before it, outside quotes.
fn comment(rest: &str) -> Option<&str> {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in rest.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => return rest.get(at..).map(str::trim_end),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            _ => {}
        }
        before = c;
    }
    None
}

/// Adds the setting in its own line: after the commented-out example of it, else at the end.
fn append(config: &EngineConfig, key: &str, value: &str) -> String {
    let crlf = config.text.contains("\r\n");
    let end = if crlf { "\r\n" } else { "\n" };
    let mut lines: Vec<String> = config.text.split_inclusive('\n').map(str::to_owned).collect();
    let example = lines
        .iter()
        .rposition(|line| line.trim_start_matches(['#', ' ']).starts_with(&format!("{key}:")) && line.starts_with('#'));
    if let Some(last) = lines.last_mut()
        && !last.ends_with('\n')
    {
        last.push_str(end);
    }
    // Between lines that belong to a nested block, a top-level key would end the block; only the end is always safe there.
    let safe = example.filter(|at| lines.get(at + 1).is_none_or(|next| !next.starts_with([' ', '-'])));
    let at = safe.map_or(lines.len(), |at| at + 1);
    lines.insert(at, format!("{key}: {value}{end}"));
    lines.concat()
}

#[cfg(test)]
mod tests {
    use common_evidence::Evidence;
    use common_evidence::source::FileRead;

    use super::*;

    fn config(text: &str) -> EngineConfig {
        let file =
            FileRead { path: "/etc/elasticsearch/elasticsearch.yml".into(), text: text.into(), ..FileRead::default() };
        EngineConfig::parse(&serde_json::to_vec(&file).unwrap(), "/etc/elasticsearch/elasticsearch.yml", 1).value
    }

    fn edited(text: &str, key: &str) -> Option<String> {
        set(&config(text), key, "X")
    }

    #[test]
    fn dotted_and_nested_keys_keep_everything_around_them() {
        assert_eq!(
            edited("a.b: 1\nnetwork.host: 127.0.0.1 # why\nc: 2\n", "network.host").unwrap(),
            "a.b: 1\nnetwork.host: X # why\nc: 2\n"
        );
        assert_eq!(
            edited("network:\n  host: \"a#b\"\n  x: 1\n", "network.host").unwrap(),
            "network:\n  host: X\n  x: 1\n"
        );
        assert_eq!(edited("network.host: a\r\nb: 1\r\n", "network.host").unwrap(), "network.host: X\r\nb: 1\r\n");
        assert_eq!(edited("network.host: a", "network.host").unwrap(), "network.host: X");
    }

    #[test]
    fn a_new_setting_goes_below_its_example_or_to_the_end() {
        assert_eq!(edited("#http.host: 1\nb: 1", "http.host").unwrap(), "#http.host: 1\nhttp.host: X\nb: 1\n");
        assert_eq!(edited("b: 1", "http.host").unwrap(), "b: 1\nhttp.host: X\n");
        assert_eq!(edited("", "http.host").unwrap(), "http.host: X\n");
    }

    #[test]
    fn a_key_is_renamed_or_commented_out_where_it_stands() {
        let text = "a: 1\nhttp.prot: 9200 # why\n\"x.y\": 1\nhttp:\n  prot: 1\n";
        let config = config(text);
        let renamed = rename(&config, &config.settings[1], "http.port").unwrap();
        assert_eq!(renamed, text.replace("http.prot", "http.port"));
        assert_eq!(rename(&config, &config.settings[2], "x.z"), None, "a quoted key");
        assert_eq!(rename(&config, &config.settings[3], "http.port"), None, "a nested key");
        let without = comment_out(&config, &config.settings[1]).unwrap();
        assert_eq!(without, text.replace("http.prot", "#http.prot"));
    }

    #[test]
    fn a_value_of_several_lines_is_left_to_a_person() {
        assert_eq!(edited("network.host:\n  - a\n  - b\n", "network.host"), None);
        assert_eq!(edited("network.host: [a,\n  b]\n", "network.host"), None);
    }
}
