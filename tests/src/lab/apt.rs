//! Which mirror and keyring this machine's own package sources name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The release that lab hosts run.
pub(crate) const SUITE: &str = "bookworm";

/// One repository that carries [`SUITE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The address given to debootstrap.
    pub(crate) mirror: String,
    /// The keyring its signature is checked with; debootstrap's own if none.
    pub(crate) keyring: Option<PathBuf>,
}

/// The first repository of this machine's apt sources that carries [`SUITE`].
pub(crate) fn source() -> Result<Source> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        files.extend(paths);
    }
    files
        .iter()
        .find_map(|path| find(path, &fs::read_to_string(path).ok()?))
        .with_context(|| format!("no apt source of this machine carries Debian {SUITE}"))
}

fn find(path: &Path, text: &str) -> Option<Source> {
    match path.extension()?.to_str()? {
        "list" => text.lines().find_map(from_line),
        "sources" => stanzas(text).iter().find_map(|stanza| from_stanza(stanza)),
        _ => None,
    }
}

/// `deb [signed-by=KEYRING] MIRROR SUITE COMPONENT…`
fn from_line(line: &str) -> Option<Source> {
    let rest = line.trim().strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let mirror = words.next()?.to_owned();
    let keyring = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by=")).map(PathBuf::from);
    (words.next()? == SUITE).then_some(Source { mirror, keyring })
}

/// The paragraphs of a deb822 file as (field, value) lists, comments left out.
fn stanzas(text: &str) -> Vec<Vec<(String, String)>> {
    let mut found = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.trim().is_empty() {
            found.push(Vec::new());
        } else if let Some(fields) = found.last_mut() {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() as Option<&mut (String, String)> {
                    value.push(' ');
                    value.push_str(line.trim());
                }
            } else if let Some((field, value)) = line.split_once(':') {
                fields.push((field.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
    }
    found
}

fn from_stanza(stanza: &[(String, String)]) -> Option<Source> {
    let field = |name: &str| {
        let (_, value) = stanza.iter().find(|(field, _)| field == name)?;
        Some(value.as_str())
    };
    let has =
        |name: &str, word: &str| field(name).is_some_and(|value| value.split_whitespace().any(|found| found == word));
    if !has("types", "deb") || !has("suites", SUITE) {
        return None;
    }
    Some(Source {
        mirror: field("uris")?.split_whitespace().next()?.to_owned(),
        keyring: field("signed-by").filter(|value| value.starts_with('/')).map(PathBuf::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_deb822_source_with_comments_and_continuation_lines() {
        let text = "Types: deb-src\nURIs: http://a.example/debian\nSuites: bookworm\n\n\
                    Types: deb\n# a note\nURIs: http://b.example/debian\n\
                    Suites: bookworm-updates\n bookworm\nSigned-By: /usr/share/keyrings/k.gpg\n";
        let found = find(Path::new("debian.sources"), text).unwrap();
        assert_eq!(found.mirror, "http://b.example/debian");
        assert_eq!(found.keyring.unwrap(), Path::new("/usr/share/keyrings/k.gpg"));
    }

    #[test]
    fn reads_a_one_line_source_with_options() {
        let text = "# deb http://no.example/ bookworm main\n\
                    deb http://s.example/security bookworm-security main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://c.example/debian bookworm main\n";
        let found = find(Path::new("/etc/apt/sources.list"), text).unwrap();
        assert_eq!(found.mirror, "http://c.example/debian");
        assert_eq!(found.keyring.unwrap(), Path::new("/k.gpg"));
    }

    #[test]
    fn ignores_other_files_and_other_releases() {
        let line = "deb http://c.example/debian bookworm main";
        assert_eq!(find(Path::new("a.sources.disabled"), line), None);
        assert_eq!(from_line("deb http://c.example/debian trixie main").map(|s| s.mirror), None);
        assert_eq!(from_line("deb-src http://c.example/debian bookworm"), None);
    }
}
