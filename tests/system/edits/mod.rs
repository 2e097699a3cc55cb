//! The editor of the engines' yml against the engines' own loaders: files as people write and damage them, edited at random, and read
//! before and after by the classes that a node starts with.
//!
//! The files are the same every time, so that what passes passes again. `DIALTONE_SEED` makes others, and `DIALTONE_EDITS` more.

mod drafts;

use std::collections::BTreeMap;
use std::thread;

use common_yml::{Edit, EditError, Key, Setting};
use fastrand::Rng;
use serde_json::Value;
use system_tests::lab::Engine;
use system_tests::lab::engine::Loaded;

use drafts::{VARIABLES, draft, pick};

/// Where all randomness comes from, and how many files are tried, unless it is said.
const SEED: u64 = 1_287_901_213;
const FILES: u64 = 2500;
/// Disagreements that are shown.
const SHOWN: usize = 12;

type Settings = BTreeMap<String, Value>;

/// A file, what is to be changed in it, and what the editor made of that.
struct Trial {
    before: String,
    edits: Vec<Edit>,
    after: Result<String, EditError>,
}

#[test]
fn an_engine_reads_the_approved_change_and_no_other() {
    let (seed, files) = (number("DIALTONE_SEED").unwrap_or(SEED), number("DIALTONE_EDITS").unwrap_or(FILES));
    let trials: Vec<Trial> = (0..files)
        // Neighbouring seeds must not make neighbouring streams: fastrand mixes the seed itself.
        .map(|n| Trial::draw(&mut Rng::with_seed(seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))))
        .collect();
    let said = format!("DIALTONE_SEED={seed} DIALTONE_EDITS={}: {}", trials.len(), counts(&trials));
    println!("{said}");
    let edited = trials.iter().filter(|trial| trial.after.is_ok()).count();
    assert!(edited * 4 > trials.len(), "the editor refuses nearly everything: {said}");

    let tried = &trials;
    let wrong: Vec<String> = thread::scope(|scope| {
        let engines = Engine::ALL.map(|engine| scope.spawn(move || disagreements(engine, tried)));
        engines.into_iter().flat_map(|wrong| wrong.join().unwrap()).collect()
    });
    let shown = &wrong[..wrong.len().min(SHOWN)];
    assert!(wrong.is_empty(), "{said}\n{} disagreements, for example:\n{}", wrong.len(), shown.join("\n"));
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

fn counts(trials: &[Trial]) -> String {
    let count = |is: fn(&EditError) -> bool| trials.iter().filter(|trial| trial.after.as_ref().is_err_and(is)).count();
    format!(
        "{} edited, {} are not taken by an engine, {} are unclear, {} cannot be changed by themselves",
        trials.iter().filter(|trial| trial.after.is_ok()).count(),
        count(|error| matches!(error, EditError::Fault { .. })),
        count(|error| matches!(error, EditError::Unclear(_))),
        count(|error| matches!(error, EditError::Entangled(_) | EditError::Differs { .. })),
    )
}

impl Trial {
    fn draw(rng: &mut Rng) -> Self {
        let before = draft(rng);
        let mut after = before.clone();
        let mut edits = Vec::new();
        for _ in 0..rng.usize(1..3) {
            edits.push(edit(rng, &after));
            match common_yml::apply(&before, &edits) {
                Ok(text) => after = text,
                error => return Self { before, edits, after: error },
            }
        }
        Self { before, edits, after: Ok(after) }
    }
}

/// An edit that starts from what the text has; sometimes one that cannot be made.
fn edit(rng: &mut Rng, text: &str) -> Edit {
    let key = key(rng, text);
    let from = common_yml::current(text, &key).unwrap_or_default();
    match (from, rng.u8(..6)) {
        (Some(from), 0) => Edit::Unset { key, from },
        (Some(_), 1) => {
            let to = self::key(rng, text);
            Edit::Rename { key, to }
        }
        (from, _) => Edit::Set { key, from, to: setting(rng) },
    }
}

/// A key of the text, most of the time.
fn key(rng: &mut Rng, text: &str) -> Key {
    let known: Vec<Key> = common_yml::check(text).entries.iter().filter_map(|entry| entry.key.parse().ok()).collect();
    let new = ["new.key", "a", "a.b", "http.port", "network.host", "discovery.seed_hosts", "node.attr.rack", "a.0"];
    match (known.is_empty(), rng.u8(..8)) {
        (false, 0) => format!("{}.more", known[rng.usize(..known.len())]).parse().unwrap(),
        (false, 1..6) => known[rng.usize(..known.len())].clone(),
        _ => pick(rng, &new).parse().unwrap(),
    }
}

fn setting(rng: &mut Rng) -> Setting {
    const TEXTS: &[&str] = &[
        "9200",
        "10.0.0.7",
        "_site_",
        "true",
        "no",
        "null",
        "~",
        "a b",
        "it's",
        "a: b",
        "a #b",
        "#",
        "- x",
        "[x]",
        "{x: 1}",
        "*",
        "&x",
        "!x",
        "a\\b",
        "\"",
        "'",
        "ü漢",
        "🐘",
        ":",
        "%",
        "|",
        "1.10",
        "010",
        "0x1f",
        "1e3",
        "2001-12-14",
        "a,b",
        "::1",
        "--- x",
        "a\u{a0}b",
        "a\u{2028}b",
        "\u{feff}",
    ];
    let text = |rng: &mut Rng| pick(rng, TEXTS).to_owned();
    if rng.u8(..3) > 0 {
        return Setting::One(text(rng));
    }
    Setting::Many((0..rng.usize(..4)).map(|_| text(rng)).collect())
}

/// Where an engine does otherwise than the editor says.
fn disagreements(engine: Engine, trials: &[Trial]) -> Vec<String> {
    let mut texts = vec![""];
    for trial in trials {
        texts.push(&trial.before);
        texts.extend(trial.after.as_deref());
    }
    let mut loaded = engine.read_settings(&texts, &VARIABLES).unwrap().into_iter();
    let Some(Loaded::Settings(own)) = loaded.next() else { panic!("{engine:?} does not take an empty file") };
    let mut wrong = Vec::new();
    for trial in trials {
        let before = loaded.next().unwrap();
        let after = trial.after.as_ref().ok().map(|_| loaded.next().unwrap());
        if let Err(why) = judge(trial, &own, before, after) {
            let Trial { before, edits, after } = trial;
            wrong.push(format!("{engine:?}: {why}\n  before {before:?}\n  edits {edits:?}\n  after {after:?}"));
        }
    }
    wrong
}

/// `own` is what the engine adds to every file.
fn judge(trial: &Trial, own: &Settings, before: Loaded, after: Option<Loaded>) -> Result<(), String> {
    // What variables hold is no business of the editor's: an engine refuses one that is not there.
    if [Some(&trial.before), trial.after.as_ref().ok()].into_iter().flatten().any(|text| has_unknown_variable(text)) {
        return Ok(());
    }
    let before = match (&trial.after, before) {
        (Err(EditError::Unclear(_)), _) => return Ok(()),
        (Err(EditError::Fault { .. }), Loaded::Refused(_)) => return Ok(()),
        (Err(fault @ EditError::Fault { .. }), Loaded::Settings(found)) => {
            return Err(format!("it takes what it should not: {fault}; it reads {found:?}"));
        }
        (_, Loaded::Refused(why)) => return Err(format!("it refuses what it should take: {why}")),
        (_, Loaded::Settings(settings)) => settings,
    };
    if !trial.before.contains("${") {
        let ends =
            |settings: &Settings| settings.iter().map(|(key, value)| (key.clone(), without_end(value))).collect();
        let read = own.clone().into_iter().chain(read(&trial.before)).collect();
        same(&ends(&read), &ends(&before))?;
    }
    match after {
        None => Ok(()),
        Some(Loaded::Refused(why)) => Err(format!("it refuses what was edited: {why}")),
        Some(Loaded::Settings(after)) => same(&changed(before, &trial.edits), &after),
    }
}

fn has_unknown_variable(text: &str) -> bool {
    let known = VARIABLES.iter().fold(text.to_owned(), |text, (name, _)| text.replace(&format!("${{{name}}}"), ""));
    known.contains("${")
}

/// What the editor reads.
fn read(text: &str) -> Settings {
    let entries = common_yml::check(text).entries.into_iter();
    let value = |value| match value {
        common_yml::Value::Scalar(text) => Some(Value::from(text)),
        common_yml::Value::List(items) => Some(Value::from(items)),
        _ => None,
    };
    entries.filter_map(|entry| Some((entry.key, value(entry.value)?))).collect()
}

/// Elasticsearch 8 ends the last line of a file that does not end it, and with it a text of several lines.
fn without_end(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(text.trim_end_matches('\n')),
        Value::Array(items) => items.iter().map(without_end).collect(),
        other => other.clone(),
    }
}

/// What is to be there after the edits.
fn changed(mut settings: Settings, edits: &[Edit]) -> Settings {
    for edit in edits {
        match edit {
            Edit::Set { key, to, .. } => drop(settings.insert(key.to_string(), value(to))),
            Edit::Unset { key, .. } => drop(settings.remove(key.as_str())),
            Edit::Rename { key, to } => {
                let moved = settings.remove(key.as_str());
                settings.extend(moved.map(|moved| (to.to_string(), moved)));
            }
        }
    }
    settings
}

fn value(setting: &Setting) -> Value {
    match setting {
        Setting::One(text) => Value::from(text.as_str()),
        Setting::Many(texts) => Value::from(texts.clone()),
    }
}

/// An engine takes a setting that is empty for one that is not there.
fn same(wanted: &Settings, found: &Settings) -> Result<(), String> {
    let is_set = |settings: &Settings, key: &String| settings.get(key).filter(|value| *value != "").cloned();
    let differing = wanted.keys().chain(found.keys()).find(|key| is_set(wanted, key) != is_set(found, key));
    match differing {
        None => Ok(()),
        Some(key) => Err(format!("{key} is {:?} to the engine, expected {:?}", found.get(key), wanted.get(key))),
    }
}
