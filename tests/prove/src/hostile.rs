//! Text that would act on a terminal, and the look whether any of it got there.

use fastrand::Rng;
use serde_json::Value;

/// A line that a reader would take for one of ours.
const FORGED: &str = "FORGED: all is well";

/// What is put together: sequences that move the cursor, set the title, the clipboard or a link, reorder or hide text, and ends of
/// lines, of strings and of bytes where none belong.
const PIECES: &[&str] = &[
    "\u{1b}[2J",
    "\u{1b}[7777;1H",
    "\u{1b}[31m",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]52;c;aGFja2Vk\u{7}",
    "\u{1b}]8;;http://evil.example\u{1b}\\here\u{1b}]8;;\u{1b}\\",
    "\u{1b}P+q544e\u{1b}\\",
    "\u{1b}c",
    "\u{9b}2J",
    "\u{9d}52;c;aGFja2Vk\u{9c}",
    "\u{85}",
    "\r",
    "\rovertyped",
    "\u{8}\u{8}\u{8}",
    "\u{7f}",
    "\u{7}",
    "\0",
    "\u{b}\u{c}",
    "\u{e}\u{f}",
    "\n",
    "\nFORGED: all is well",
    "\r\nFORGED: all is well",
    "\t",
    "\u{202e}lla si llew",
    "\u{2066}\u{2069}",
    "\u{200f}",
    "\u{61c}",
    "\u{200b}\u{200d}\u{2060}",
    "\u{feff}",
    "\u{ad}",
    "\u{180e}",
    "\u{2028}\u{2029}",
    "\u{fff9}\u{fffb}",
    "\u{e0041}\u{e007f}",
    "\u{fffd}",
    "\"}",
    "'",
    "\\",
    "%s%n",
    "{{x}}",
    "näher ✓",
    "word",
];

/// One such text; one in fifty is longer than any line.
pub(crate) fn text(rng: &mut Rng) -> String {
    let mut text: String = (0..rng.usize(1..5)).map(|_| PIECES[rng.usize(..PIECES.len())]).collect();
    if rng.u8(..50) == 0 {
        text.insert_str(0, &"long".repeat(rng.usize(100..3000)));
    }
    text
}

/// Puts such texts into the strings of a body, each with this probability in a hundred: JSON, or what a program printed. How many.
pub(crate) fn spoil(body: &[u8], percent: u8, rng: &mut Rng) -> (Vec<u8>, u64) {
    let mut planted = 0;
    let mut spoiled = match serde_json::from_slice(body) {
        Ok(mut value) => {
            spoil_value(&mut value, percent, rng, &mut planted);
            value.to_string().into_bytes()
        }
        Err(_) => {
            let printed = String::from_utf8_lossy(body).into_owned();
            spoil_lines(&printed, percent, rng, &mut planted).into_bytes()
        }
    };
    if rng.u8(..100) == 0 {
        // No UTF-8, anywhere.
        spoiled.insert(rng.usize(..=spoiled.len()), 0xff);
        planted += 1;
    }
    (spoiled, planted)
}

fn spoil_value(value: &mut Value, percent: u8, rng: &mut Rng, planted: &mut u64) {
    match value {
        Value::String(said) if said.contains('\n') => *said = spoil_lines(said, percent, rng, planted),
        Value::String(said) if rng.u8(..100) < percent => {
            *planted += 1;
            let at = if rng.bool() { said.len() } else { 0 };
            said.insert_str(at, &text(rng));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| spoil_value(item, percent, rng, planted)),
        Value::Object(fields) => fields.values_mut().for_each(|field| spoil_value(field, percent, rng, planted)),
        _ => {}
    }
}

/// At the ends of lines, as a comment where that is one.
fn spoil_lines(lines: &str, percent: u8, rng: &mut Rng, planted: &mut u64) -> String {
    let spoiled = lines.split('\n').map(|line| {
        if rng.u8(..100) >= percent {
            return line.to_owned();
        }
        *planted += 1;
        format!("{line} {}{}", if rng.bool() { "# " } else { "" }, text(rng))
    });
    spoiled.collect::<Vec<_>>().join("\n")
}

/// Panics if something in it acts on a terminal, or passes for a line of ours.
pub(crate) fn check(what: &str, said: &[u8]) {
    let said = std::str::from_utf8(said).unwrap_or_else(|error| panic!("{what}: no UTF-8: {error}"));
    for line in said.lines() {
        let acts = line.chars().find(|c| *c != '\t' && acts(*c));
        assert!(acts.is_none(), "{what}: {acts:?} in {line:?}");
        assert!(!line.starts_with(FORGED), "{what}: a line of a node's own: {line:?}");
    }
    assert!(!said.contains('\r'), "{what}: a line is typed over");
}

/// Panics if something in what a full-screen program sent to its terminal is not its own.
pub(crate) fn check_screen(what: &str, sent: &[u8]) {
    let sent = std::str::from_utf8(sent).unwrap_or_else(|error| panic!("{what}: no UTF-8: {error}"));
    let own = |c: char| matches!(c, '\u{1b}' | '\n' | '\r' | '\t');
    let acts = sent.chars().find(|c| !own(*c) && acts(*c));
    assert!(acts.is_none(), "{what}: {acts:?} reached the terminal");
    // Strings that only nodes send: titles, clipboard, links, answers, a reset, and a place that is on no screen.
    for theirs in ["\u{1b}]", "\u{1b}P", "\u{1b}c", "\u{1b}\\", "[7777;"] {
        let shown = sent.split(theirs).next().unwrap_or_default();
        let own_place = theirs == "[7777;" && shown.ends_with("\\u{1b}");
        assert!(shown.len() == sent.len() || own_place, "{what}: {theirs:?} reached the terminal");
    }
}

/// Characters that act or hide, by Unicode's own lists: Cc, Cf but for what joins letters of scripts, and separators of lines.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn what_acts_is_found() {
        let bad = ["\u{1b}[31m", "x\ry", "\u{9b}", "\u{202e}", "\u{61c}", "\u{e0041}", "ok\nFORGED: all is well"];
        for said in bad {
            assert!(catch_unwind(|| check("x", said.as_bytes())).is_err(), "{said:?}");
        }
        check("x", "✗ näher\\u{1b}[2J\n\tFORGED: all is well\n".as_bytes());
        assert!(catch_unwind(|| check("x", b"\xff")).is_err());
        for sent in ["\u{1b}[H\u{1b}]0;x\u{7}", "\u{1b}[7777;1H", "\u{1b}[2J\u{202e}"] {
            assert!(catch_unwind(|| check_screen("x", sent.as_bytes())).is_err(), "{sent:?}");
        }
        check_screen("x", "\u{1b}[?1049h\u{1b}[2J\u{1b}[1;1H✗ \\u{1b}[7777;1H".as_bytes());
    }
}
