//! The engine's yml: every setting with its line, and what is wrong with the file.

#[cfg(test)]
mod tests;

use common_model::Class;
use common_plan::Digest;
use serde::{Deserialize, Serialize};

use crate::source::{Collector, FileRead, Source, Trigger};
use crate::{Evidence, Parsed, parse_json, redact};
use common_yml::{self as yml, Entry, Fault, Value};

/// What an agent reads and sends; the subject is the file's path.
pub static COLLECTOR: Collector = Collector {
    kind: EngineConfig::KIND,
    schema: 1,
    class: Class::State,
    sources: |engines| {
        engines
            .iter()
            .map(|engine| (engine.config_file(), Source::File { path: engine.config_file(), cap: 512 * 1024 }))
            .collect()
    },
    triggers: |engines| engines.iter().map(|engine| Trigger::Directory(engine.config_dir.clone())).collect(),
    redact,
};

/// Hides what may be secret, having judged the file as it stands on the node: what is hidden cannot be judged later.
fn redact(raw: Vec<u8>) -> Vec<u8> {
    redact::rewrite(&raw, |mut file: FileRead| {
        let invalid = !file.cut && file.text.contains('\u{fffd}') && file.size != file.text.len() as u64;
        let fault =
            if invalid { Some(not_utf8(&file.text)) } else { yml::check(&file.text).fault.map(SyntaxProblem::from) };
        let judged = !file.cut && file.error.is_none();
        let shown = redact::yml(&file.text);
        // With something hidden it would let what is hidden be guessed, as often as somebody likes.
        let digest = (judged && !invalid && shown == file.text).then(|| Digest::of(file.text.as_bytes()));
        file.text = shown;
        Body { file, checked: judged.then_some(Check { fault }), digest }
    })
}

fn not_utf8(text: &str) -> SyntaxProblem {
    let line = text.lines().position(|line| line.contains('\u{fffd}')).map_or(1, |at| at + 1);
    SyntaxProblem { line, column: None, key: None, message: "the file is not UTF-8".to_owned() }
}

/// A yml file, understood as far as it can be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineConfig {
    /// Path of the file.
    pub path: String,
    /// Its text, secrets removed, line for line as on the node.
    pub text: String,
    /// When it was last written, milliseconds since 1970, by the node's clock.
    pub modified_ms: i64,
    /// `owner:group`.
    pub owner: String,
    /// Permission bits, for example `0660`.
    pub mode: String,
    /// Settings in file order, nested keys flattened to dotted ones; a key that stands twice is here twice.
    pub settings: Vec<Setting>,
    /// Why the engine would refuse the file; the engine then does not start.
    pub fatal: Option<SyntaxProblem>,
    /// True when only its beginning was read.
    pub cut: bool,
    /// Why the agent could not read it.
    pub unreadable: Option<String>,
    /// SHA-256 of the file as it is on the node; none where something had to be removed.
    pub digest: Option<Digest>,
}

/// One setting of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Dotted key, for example `network.host`.
    pub key: String,
    /// Its value or values; a list has several, an empty value none. A comma string is split as the engine does.
    /// `${NAME}` is kept as it stands.
    pub values: Vec<String>,
    /// Line of the key, from 1.
    pub line: usize,
    /// Column of the key, from 1.
    pub column: usize,
}

/// Something the engine's loader refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyntaxProblem {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, where known.
    pub column: Option<usize>,
    /// The key concerned, where known.
    pub key: Option<String>,
    /// What is wrong, for people.
    pub message: String,
}

impl Setting {
    /// The first environment variable its value is to be filled from, for example `HOST` in `${HOST:_site_}`.
    pub fn placeholder(&self) -> Option<&str> {
        self.values.iter().find_map(|value| {
            let (_, after) = value.split_once("${")?;
            let (inside, _) = after.split_once('}')?;
            Some(inside.split_once(':').map_or(inside, |(name, _)| name))
        })
    }

    /// The values as one text, for people: a list in brackets.
    pub fn shown(&self) -> String {
        match self.values.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        }
    }
}

impl EngineConfig {
    /// The setting in force for a key: the last one in the file, as engines from 7.0 on have it.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().rev().find(|setting| setting.key == key)
    }

    /// Reads the text of a file, for a caller that has nothing else of it.
    pub fn from_text(path: &str, text: &str) -> Self {
        let checked = yml::check(text);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            settings: checked.entries.into_iter().filter_map(setting).collect(),
            fatal: checked.fault.map(SyntaxProblem::from),
            ..Self::default()
        }
    }

    /// A key that is set twice, dotted and nested: Elasticsearch before 7.0 refuses that, later engines take the last.
    pub fn set_twice(&self) -> Option<SyntaxProblem> {
        self.settings.iter().enumerate().find_map(|(at, second)| {
            let first = self.settings.iter().take(at).find(|first| first.key == second.key)?;
            Some(SyntaxProblem {
                line: second.line,
                column: Some(second.column),
                key: Some(second.key.clone()),
                message: format!("{} is already set in line {}", second.key, first.line),
            })
        })
    }
}

impl From<Fault> for SyntaxProblem {
    fn from(fault: Fault) -> Self {
        Self { line: fault.line, column: fault.column, key: fault.key, message: fault.message }
    }
}

fn setting(entry: Entry) -> Option<Setting> {
    let values = match entry.value {
        Value::Map => return None,
        Value::Null | Value::NotFlat => Vec::new(),
        Value::List(items) => items,
        Value::Scalar(text) if is_list(&entry.key) => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        }
        Value::Scalar(text) if text.is_empty() => Vec::new(),
        Value::Scalar(text) => vec![text],
    };
    Some(Setting { key: entry.key, values, line: entry.line, column: entry.column })
}

/// Settings the engines read as lists, whose text they split at commas.
fn is_list(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    matches!(last, "host" | "bind_host" | "publish_host" | "seed_hosts" | "seed_providers" | "hosts" | "roles" | "data")
        || matches!(last, "initial_master_nodes" | "initial_cluster_manager_nodes")
}

impl Evidence for EngineConfig {
    const KIND: &'static str = "engine-config";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        let Parsed { value: body, mut problems } = parse_json::<Body>(raw);
        let file = body.file;
        let checked = yml::check(&file.text);
        problems.extend(checked.problems);
        let fault = match body.checked {
            Some(checked) => checked.fault,
            None if file.cut => None,
            None => checked.fault.map(SyntaxProblem::from),
        };
        if file.cut {
            problems.push(format!("only the first {} bytes of {} were read", file.text.len(), file.path));
        }
        let value = Self {
            settings: checked.entries.into_iter().filter_map(setting).collect(),
            fatal: fault,
            path: file.path,
            text: file.text,
            modified_ms: file.modified_ms,
            owner: file.owner,
            mode: file.mode,
            cut: file.cut,
            unreadable: file.error,
            digest: body.digest,
        };
        Parsed { value, problems }
    }
}

/// What is sent: the file, and whether the engine would take it as it was before secrets were removed from it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Body {
    #[serde(flatten)]
    file: FileRead,
    checked: Option<Check>,
    digest: Option<Digest>,
}

/// The verdict on the file as it stands on the node.
#[derive(Debug, Serialize, Deserialize)]
struct Check {
    fault: Option<SyntaxProblem>,
}
