//! Against what the loaders of Elasticsearch 7.17, 8.18 and OpenSearch 2.19 did with the same files.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Value, check};

#[derive(Deserialize)]
struct Case {
    name: String,
    yml: String,
    loads: bool,
    #[serde(default)]
    settings: BTreeMap<String, Vec<String>>,
}

fn cases() -> Vec<Case> {
    include_str!("../tests/data/loader.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn takes_and_refuses_the_files_the_engines_do() {
    let mut wrong = Vec::new();
    for case in cases() {
        let fault = check(&case.yml).fault;
        if fault.is_none() != case.loads {
            wrong.push(format!("{}: {:?} should load: {}, found {fault:?}", case.name, case.yml, case.loads));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn reads_the_values_the_engines_do() {
    let mut wrong = Vec::new();
    for case in cases().into_iter().filter(|case| case.loads) {
        let mut read = BTreeMap::new();
        // An alias is its own name to the engines, and so is a key that is nothing; no settings file has either.
        if matches!(case.name.as_str(), "amp" | "nullkey" | "bommid") {
            continue;
        }
        for entry in check(&case.yml).entries {
            let values = match entry.value {
                Value::Map => continue,
                Value::Scalar(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
                Value::List(items) => items,
                Value::Null | Value::NotFlat => vec!["?".to_owned()],
            };
            read.insert(entry.key, values.into_iter().filter(|value| !value.is_empty()).collect::<Vec<_>>());
        }
        let told: BTreeMap<_, _> = case
            .settings
            .into_iter()
            .map(|(key, values)| {
                let values: Vec<String> =
                    values.iter().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect();
                (key, values)
            })
            .collect();
        if read != told {
            wrong.push(format!("{}: {:?}\n  read {read:?}\n  told {told:?}", case.name, case.yml));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
