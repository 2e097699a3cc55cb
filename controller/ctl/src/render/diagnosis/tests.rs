//! Each `golden/NAME.json` is shown as `golden/NAME.txt`. `UPDATE_GOLDEN=1` writes the texts anew, for review.

use std::fs;
use std::path::Path;

use super::*;
use crate::terminal::tests::terminal;

fn read(name: &str) -> Diagnosis {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/render/diagnosis/golden/{name}.json"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn check(name: &str, shown: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/render/diagnosis/golden/{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, shown).unwrap();
    }
    assert_eq!(shown, fs::read_to_string(&path).unwrap(), "{name}");
}

fn screen() -> Terminal {
    Terminal { height: Some(24), ..terminal(80) }
}

#[test]
fn every_diagnosis_fits_a_screen() {
    let names = [
        "bound-to-loopback",
        "host-firewall",
        "undetermined",
        "gaps",
        "healthy",
        "https-required",
        "bootstrap-check",
        "path-permission",
    ];
    for name in names {
        let shown = diagnosis(&read(name), &screen(), false);
        // As many rows as a terminal makes of it, with the prompt below it.
        let rows: usize = shown.lines().map(|line| line.chars().count().div_ceil(80).max(1)).sum();
        assert!(rows <= 23, "{name} has {rows} rows:\n{shown}");
        check(name, &shown);
    }
}

#[test]
fn a_fix_that_can_be_approved_says_how() {
    let mut asked = read("host-firewall");
    let shown = |asked: &Diagnosis| diagnosis(asked, &screen(), false).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!shown(&asked).contains("dialtone approve"));
    asked.remedies[0].plan_id = Some("09cfd0aaced3d8f6".to_owned());
    assert!(shown(&asked).contains("(by the node: dialtone approve 09cfd0aaced3d8f6)"), "{}", shown(&asked));
}

#[test]
fn verbose_leaves_nothing_out() {
    let shown = diagnosis(&read("bound-to-loopback"), &screen(), true);
    assert!(!shown.contains('…'), "{shown}");
    check("bound-to-loopback.verbose", &shown);
    check("gaps.verbose", &diagnosis(&read("gaps"), &screen(), true));
}

#[test]
fn a_wide_terminal_is_used() {
    let wide = Terminal { height: Some(40), ..terminal(120) };
    check("bound-to-loopback.wide", &diagnosis(&read("bound-to-loopback"), &wide, false));
}

#[test]
fn without_unicode_everything_is_ascii() {
    let shown = diagnosis(&read("bound-to-loopback"), &Terminal { unicode: false, ..screen() }, false);
    assert!(shown.is_ascii(), "{shown}");
    check("bound-to-loopback.ascii", &shown);
}

#[test]
fn colour_adds_nothing_but_colour() {
    for name in ["bound-to-loopback", "undetermined", "healthy"] {
        let plain = diagnosis(&read(name), &screen(), false);
        let coloured = diagnosis(&read(name), &Terminal { colour: true, ..screen() }, false);
        let mut stripped = String::new();
        for (n, part) in coloured.split('\u{1b}').enumerate() {
            stripped.push_str(if n == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        let trimmed: Vec<&str> = stripped.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
    }
}

#[test]
fn a_hostile_node_cannot_act_on_the_terminal() {
    for verbose in [false, true] {
        let shown = diagnosis(&read("hostile"), &screen(), verbose);
        assert!(shown.contains("\\u{1b}]0;owned"), "{shown}");
        assert!(!shown.chars().any(|c| c != '\n' && c.is_control() || c == '\u{202e}'), "{shown:?}");
    }
}

#[test]
fn any_width_is_laid_out() {
    for width in [0, 1, 20, 40, 79, 500] {
        for name in ["bound-to-loopback", "hostile"] {
            let terminal = Terminal { height: Some(5), ..terminal(width) };
            let shown = diagnosis(&read(name), &terminal, false);
            assert!(shown.starts_with('✗'));
        }
    }
}
