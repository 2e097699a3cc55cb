//! Line by line, and against what another YAML parser reads.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_yaml::Value as Yaml;

use super::*;

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn set_to(text: &str, name: &str, to: Setting) -> Result<String, EditError> {
    let from = current(text, &key(name)).unwrap();
    apply(text, &[Edit::Set { key: key(name), from, to }])
}

fn set(text: &str, name: &str) -> Result<String, EditError> {
    set_to(text, name, Setting::One("XX".to_owned()))
}

fn unset(text: &str, name: &str) -> Result<String, EditError> {
    let from = current(text, &key(name)).unwrap().unwrap();
    apply(text, &[Edit::Unset { key: key(name), from }])
}

fn rename(text: &str, from: &str, to: &str) -> Result<String, EditError> {
    apply(text, &[Edit::Rename { key: key(from), to: key(to) }])
}

#[test]
fn dotted_and_nested_keys_keep_everything_around_them() {
    for (text, after) in [
        ("a.b: 1\nnetwork.host: 127.0.0.1 # why\nc: 2\n", "a.b: 1\nnetwork.host: XX # why\nc: 2\n"),
        ("network:\n  host: \"a#b\"  # c\n  x: 1\n", "network:\n  host: XX # c\n  x: 1\n"),
        ("network:\n    host: it's # \"so\"\n", "network:\n    host: XX # \"so\"\n"),
        ("network.host: a\r\nb: 1\r\n", "network.host: XX\r\nb: 1\r\n"),
        ("network.host: a", "network.host: XX"),
        ("\u{feff}network.host: a\nb: 1\n", "\u{feff}network.host: XX\nb: 1\n"),
        ("\"network.host\": a\n", "\"network.host\": XX\n"),
        ("network.host :  a\n", "network.host : XX\n"),
        ("network.host: [a, \"b]\"] # both\n", "network.host: XX # both\n"),
        ("---\nnetwork.host: a\n...\n", "---\nnetwork.host: XX\n...\n"),
    ] {
        assert_eq!(set(text, "network.host").as_deref(), Ok(after), "{text:?}");
    }
}

#[test]
fn a_value_of_several_lines_stays_as_a_comment() {
    for (text, after) in [
        (
            "network.host: # both\n  - a # first\n\n  # between\n  - b\n# of c\nc: 1\n",
            "network.host: XX\n#network.host: # both\n#  - a # first\n\n  # between\n#  - b\n# of c\nc: 1\n",
        ),
        ("network.host: [a,\r\n  b]\r\n", "network.host: XX\r\n#network.host: [a,\r\n#  b]\r\n"),
        ("network:\n  host: >\n    a\n    # b\n  x: 1", "network:\n  host: XX\n#  host: >\n#    a\n    # b\n  x: 1"),
        ("network.host:\n- a\n- b", "network.host: XX\n#network.host:\n#- a\n#- b"),
    ] {
        assert_eq!(set(text, "network.host").as_deref(), Ok(after), "{text:?}");
    }
}

#[test]
fn a_new_setting_goes_below_its_example_or_to_the_end() {
    for (text, after) in [
        ("#http.host: 1\nb: 1", "#http.host: 1\nhttp.host: XX\nb: 1"),
        ("b: 1", "b: 1\nhttp.host: XX\n"),
        ("", "http.host: XX\n"),
        ("# only comments\r\n", "# only comments\r\nhttp.host: XX\r\n"),
        // Below the example it would end the block.
        ("b:\n  c: 1\n#http.host: 1\n  d: 2\n", "b:\n  c: 1\n#http.host: 1\n  d: 2\nhttp.host: XX\n"),
        ("  b: 1\n", "  b: 1\n  http.host: XX\n"),
    ] {
        assert_eq!(set(text, "http.host").as_deref(), Ok(after), "{text:?}");
    }
}

#[test]
fn what_cannot_be_changed_by_itself_is_left() {
    for text in ["{network.host: a, b: 1}\n", "network: {host: a, x: 1}\n"] {
        assert_eq!(set(text, "network.host"), Err(EditError::Entangled(key("network.host"))), "{text:?}");
    }
    let twice = "a.b: 1\na:\n  b: 2\n";
    assert_eq!(set(twice, "a.b").unwrap(), "a.b: 1\na:\n  b: XX\n", "the last is in force");
    assert_eq!(unset(twice, "a.b"), Err(EditError::Entangled(key("a.b"))), "the first would be in force");
    let tab = current("a: 1\n\tb: 2\n", &key("a"));
    assert!(matches!(tab, Err(EditError::Fault { line: 2, .. })), "{tab:?}");
}

/// Each was found by comparing with what the engines' own loaders read.
#[test]
fn what_the_engines_may_read_otherwise_is_not_edited() {
    for text in [
        "a: &x 1\n",
        "a: 1\nb: [*x]\n",
        "a: !!str 1\n",
        "? a\n: 1\n",
        "a: [x, # one, & two\n  !y z]\n",
        "a: 1\u{85}\n",
        "a: 1 # \u{2028}b: 2\n",
        "a: \u{feff}1\n",
        "a: 1\rb: 2\n",
        "a: [${HOST}, x]\n",
        "a.0: [x, y]\n",
        "a.0: x\na.1: [y]\n",
        "a.0.0: x\n",
    ] {
        let read = current(text, &key("a"));
        assert!(matches!(read, Err(EditError::Unclear(_))), "{text:?}: {read:?}");
    }
    // Of which nothing is made where they are no tokens.
    for text in ["a: x # one & two, *three* !\n", "a: [\"*\", b & c] # &\n", "a: [\"${HOST}\"]\n", "a.0: x\na.1: y\n"] {
        assert!(current(text, &key("a")).is_ok_and(|read| read.is_some()), "{text:?}");
    }
    assert!(matches!(current("a: |# no\n  x\n", &key("a")), Err(EditError::Fault { line: 1, .. })));
}

#[test]
fn a_file_that_is_not_as_the_edit_wants_it_is_left() {
    let edit = Edit::Set { key: key("a"), from: None, to: Setting::One("2".to_owned()) };
    let error = apply("a: 1\n", std::slice::from_ref(&edit)).unwrap_err();
    assert_eq!(error.to_string(), "a is 1 in the file; expected: not set");
    assert!(apply("b: 1\n", &[edit]).is_ok());
}

#[test]
fn a_setting_becomes_a_comment_and_with_it_what_would_be_left_empty() {
    for (text, name, after) in [
        ("a: 1\nhttp.prot: 9200 # why\n", "http.prot", "a: 1\n#http.prot: 9200 # why\n"),
        ("http:\n  prot: 1\n  port: 2\n", "http.prot", "http:\n#  prot: 1\n  port: 2\n"),
        ("x:\n  http:\n    prot: 1\ny: 1\n", "x.http.prot", "#x:\n#  http:\n#    prot: 1\ny: 1\n"),
        ("a:\n- 1\n- 2\n", "a", "#a:\n#- 1\n#- 2\n"),
        ("a: 1", "a", "#a: 1"),
        ("\r\n'a.b': x y\t# tab", "a.b", "\r\n#'a.b': x y\t# tab"),
    ] {
        assert_eq!(unset(text, name).as_deref(), Ok(after), "{text:?}");
    }
}

#[test]
fn a_key_is_renamed_where_it_stands() {
    let text = "http.prot: 9200 # why\nhttps:\n  prot: 1\n\"x.y\": 1\n";
    assert_eq!(rename(text, "http.prot", "http.port").unwrap(), text.replace("http.prot", "http.port"));
    assert_eq!(rename(text, "https.prot", "https.port").unwrap(), text.replace("  prot", "  port"));
    assert!(rename(text, "https.prot", "http.port").is_err());
    assert!(rename(text, "x.y", "x.z").is_err(), "a quoted key");
    assert!(rename(text, "http.prot", "x.y").is_err(), "it is there already");
}

#[test]
fn the_edits_between_two_texts_lead_from_one_to_the_other() {
    let (old, new) = ("a: 1\nb: 2\nn:\n  x: 1\n", "# new\na: 1\nb: [3]\nc: 4\nn:\n  y: 1\n");
    let edits = difference(old, new).unwrap().unwrap();
    let edited = apply(old, &edits).unwrap();
    assert_eq!(difference(&edited, new), Ok(Some(Vec::new())));
    assert_eq!(edited, "a: 1\nb: [\"3\"]\n#n:\n#  x: 1\nc: 4\nn.y: 1\n");
    assert_eq!(difference("a.b: 1\na:\n  b: 2\n", ""), Ok(None));
}

#[test]
fn what_a_plan_may_name_is_narrow() {
    for bad in ["", "a b", "a:", "a\n", ".a", "a.", "a..b", "-a", "true", "null", "1", "ä", "a.-b", "a#"] {
        assert!(bad.parse::<Key>().is_err(), "{bad:?}");
    }
    let edit = |to: &str| format!(r#"{{"edit":"set","key":"a","from":null,"to":{to}}}"#);
    assert!(serde_json::from_str::<Edit>(&edit("[\"x\"]")).is_ok());
    for bad in ["1", "{}", "[1]", "\"a\\nb\"", "\"\\u001b[2J\""] {
        assert!(serde_json::from_str::<Edit>(&edit(bad)).is_err(), "{bad}");
    }
    assert!(serde_json::from_str::<Edit>(r#"{"edit":"set","key":"a","from":null,"to":"x","more":1}"#).is_err());
}

/// A file as people write them, with the keys that are set in it.
#[derive(Debug, Clone)]
struct File {
    text: String,
    keys: Vec<String>,
}

fn comment_line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("# → a: comment, 'with' \"quotes\" [and]".to_owned()),
        Just("  #→".to_owned())
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z]{1,8}",
        1 => (0u32..99_999).prop_map(|number| number.to_string()),
        1 => Just("10.0.0.5".to_owned()),
        1 => Just("true".to_owned()),
        1 => "'[a-z #:,]{0,6}'",
        1 => "\"[a-z #:,\\[\\]]{0,6}\"",
        1 => Just("it's".to_owned()),
        1 => Just("[a, \"b, c\"]".to_owned()),
    ]
}

/// One setting in one of the forms that there are; `name` is not used twice.
fn block(name: String) -> impl Strategy<Value = (String, Vec<String>)> {
    let tail = prop_oneof![2 => Just(""), 1 => Just(" # → why"), 1 => Just("   ")];
    let dotted = (value(), tail).prop_map({
        let name = name.clone();
        move |(value, tail)| (format!("{name}.k: {value}{tail}\n"), vec![format!("{name}.k")])
    });
    let nested = (value(), value(), comment_line()).prop_map({
        let name = name.clone();
        move |(a, b, comment)| {
            let text = format!("{name}:\n  m: {a}\n{comment}\n  n:\n    o: {b}\n");
            (text, vec![format!("{name}.m"), format!("{name}.n.o")])
        }
    });
    let list = (prop::collection::vec("[a-z]{1,5}", 1..4), comment_line(), any::<bool>()).prop_map(
        move |(items, comment, deep)| {
            let indent = if deep { "  " } else { "" };
            let items: String = items.iter().map(|item| format!("{indent}- {item} # → i\n{comment}\n")).collect();
            (format!("{name}.list: # → head\n{items}"), vec![format!("{name}.list")])
        },
    );
    prop_oneof![3 => dotted, 2 => nested, 1 => list]
}

fn file() -> impl Strategy<Value = File> {
    let blocks: Vec<_> = ["aa", "bb", "cc", "dd"].map(|name| (comment_line(), block(name.to_owned()))).into();
    (blocks, any::<bool>(), any::<bool>()).prop_map(|(blocks, crlf, cut)| {
        let mut text = String::new();
        let mut keys = Vec::new();
        for (comment, (block, own)) in blocks {
            text.push_str(&format!("{comment}\n{block}"));
            keys.extend(own);
        }
        let text = if cut { text.trim_end().to_owned() } else { text };
        File { text: if crlf { text.replace('\n', "\r\n") } else { text }, keys }
    })
}

fn setting() -> impl Strategy<Value = Setting> {
    let text = "[ -~äß漢]{0,12}";
    prop_oneof![text.prop_map(Setting::One), prop::collection::vec(text, 0..4).prop_map(Setting::Many)]
}

/// Every setting by its dotted key, as serde_yaml reads them.
fn flat(text: &str) -> BTreeMap<String, Yaml> {
    fn walk(prefix: &str, value: &Yaml, out: &mut BTreeMap<String, Yaml>) {
        match value {
            Yaml::Mapping(map) => {
                for (key, value) in map {
                    walk(&format!("{prefix}.{}", key.as_str().unwrap()), value, out);
                }
            }
            other => {
                out.insert(prefix.trim_start_matches('.').to_owned(), other.clone());
            }
        }
    }
    let mut out = BTreeMap::new();
    if let value @ Yaml::Mapping(_) = serde_yaml::from_str(text).unwrap() {
        walk("", &value, &mut out);
    }
    out
}

/// A value as text, however YAML types it.
fn texts(value: &Yaml) -> Setting {
    let text = |value: &Yaml| match value {
        Yaml::String(text) => text.clone(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Bool(flag) => flag.to_string(),
        other => panic!("{other:?}"),
    };
    match value {
        Yaml::Sequence(items) => Setting::Many(items.iter().map(text).collect()),
        one => Setting::One(text(one)),
    }
}

/// The comments, in order. No value has their arrow.
fn comments(text: &str) -> Vec<&str> {
    ["# → a", "  #→", "# → why", "# → head", "# → i"]
        .iter()
        .flat_map(|comment| text.match_indices(comment))
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn another_parser_sees_exactly_the_one_setting_change(
        file in file(), at in any::<prop::sample::Index>(), new in any::<bool>(), to in setting(),
    ) {
        let name = if new { "aa.new.key".to_owned() } else { at.get(&file.keys).clone() };
        let edited = set_to(&file.text, &name, to.clone());
        prop_assert!(edited.is_ok(), "{:?} {:?}", edited, file.text);
        let edited = edited.unwrap();
        let (mut before, mut after) = (flat(&file.text), flat(&edited));
        before.remove(&name);
        prop_assert_eq!(after.remove(&name).map(|value| texts(&value)), Some(to));
        prop_assert_eq!(before, after);
        prop_assert_eq!(comments(&file.text), comments(&edited));
        prop_assert_eq!(file.text.contains("\r\n"), edited.contains("\r\n"));
        prop_assert_eq!(edited.replace("\r\n", "").contains('\n'), !file.text.contains("\r\n"));
    }

    #[test]
    fn another_parser_sees_exactly_the_one_setting_go(file in file(), at in any::<prop::sample::Index>()) {
        let name = at.get(&file.keys).clone();
        let edited = unset(&file.text, &name).unwrap();
        let (mut before, after) = (flat(&file.text), flat(&edited));
        before.remove(&name);
        prop_assert_eq!(before, after);
        prop_assert_eq!(comments(&file.text), comments(&edited));
    }

    #[test]
    fn whatever_the_text_it_is_edited_right_or_not_at_all(text in "[a-c:#\\[\\]{}'\"&*!|>\\-. \t\r\n,]{0,60}", to in setting()) {
        let name = key("a.b");
        let Ok(from) = current(&text, &name) else { return Ok(()) };
        let Ok(edited) = apply(&text, &[Edit::Set { key: name.clone(), from, to: to.clone() }]) else { return Ok(()) };
        prop_assert_eq!(current(&edited, &name), Ok(Some(to)));
    }
}
