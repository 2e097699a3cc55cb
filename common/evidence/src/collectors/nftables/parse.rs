//! `nft -j -a list ruleset`, object by object, so that one that is not understood, or a cut end, loses only itself.

use serde::Deserialize;
use serde_json::Value;

use super::{Nftables, expression, render, statement};
use crate::Parsed;
use crate::firewall::ruleset::{Base, Chain, Element, Elements, Family, Hook, Pattern, Rule, Step, Table, Tool};

/// Reads the output of `nft -j -a list ruleset`.
pub(super) fn nftables(raw: &[u8]) -> Parsed<Nftables> {
    let mut nftables = Nftables::default();
    let mut problems = Vec::new();
    let (objects, cut) = objects(raw);
    for object in &objects {
        if let Err(problem) = take(&mut nftables, object) {
            problems.push(problem.clone());
            nftables.cut.get_or_insert(format!("the nftables ruleset was not understood: {problem}"));
        }
    }
    if let Some(cut) = cut {
        problems.push(cut.clone());
        nftables.cut = Some(format!("the nftables ruleset was read in part: {cut}"));
    }
    Parsed { value: nftables, problems }
}

/// The objects in the array of `{"nftables": […]}`, and why there may be more.
fn objects(raw: &[u8]) -> (Vec<Value>, Option<String>) {
    let text = String::from_utf8_lossy(raw);
    let Some((_, mut rest)) = text.split_once('[').filter(|(before, _)| before.contains("\"nftables\"")) else {
        return (Vec::new(), Some("not the JSON that nft prints".to_owned()));
    };
    let mut objects = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        if rest.starts_with(']') {
            return (objects, None);
        }
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match stream.next() {
            Some(Ok(object)) => objects.push(object),
            Some(Err(error)) => {
                return (objects, Some(format!("after {} of {} bytes: {error}", text.len() - rest.len(), text.len())));
            }
            None => return (objects, Some("it ends early".to_owned())),
        }
        let read = stream.byte_offset();
        rest = rest.get(read..).unwrap_or_default();
    }
}

#[derive(Deserialize)]
struct TableJson {
    family: String,
    name: String,
    #[serde(default)]
    handle: u64,
    #[serde(default)]
    flags: Value,
}

#[derive(Deserialize)]
struct ChainJson {
    family: String,
    table: String,
    name: String,
    #[serde(default)]
    handle: u64,
    #[serde(rename = "type")]
    kind: Option<String>,
    hook: Option<String>,
    prio: Option<i32>,
    policy: Option<String>,
    #[serde(default)]
    dev: Value,
}

#[derive(Deserialize)]
struct RuleJson {
    family: String,
    table: String,
    chain: String,
    handle: Option<u64>,
    #[serde(default)]
    expr: Vec<Value>,
    comment: Option<String>,
}

#[derive(Deserialize)]
struct SetJson {
    family: String,
    table: String,
    name: String,
    #[serde(rename = "type")]
    kind: Value,
    #[serde(default)]
    elem: Vec<Value>,
}

fn take(nftables: &mut Nftables, object: &Value) -> Result<(), String> {
    let tables = &mut nftables.tables;
    let Some((word, body)) = object.as_object().and_then(|object| object.iter().next()) else {
        return Err("an entry that is not an object".to_owned());
    };
    match word.as_str() {
        "table" => {
            let json: TableJson = of(word, body)?;
            let table = Table {
                family: family(&json.family)?,
                name: json.name,
                handle: json.handle,
                tool: Tool::Nft,
                dormant: words(&json.flags).iter().any(|flag| flag == "dormant"),
                chains: Vec::new(),
                sets: std::collections::BTreeMap::new(),
            };
            tables.push(table);
        }
        "chain" => {
            let json: ChainJson = of(word, body)?;
            let base = base(&json);
            if let Some(hook) = json.hook.as_ref().filter(|_| base.is_none()) {
                nftables.gaps.push(format!("chain {} filters at {hook}", json.name));
            }
            table(tables, &json.family, &json.table)?.chains.push(Chain {
                name: json.name,
                handle: json.handle,
                base,
                rules: Vec::new(),
            });
        }
        "set" | "map" => {
            let json: SetJson = of(word, body)?;
            let elements = set_elements(&json);
            table(tables, &json.family, &json.table)?.sets.insert(json.name, elements);
        }
        "rule" => {
            let json: RuleJson = of(word, body)?;
            let chain =
                table(tables, &json.family, &json.table)?.chains.iter_mut().find(|chain| chain.name == json.chain);
            chain.ok_or_else(|| format!("a rule of an unknown chain {}", json.chain))?.rules.push(rule(&json));
        }
        _ => {}
    }
    Ok(())
}

fn of<T: serde::de::DeserializeOwned>(word: &str, body: &Value) -> Result<T, String> {
    T::deserialize(body).map_err(|error| format!("{word}: {error}"))
}

fn family(word: &str) -> Result<Family, String> {
    Family::from_word(word).ok_or_else(|| format!("an unknown family {word}"))
}

fn table<'a>(tables: &'a mut [Table], family_word: &str, name: &str) -> Result<&'a mut Table, String> {
    let family = family(family_word)?;
    let found = tables.iter_mut().rev().find(|table| table.family == family && table.name == name);
    found.ok_or_else(|| format!("a part of an unknown table {family} {name}"))
}

fn base(json: &ChainJson) -> Option<Base> {
    let hook = json.hook.as_deref().and_then(Hook::from_word)?;
    Some(Base {
        nat: json.kind.as_deref() == Some("nat"),
        hook,
        priority: json.prio.unwrap_or_default(),
        drops: json.policy.as_deref() == Some("drop"),
        devices: words(&json.dev),
    })
}

/// A word or a list of words.
pub(super) fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(word) => vec![word.clone()],
        Value::Array(words) => words.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn rule(json: &RuleJson) -> Rule {
    let steps: Vec<Step> = json.expr.iter().flat_map(statement::steps).collect();
    Rule {
        steps,
        text: render::rule(&json.expr, json.comment.as_deref()),
        handle: json.handle,
        counted: json.expr.iter().any(|statement| statement.get("counter").is_some()),
    }
}

fn set_elements(json: &SetJson) -> Vec<Element> {
    let elements = json.elem.iter().map(|element| match element.as_array().map(Vec::as_slice) {
        Some([key, data]) => {
            let text = format!("{} : {}", render::value(bare(key)), render::verdict_or_value(data));
            Element { verdict: statement::verdict(data), text, ..element_of(bare(key)) }
        }
        _ => element_of(bare(element)),
    });
    // An address, port or mark reads the same whatever the set is for; only names need their type to be told apart, and they are
    // compared with names only.
    let typed = |element: Element| if is_compared(&json.kind) { element } else { opaque(element) };
    elements.map(typed).collect()
}

/// Types whose values are understood without a key beside them.
fn is_compared(kind: &Value) -> bool {
    const TYPES: [&str; 8] =
        ["ipv4_addr", "ipv6_addr", "inet_service", "inet_proto", "ifname", "iface_index", "mark", "ct_state"];
    let words = words(kind);
    !words.is_empty() && words.iter().all(|word| TYPES.contains(&word.as_str()))
}

fn opaque(element: Element) -> Element {
    let parts =
        element.parts.iter().map(|part| if *part == Pattern::Any { Pattern::Any } else { Pattern::Opaque }).collect();
    Element { parts, ..element }
}

/// An element without its timeout, counter and comment.
fn bare(element: &Value) -> &Value {
    element.get("elem").and_then(|inner| inner.get("val")).unwrap_or(element)
}

fn element_of(value: &Value) -> Element {
    Element { parts: expression::parts(value), verdict: None, text: render::value(value) }
}

/// The elements of a right-hand side: a set of its own, a named one, or one value.
pub(super) fn elements(right: &Value) -> Elements {
    match right {
        Value::String(text) if text.starts_with('@') => Elements::Named(text.trim_start_matches('@').to_owned()),
        _ => match right.get("set").and_then(Value::as_array) {
            Some(members) => Elements::Here(members.iter().map(bare).map(element_of).collect()),
            None => Elements::Here(vec![element_of(bare(right))]),
        },
    }
}

/// The elements of a verdict map: its own pairs, or a named map.
pub(super) fn map_elements(data: &Value) -> Elements {
    match data {
        Value::String(text) => Elements::Named(text.trim_start_matches('@').to_owned()),
        _ => {
            let pairs = data.get("set").and_then(Value::as_array).into_iter().flatten();
            Elements::Here(
                pairs
                    .filter_map(|pair| {
                        let [key, data] = pair.as_array()?.as_slice() else { return None };
                        Some(Element { verdict: statement::verdict(data), ..element_of(bare(key)) })
                    })
                    .collect(),
            )
        }
    }
}
