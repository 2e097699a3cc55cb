//! Settings files as people write them, and as they damage them.

use std::fmt::Write;

use fastrand::Rng;

/// Variables that files may name, with what the engines find in them.
pub(super) const VARIABLES: [(&str, &str); 2] = [("LAB_HOST", "10.0.0.9"), ("LAB_RACK", "r1")];

/// Parts of keys. None of them means anything to an engine before it starts, which some, such as `path`, do.
const NAMES: &[&str] = &[
    "network",
    "host",
    "http",
    "port",
    "discovery",
    "seed_hosts",
    "node",
    "attr",
    "rack-id",
    "a",
    "b",
    "c0",
    "0",
    "1",
    "action",
    "auto_create_index",
    "x_pack",
    "cors.enabled",
    "compression.level",
    "initial.master.nodes",
];

/// Values as they are written: what they are to YAML is the point of each.
const VALUES: &[&str] = &[
    "plain",
    "two words",
    "9200",
    "0",
    "-1",
    "+1",
    "010",
    "0x1F",
    "0o17",
    "0b11",
    "1_000",
    "1.10",
    ".5",
    "1e3",
    ".inf",
    ".NaN",
    "12:30:45",
    "2001-12-14",
    "true",
    "false",
    "True",
    "yes",
    "No",
    "on",
    "OFF",
    "y",
    "n",
    "~",
    "null",
    "NULL",
    "",
    "\"\"",
    "''",
    "127.0.0.1",
    "0.0.0.0",
    "::1",
    "\"::1\"",
    "fe80::1%eth0",
    "[::1]",
    "_site_",
    "_eth0:ipv4_",
    "a,b",
    "a, b",
    "it's",
    "5%",
    "C:\\data",
    "/var/lib/es",
    "http://h:9200/p?q=1#frag",
    "a#b",
    "a #b",
    "a: b",
    "a:b",
    "\"a: b\"",
    "'it''s'",
    "\"a\\\"b\"",
    "\"\\u00e9\\x41\\n\"",
    "\"a\\/b\"",
    "\"tab\\there\"",
    "\"a\tb\"",
    "'a\\b'",
    "\"#no\"",
    "'- x'",
    "*",
    "\"*\"",
    "-*",
    "@x",
    "`x`",
    "%x",
    "!x y",
    "!!str 1",
    "!!int \"1\"",
    "&n x",
    "*n",
    "- x",
    "-",
    "?",
    "? x",
    ":",
    ":x",
    "|",
    ">",
    "[a, b]",
    "[a, \"b, c\"]",
    "[ ]",
    "[]",
    "[a,]",
    "[a, , b]",
    "[1, true, ~]",
    "[a: b]",
    "[[a]]",
    "{}",
    "{x: 1}",
    "{x: 1, y: [2]}",
    "{x}",
    "[a",
    "a]",
    "{a",
    "\"a",
    "'a",
    "[a, b] # both",
    "[a,\n  b]",
    "[a, # one\n  b]",
    "{x: 1,\n  y: 2}",
    "\"over\n  two\"",
    "'over\n\n  three'",
    "over\n  two\n  three",
    "|\n  a\n  b",
    "|-\n    a\n   b",
    ">\n  a\n  b",
    ">+\n  a\n\n",
    "|2\n   a",
    "|\n# no\n",
    "${LAB_HOST}",
    "\"${LAB_HOST}:9300\"",
    "[${LAB_HOST}, x]",
    "x${LAB_RACK}y",
    "ü",
    "漢字",
    "🐘",
    "a\u{a0}b",
    "\u{feff}x",
    "a\u{2028}b",
    "a\u{85}b",
    "a\u{7f}b",
    "a\rb",
];

const COMMENTS: &[&str] = &[
    "# plain",
    "#",
    "#network.host: 1.2.3.4",
    "# a: [1, \"x",
    "#http.port: 1 # 2",
    "  # indented",
    "      # deep",
    "# - a",
    "# ---",
    "# ümläut",
    "#\ttab",
    "   ",
    "",
    "",
];

const TAILS: &[&str] = &["", "", "", "", "", " # why", "  #", "   ", " # a: [\"b"];

/// Characters that break or mend things.
const TROUBLE: &[char] = &[
    ' ', ' ', ' ', '\n', '\n', '\t', '\r', ':', ':', '#', '-', '-', '"', '\'', '[', ']', '{', '}', ',', '&', '*', '!',
    '|', '>', '%', '@', '?', '.', 'a', '0', '~', '\\', '$', '\u{feff}', '\u{85}', '\u{a0}', 'ü', '\0',
];

/// One file.
pub(super) fn draft(rng: &mut Rng) -> String {
    let mut text = String::new();
    if rng.u8(..12) == 0 {
        text.push_str(pick(rng, &["---\n", "--- # yml\n", "%YAML 1.1\n---\n", "\n---\n", "# head\n---\n"]));
    }
    let indent = if rng.u8(..15) == 0 { rng.usize(1..4) } else { 0 };
    // Most files hold nothing odd, as most files do.
    let odd = pick(rng, &[12, 60, 200]);
    block(rng, &mut text, indent, 0, odd);
    if rng.u8(..15) == 0 {
        text.push_str(pick(rng, &["...\n", "---\n", "...\n# after\n", "---\na: 1\n", "...\n---\nb: 2\n"]));
    }
    if rng.u8(..4) == 0 {
        for _ in 0..rng.usize(1..3) {
            text = damaged(rng, &text);
        }
    }
    if rng.u8(..4) == 0 {
        text = text.trim_end_matches('\n').to_owned();
    }
    match rng.u8(..10) {
        0 | 1 => text = text.replace('\n', "\r\n"),
        2 => text = text.replacen('\n', "\r\n", 1 + rng.usize(..3)),
        _ => {}
    }
    if rng.u8(..12) == 0 { format!("\u{feff}{text}") } else { text }
}

/// Some settings below each other.
fn block(rng: &mut Rng, text: &mut String, indent: usize, depth: usize, odd: u8) {
    let blank = " ".repeat(indent);
    let count = rng.usize(1..if depth == 0 { 7 } else { 4 });
    for _ in 0..count {
        while rng.u8(..3) == 0 {
            comment(rng, text, odd);
        }
        let name = key(rng, odd);
        let colon = if rng.u8(..odd) == 0 { pick(rng, &[" :", ":\t", ":  ", "  : "]) } else { ":" };
        match rng.u8(..10) {
            0..=1 if depth < 3 => {
                let tail = if rng.u8(..odd) == 0 { tail(rng, odd) } else { "" };
                writeln!(text, "{blank}{name}{colon}{tail}").unwrap_or_default();
                let deeper = indent + pick(rng, &[2, 2, 2, 4, 1, 3]);
                block(rng, text, deeper, depth + 1, odd);
            }
            2 => list(rng, text, (&blank, &name, colon), odd),
            _ => {
                let value = value(rng, odd).replace('\n', &format!("\n{blank}"));
                let tail = tail(rng, odd);
                let space = if value.is_empty() && tail.is_empty() { "" } else { " " };
                writeln!(text, "{blank}{name}{colon}{space}{value}{tail}").unwrap_or_default();
            }
        }
    }
}

fn comment(rng: &mut Rng, text: &mut String, odd: u8) {
    let line = if rng.u8(..odd) == 0 { "\t# behind a tab" } else { pick(rng, COMMENTS) };
    writeln!(text, "{line}").unwrap_or_default();
}

/// What follows a value.
fn tail(rng: &mut Rng, odd: u8) -> &'static str {
    if rng.u8(..odd) == 0 { pick(rng, &["\t", "\t# tab", "#glued"]) } else { pick(rng, TAILS) }
}

fn list(rng: &mut Rng, text: &mut String, (blank, name, colon): (&str, &str, &str), odd: u8) {
    writeln!(text, "{blank}{name}{colon}{}", tail(rng, odd)).unwrap_or_default();
    let inner = if rng.bool() { "" } else { "  " };
    for _ in 0..rng.usize(1..4) {
        let (value, tail) = (value(rng, odd).replace('\n', &format!("\n{blank}{inner}")), tail(rng, odd));
        writeln!(text, "{blank}{inner}- {value}{tail}").unwrap_or_default();
        if rng.u8(..6) == 0 {
            comment(rng, text, odd);
        }
    }
}

fn key(rng: &mut Rng, odd: u8) -> String {
    let parts: Vec<&str> = (0..rng.usize(2..4)).map(|_| pick(rng, NAMES)).collect();
    let key = parts.join(".");
    if rng.u8(..odd) > 0 {
        return key;
    }
    match rng.u8(..8) {
        0 => format!("\"{key}\""),
        1 => format!("'{key}'"),
        2 => format!("{key}."),
        3 => format!("? {key}\n"),
        4 => format!("&k {key}"),
        5 => "<<".to_owned(),
        6 => format!("{key} b"),
        _ => "true".to_owned(),
    }
}

fn value(rng: &mut Rng, odd: u8) -> String {
    if rng.u8(..odd) == 0 {
        return pick(rng, VALUES).to_owned();
    }
    match rng.u8(..6) {
        0 => rng.u32(..100_000).to_string(),
        1 => format!("\"{}\"", pick(rng, &["a b", "a#b", "x", "10.0.0.1:9300"])),
        2 => format!("[{}]", pick(rng, &["a", "a, b", "\"a\", 'b'", "10.0.0.1, 10.0.0.2:9300"])),
        _ => pick(rng, &["plain", "10.0.0.5", "true", "false", "node-1", "/var/lib/es", "two words", "es.example.org"])
            .to_owned(),
    }
}

/// With one thing done to it that a slip of the hand, or a merge, does.
fn damaged(rng: &mut Rng, text: &str) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    if lines.is_empty() {
        return pick(rng, TROUBLE).to_string();
    }
    let (at, other) = (rng.usize(..lines.len()), rng.usize(..lines.len()));
    match rng.u8(..8) {
        0 => lines.insert(other, lines[at].clone()),
        1 => drop(lines.remove(at)),
        2 => lines.swap(at, other),
        3 => lines[at].insert(0, ' '),
        4 => lines[at] = lines[at].trim_start_matches(' ').to_owned(),
        5 => {
            let characters: Vec<char> = lines[at].chars().collect();
            let gone = rng.usize(..characters.len());
            lines[at] = characters.iter().enumerate().filter(|(n, _)| *n != gone).map(|(_, c)| *c).collect();
        }
        _ => {
            let places: Vec<usize> = lines[at].char_indices().map(|(place, _)| place).collect();
            let place = pick(rng, &places);
            lines[at].insert(place, pick(rng, TROUBLE));
        }
    }
    lines.concat()
}

/// One of these.
pub(super) fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}
