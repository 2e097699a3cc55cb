//! Secrets that a trial makes, each once, and the search for them in all that was written.

pub(crate) mod plants;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use fastrand::Rng;
use regex::bytes::Regex;

/// In a template: a new secret; `elastic:` and a new secret as an HTTP header has them; a word that is no secret.
const SECRET: char = '§';
const BASIC: char = '‡';
const WORD: char = '¤';

/// What was planted, each with the place it was planted in.
pub(crate) struct Planted {
    rng: Rng,
    secrets: Vec<(String, &'static str)>,
    words: Vec<(String, &'static str)>,
}

impl Planted {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { rng, secrets: Vec::new(), words: Vec::new() }
    }

    /// A template with its secrets and words in it.
    pub(crate) fn fill(&mut self, place: &'static str, template: &str) -> String {
        let mut text = String::new();
        for letter in template.chars() {
            match letter {
                SECRET => text.push_str(&self.secret(place)),
                BASIC => text.push_str(&STANDARD.encode(format!("elastic:{}", self.secret(place)))),
                WORD => {
                    let word = format!("w{:016x}", self.rng.u64(..));
                    text.push_str(&word);
                    self.words.push((word, place));
                }
                letter => text.push(letter),
            }
        }
        text
    }

    /// Twenty-four letters and digits, with what some encodings write otherwise among them.
    fn secret(&mut self, place: &'static str) -> String {
        let mut secret: String = (0..22).map(|_| self.rng.alphanumeric()).collect();
        secret.insert(self.rng.usize(8..14), '+');
        secret.insert(self.rng.usize(8..14), '/');
        self.secrets.push((secret.clone(), place));
        secret
    }

    /// What stands in one of these bodies, of the secrets and of the words: with its place and where it was found.
    pub(crate) fn search<'a>(&self, bodies: impl Iterator<Item = (&'a Path, &'a [u8])>) -> Found {
        let mut forms = BTreeMap::new();
        for (secret, place) in &self.secrets {
            forms.extend(forms_of(secret).into_iter().map(|form| (form, *place)));
        }
        let (secrets, words) = (Needles::new(forms), Needles::new(self.words.iter().cloned().collect()));
        let mut found = Found::default();
        for (path, body) in bodies {
            found.secrets.extend(secrets.found_in(body).map(|(form, place)| (form, place, path.to_owned())));
            found.words.extend(words.found_in(body).map(|(word, _)| word));
        }
        found
    }

    /// Words that are in none of what was searched: nobody has read what stands beside them.
    pub(crate) fn missing(&self, found: &Found) -> Vec<&'static str> {
        self.words.iter().filter(|(word, _)| !found.words.contains(word)).map(|(_, place)| *place).collect()
    }

    /// How many secrets were planted.
    pub(crate) fn secrets(&self) -> usize {
        self.secrets.len()
    }
}

/// What a search gave.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The form it was found in, the place it was planted in, and where it was found.
    pub(crate) secrets: Vec<(String, &'static str, PathBuf)>,
    pub(crate) words: BTreeSet<String>,
}

struct Needles {
    of: BTreeMap<String, &'static str>,
    any: Option<Regex>,
}

impl Needles {
    fn new(of: BTreeMap<String, &'static str>) -> Self {
        let all: Vec<String> = of.keys().map(|needle| regex::escape(needle)).collect();
        Self { any: (!all.is_empty()).then(|| Regex::new(&all.join("|")).unwrap()), of }
    }

    fn found_in(&self, body: &[u8]) -> impl Iterator<Item = (String, &'static str)> {
        let hits = self.any.iter().flat_map(move |any| any.find_iter(body));
        hits.map(|hit| {
            let hit = String::from_utf8_lossy(hit.as_bytes()).into_owned();
            let place = self.of[&hit];
            (hit, place)
        })
    }
}

/// A secret as it stands in text, in JSON, in a URL, in hexadecimal digits, and within what was encoded in base64.
fn forms_of(secret: &str) -> Vec<String> {
    let escaped = |escape: &dyn Fn(u8) -> String| -> String {
        secret.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { escape(b) }).collect()
    };
    let hex = |upper: bool| -> String {
        secret.bytes().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect()
    };
    let mut forms = vec![
        secret.to_owned(),
        secret.replace('/', "\\/"),
        escaped(&|b| format!("%{b:02X}")),
        escaped(&|b| format!("%{b:02x}")),
        escaped(&|b| format!("\\u{b:04x}")),
        secret.chars().rev().collect(),
        hex(false),
        hex(true),
    ];
    // Wherever it begins in what is encoded: the letters at either end are of its neighbours, too.
    for before in 0..3 {
        let padded = format!("{}{secret}", "x".repeat(before));
        for alphabet in [&STANDARD, &URL_SAFE] {
            let encoded = alphabet.encode(&padded);
            let whole = (padded.len() / 3) * 4;
            forms.push(encoded[if before == 0 { 0 } else { 4 }..whole].to_owned());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

/// Every file below a directory, with what it holds.
pub(crate) fn files(below: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut directories = vec![below.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                directories.push(path);
            } else if kind.is_file() {
                let content = fs::read(&path).unwrap();
                files.push((path, content));
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_it_may_leave_in() {
        let mut planted = Planted::new(Rng::with_seed(1));
        planted.fill("here", "password: §, ‡, ¤");
        let [first, second] = [0, 1].map(|at| planted.secrets[at].0.clone());
        let hex: String = first.bytes().map(|byte| format!("{byte:02x}")).collect();
        for body in [
            first.clone(),
            serde_json::to_string(&format!("x{first}")).unwrap(),
            STANDARD.encode(format!("elastic:{second}")),
            URL_SAFE.encode(format!("ab{first}c")),
            first.replace('+', "%2B").replace('/', "%2f").replace("%2f", "%2F"),
            hex,
        ] {
            let found = planted.search([(Path::new("f"), body.as_bytes())].into_iter());
            assert_eq!(found.secrets.len(), 1, "{body}");
        }
        let found = planted.search([(Path::new("f"), &b"nothing"[..])].into_iter());
        assert!(found.secrets.is_empty() && planted.missing(&found) == ["here"]);
    }
}
