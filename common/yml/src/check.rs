//! Whether the engines' loader takes the file. It reads with SnakeYAML, which agrees with libyaml but for the rules here, and
//! then refuses what YAML allows and settings do not: nothing, twice the same, lists of anything but values, a second document.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_yaml::Value as Yaml;

use crate::scan::{Scan, scan};
use crate::{Entry, Fault, Value, lines};

/// Deeper nesting of brackets is not checked: no settings need it, and checking takes quadratic time.
const MAX_BRACKETS: usize = 100;

/// What ends a line for YAML, and for no editor.
pub(crate) const BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

/// The file as it was understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Its settings in file order.
    pub entries: Vec<Entry>,
    /// Why the engines refuse it.
    pub fault: Option<Fault>,
    /// What could not be decided.
    pub problems: Vec<String>,
    /// Line of the first anchor, alias, tag, or key behind a `?`: the loader passes over them, and what stands there may be read
    /// otherwise than YAML says.
    pub marked: Option<usize>,
}

/// Reads the settings and decides whether the file would load.
pub fn check(text: &str) -> Checked {
    // Further byte order marks are letters to the loader, but not to libyaml.
    let text = &text.strip_prefix('\u{feff}').unwrap_or(text).replace('\u{feff}', "\u{200b}");
    let mut scan = scan(text);
    let mut problems = Vec::new();
    let mut faults: Vec<Fault> = unprintable(text).into_iter().chain(scan.refused.first().cloned()).collect();
    if nests_deeply(text) {
        problems.push("the file nests brackets too deeply to be checked".to_owned());
    } else {
        faults.extend(syntax(text, &mut scan, &mut problems));
    }
    faults.extend(indexed_twice(&scan.entries));
    faults.sort_by_key(|fault| (fault.line, fault.column));
    let fault = faults.into_iter().next();
    let mut entries = std::mem::take(&mut scan.entries);
    join_indexed(&mut entries);
    problems.extend(numbered(&entries));
    Checked { entries, fault, problems, marked: scan.marked }
}

/// Syntax by libyaml; where that is in order, the scan is put right by what libyaml read.
fn syntax(text: &str, scan: &mut Scan, problems: &mut Vec<String>) -> Option<Fault> {
    let masked = mask_placeholders(text);
    let mut documents = 0;
    let mut root = None;
    for document in serde_yaml::Deserializer::from_str(&masked) {
        documents += 1;
        if documents > 1 {
            let line = second_document(text);
            let message = "the file holds a second YAML document".to_owned();
            return Some(Fault { line, column: None, key: None, message });
        }
        match Yaml::deserialize(document) {
            Ok(value) => root = Some(value),
            Err(error) => return refused(&error, &masked, scan, problems),
        }
    }
    problems.extend(needs_quotes(text).filter(|_| masked != text));
    match (root, text_line(text, 1)) {
        (None | Some(Yaml::Null), None) => None,
        (Some(Yaml::Mapping(map)), _) => {
            let twice = reconcile(&map, scan);
            let unusable = scan.entries.iter().find_map(unusable).filter(|_| !has_tag(text));
            if twice { scan.duplicates.first().cloned().or(unusable) } else { unusable }
        }
        (_, first) if text.contains(BREAKS) => {
            problems.push(format!("the file could not be checked around line {}", first.unwrap_or(1)));
            None
        }
        (_, first) => {
            let first = first.unwrap_or(1);
            Some(scan.strays.first().cloned().unwrap_or_else(|| Fault {
                line: first,
                column: None,
                key: None,
                message: "the file holds no `key: value` settings".to_owned(),
            }))
        }
    }
}

/// A variable between brackets, which only engines take that put its value in before they parse: Elasticsearch 7.17 and OpenSearch
/// 2.19 do not, Elasticsearch 8.17 does.
fn needs_quotes(text: &str) -> Option<String> {
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let error = documents.find_map(|document| Yaml::deserialize(document).err())?;
    let line = error.location().as_ref().map_or(1, serde_yaml::Location::line);
    Some(format!("not every engine takes line {line}: a ${{…}} between brackets needs quotes"))
}

fn refused(error: &serde_yaml::Error, source: &str, scan: &Scan, problems: &mut Vec<String>) -> Option<Fault> {
    let text = error.to_string();
    if text.contains("duplicate entry") {
        let place = error.location();
        return Some(scan.duplicates.first().cloned().unwrap_or_else(|| Fault {
            line: place.as_ref().map_or(1, serde_yaml::Location::line),
            column: None,
            key: None,
            message: "a key stands twice".to_owned(),
        }));
    }
    let place = error.location();
    let line = place.as_ref().map_or(1, serde_yaml::Location::line);
    if let Some(star) = lone_star(source, line) {
        return Some(star);
    }
    // The loader reads events: it never follows an alias, names it more freely, and passes over tags and directives.
    // The rest is this parser's own limits.
    let kinds = ["unknown anchor", "alphabetic or numeric", "directive", "indentation space", "limit", "invalid type"];
    let lenient = kinds.iter().any(|kind| text.contains(kind));
    if lenient || has_tag(source) {
        problems.push(format!("the file could not be checked around line {line}"));
        return None;
    }
    let explained = scan.unclosed.first().or_else(|| {
        let causes = scan.strays.iter().chain(&scan.misplaced).chain(&scan.refused);
        causes.filter(|fault| fault.line <= line).min_by_key(|fault| fault.line)
    });
    Some(explained.cloned().unwrap_or_else(|| Fault {
        line,
        column: place.as_ref().map(serde_yaml::Location::column),
        key: scan.entries.iter().rev().find(|entry| entry.line == line).map(|entry| entry.key.clone()),
        message: text.split(" at line ").next().unwrap_or_default().to_owned(),
    }))
}

/// An unquoted `*` alone: an alias without a name.
fn lone_star(text: &str, number: usize) -> Option<Fault> {
    let line = lines(text).nth(number.checked_sub(1)?)?;
    let ends = |after: &str| after.is_empty() || after.starts_with([' ', ',', ']', '}']);
    let at = line.match_indices('*').map(|(at, _)| at).find(|at| {
        let (before, after) = line.split_at(*at);
        before.ends_with([' ', '[', ',', '{']) && after.get(1..).is_some_and(ends)
    })?;
    let key = crate::scalar::key(line.trim_start()).map(|(key, _)| key);
    let message = "a * that stands for itself needs quotes".to_owned();
    Some(Fault { line: number, column: Some(at + 1), key, message })
}

/// True when a value or key begins with `!`, which the loader is far less strict about.
fn has_tag(text: &str) -> bool {
    lines(text).any(|line| {
        let mut fresh = true;
        line.chars().any(|c| {
            let tag = fresh && c == '!';
            fresh = c.is_whitespace() || matches!(c, '[' | '{' | ',');
            tag
        })
    })
}

/// What the loader refuses about a setting that is in order as YAML.
fn unusable(entry: &Entry) -> Option<Fault> {
    let message = match entry.value {
        Value::Null => format!("{} has no value", entry.key),
        Value::NotFlat => format!("{} is a list of something other than values", entry.key),
        _ => return None,
    };
    Some(Fault { line: entry.line, column: Some(entry.column), key: Some(entry.key.clone()), message })
}

/// Makes the scanned entries equal to what libyaml read: a scan that was misled by rare syntax cannot mislead a verdict.
/// True when two keys of one map are the same text (`1` and `"1"`), which only YAML tells apart.
fn reconcile(map: &serde_yaml::Mapping, scan: &mut Scan) -> bool {
    let mut flat = Vec::new();
    let twice = flatten("", map, &mut flat);
    let mut real: HashMap<String, Value> = flat.into_iter().collect();
    scan.entries.retain(|entry| real.contains_key(&entry.key));
    for entry in scan.entries.iter_mut().rev() {
        // The last of several is in force, and the one libyaml kept.
        if let Some(value) = real.remove(&entry.key)
            && !agrees(&entry.value, &value)
        {
            entry.value = value;
        }
    }
    let mut missed: Vec<(String, Value)> = real.into_iter().collect();
    missed.sort_by(|(a, _), (b, _)| a.cmp(b));
    scan.entries.extend(missed.into_iter().map(|(key, value)| Entry { key, value, line: 1, column: 1 }));
    twice
}

fn flatten(prefix: &str, map: &serde_yaml::Mapping, out: &mut Vec<(String, Value)>) -> bool {
    let mut seen = HashSet::new();
    let mut twice = false;
    for (key, value) in map {
        let text = scalar_text(key);
        let tagged = matches!(value, Yaml::Tagged(_));
        let value = untagged(value);
        let own = match value {
            Yaml::Null if tagged => Value::Scalar(String::new()),
            _ if text.is_none() && !key.is_null() => Value::NotFlat,
            Yaml::Null => Value::Null,
            Yaml::Mapping(_) => Value::Map,
            Yaml::Sequence(items) => {
                let texts: Option<Vec<String>> = items.iter().map(|item| scalar_text(untagged(item))).collect();
                texts.map_or(Value::NotFlat, Value::List)
            }
            scalar => Value::Scalar(scalar_text(scalar).unwrap_or_default()),
        };
        let key = format!("{prefix}{}", text.unwrap_or_default());
        twice |= !seen.insert(key.clone());
        out.push((key.clone(), own));
        if let Yaml::Mapping(inner) = value {
            twice |= flatten(&format!("{key}."), inner, out);
        }
    }
    twice
}

fn untagged(value: &Yaml) -> &Yaml {
    match value {
        Yaml::Tagged(tagged) => untagged(&tagged.value),
        other => other,
    }
}

fn scalar_text(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) => Some(text.clone()),
        Yaml::Number(number) => Some(number.to_string()),
        Yaml::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Texts have to be equal; a number or boolean is kept as it was written (`1.10`, `010`), and a placeholder was masked.
fn agrees(scanned: &Value, real: &Value) -> bool {
    match (scanned, real) {
        (Value::Scalar(a), Value::Scalar(b)) => same_text(a, b),
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_text(a, b)),
        (a, b) => a == b,
    }
}

fn same_text(scanned: &str, real: &str) -> bool {
    let typed = |text: &str| matches!(serde_yaml::from_str(text), Ok(Yaml::Number(_) | Yaml::Bool(_)));
    scanned == real
        || scanned.contains("${")
        || crate::scalar::boolean(real) == Some(scanned)
        || (typed(real) && typed(scanned))
}

/// Each `${…}` becomes as many `x`: newer engines put the variable's value in before they parse, which is not known here.
fn mask_placeholders(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let end = from.find(['}', '\n']).filter(|end| from.get(*end..=*end) == Some("}"));
        let (placeholder, after) = from.split_at(end.map_or(2, |end| end + 1));
        match end {
            Some(_) => out.extend(placeholder.chars().map(|_| 'x')),
            None => out.push_str(placeholder),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Characters that SnakeYAML refuses anywhere, even in a comment.
fn unprintable(text: &str) -> Option<Fault> {
    let refused = |c: &char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
    lines(text).zip(1..).find_map(|(line, number)| {
        let (column, c) = line.chars().zip(1..).map(|(c, column)| (column, c)).find(|(_, c)| refused(c))?;
        let message = format!("the character {} is not allowed", c.escape_unicode());
        Some(Fault { line: number, column: Some(column), key: None, message })
    })
}

fn nests_deeply(text: &str) -> bool {
    let mut depth = 0usize;
    text.chars().any(|c| {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_BRACKETS
    })
}

/// Line of the `n`th line, from 1, that holds more than a comment.
fn text_line(text: &str, n: usize) -> Option<usize> {
    lines(text).zip(1..).filter(|(line, _)| !crate::scalar::is_blank(line)).nth(n - 1).map(|(_, number)| number)
}

/// Line of the marker that begins the second document.
fn second_document(text: &str) -> usize {
    let begins = |line: &str| line.starts_with("---") || line.starts_with("...");
    let first = text_line(text, 1).unwrap_or(1);
    lines(text).zip(1..).find(|(line, number)| *number > first && begins(line)).map_or(first, |(_, number)| number)
}

/// `key` and `key.0` exclude each other.
fn indexed_twice(entries: &[Entry]) -> Option<Fault> {
    let whole: HashSet<&str> =
        entries.iter().filter(|entry| entry.value != Value::Map).map(|entry| entry.key.as_str()).collect();
    let clash = entries.iter().find(|entry| entry.key.strip_suffix(".0").is_some_and(|list| whole.contains(list)))?;
    let list = clash.key.strip_suffix(".0")?;
    let message = format!("{list} is set both as a whole and as a list");
    Some(Fault { line: clash.line, column: Some(clash.column), key: Some(list.to_owned()), message })
}

/// What is left of lists by numbers: one whose first or next item is no value by itself, of which the loader makes a text.
fn numbered(entries: &[Entry]) -> Option<String> {
    let lists = entries.iter().filter_map(|entry| match &entry.value {
        Value::List(items) => Some((entry.key.as_str(), items.len())),
        _ => None,
    });
    let lists: HashMap<&str, usize> = lists.collect();
    let is_next = |list: &str, n: &str| n == "0" || lists.get(list).is_some_and(|items| n == items.to_string());
    let is_item = |entry: &&Entry| {
        entry.value != Value::Map && entry.key.rsplit_once('.').is_some_and(|(list, n)| is_next(list, n))
    };
    let left = entries.iter().find(is_item)?;
    Some(format!("{} in line {} is an item of a list, and not one value", left.key, left.line))
}

/// `key.0`, `key.1` … become one list under `key`, at the place of the first.
fn join_indexed(entries: &mut Vec<Entry>) {
    let scalars: HashMap<String, String> = entries
        .iter()
        .filter_map(|entry| match &entry.value {
            Value::Scalar(text) => Some((entry.key.clone(), text.clone())),
            _ => None,
        })
        .collect();
    let items_of = |list: &str| (0..).map_while(|n| scalars.get(&format!("{list}.{n}")).cloned()).collect::<Vec<_>>();
    let mut joined = HashSet::new();
    for entry in entries.iter_mut() {
        let Some(list) = entry.key.strip_suffix(".0").map(str::to_owned) else { continue };
        let items = items_of(&list);
        if !items.is_empty() {
            joined.extend((1..items.len()).map(|n| format!("{list}.{n}")));
            entry.key = list;
            entry.value = Value::List(items);
        }
    }
    entries.retain(|entry| !joined.contains(&entry.key));
}
