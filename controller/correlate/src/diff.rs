//! Line differences of small texts, in unified form.

/// Lines of context around a change.
const CONTEXT: usize = 2;
/// Above this many pairs of lines the changed middle is shown as one block instead of being aligned.
const ALIGNED: usize = 1_000_000;
/// Characters of a diff kept at most.
const LONGEST: usize = 8_000;

#[derive(Clone, Copy)]
enum Edit<'a> {
    Keep(&'a str),
    Remove(&'a str),
    Add(&'a str),
}

/// The unified diff from `old` to `new`, with `path` in its header; empty when they are equal.
pub fn unified(path: &str, old: &str, new: &str) -> String {
    between(path, path, old, new, CONTEXT)
}

/// As [`unified`], with a path for each side and so many lines of context.
pub fn between(old_path: &str, new_path: &str, old: &str, new: &str, context: usize) -> String {
    if old == new {
        return String::new();
    }
    let edits = edits(&old.lines().collect::<Vec<_>>(), &new.lines().collect::<Vec<_>>());
    let mut out = format!("--- {old_path}\n+++ {new_path}\n");
    for hunk in hunks(&edits, context) {
        out.push_str(&hunk);
    }
    if out.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| out.is_char_boundary(*end)).unwrap_or_default();
        out.truncate(end);
        out.push_str("\n…\n");
    }
    out
}

/// The text before a change, from its diff and the text after it. None when the diff is not whole, or the text is another by now.
pub fn before(diff: &str, new: &str) -> Option<String> {
    let end = if new.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines: Vec<&str> = new.lines().collect();
    let mut hunks: Vec<(usize, Vec<&str>, Vec<&str>)> = Vec::new();
    for line in diff.lines().skip(2) {
        if let Some(position) = line.strip_prefix("@@ ") {
            hunks.push((new_start(position)?, Vec::new(), Vec::new()));
            continue;
        }
        let (_, removed, added) = hunks.last_mut()?;
        match line.split_at_checked(1)? {
            (" ", line) => {
                removed.push(line);
                added.push(line);
            }
            ("-", line) => removed.push(line),
            ("+", line) => added.push(line),
            _ => return None,
        }
    }
    // From the last to the first, so that the positions of those before stay.
    for (at, removed, added) in hunks.into_iter().rev() {
        let range = at..at.checked_add(added.len())?;
        if lines.get(range.clone())? != added.as_slice() {
            return None;
        }
        lines.splice(range, removed);
    }
    Some(lines.into_iter().flat_map(|line| [line, end]).collect())
}

/// The index of the first new line of `-2,5 +2,5 @@`; a side without lines names the line before it.
fn new_start(position: &str) -> Option<usize> {
    let (_, new) = position.split_once('+')?;
    let (start, count) = new.strip_suffix(" @@")?.split_once(',')?;
    let start: usize = start.parse().ok()?;
    if count == "0" { Some(start) } else { start.checked_sub(1) }
}

fn edits<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Edit<'a>> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count().min(most);
    let middle = |lines: &[&'a str]| lines.get(head..lines.len() - tail).unwrap_or_default().to_vec();
    let mut edits: Vec<Edit<'a>> = old.iter().take(head).map(|line| Edit::Keep(line)).collect();
    edits.extend(aligned(&middle(old), &middle(new)));
    edits.extend(old.iter().skip(old.len() - tail).map(|line| Edit::Keep(line)));
    edits
}

/// The shortest edits by longest common subsequence.
fn aligned<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Edit<'a>> {
    let removed = old.iter().map(|line| Edit::Remove(line));
    let added = new.iter().map(|line| Edit::Add(line));
    if old.len().saturating_mul(new.len()) > ALIGNED {
        return removed.chain(added).collect();
    }
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            let (here, below, right) = (i * width + j, (i + 1) * width + j, i * width + j + 1);
            longest[here] = if a == b { longest[below + 1] + 1 } else { longest[below].max(longest[right]) };
        }
    }
    let (mut i, mut j, mut edits) = (0, 0, Vec::new());
    while let (Some(a), Some(b)) = (old.get(i), new.get(j)) {
        if a == b {
            edits.push(Edit::Keep(a));
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            edits.push(Edit::Remove(a));
            i += 1;
        } else {
            edits.push(Edit::Add(b));
            j += 1;
        }
    }
    edits.extend(old.iter().skip(i).map(|line| Edit::Remove(line)));
    edits.extend(new.iter().skip(j).map(|line| Edit::Add(line)));
    edits
}

fn hunks(edits: &[Edit<'_>], context: usize) -> Vec<String> {
    let changed: Vec<usize> =
        edits.iter().enumerate().filter(|(_, edit)| !matches!(edit, Edit::Keep(_))).map(|(at, _)| at).collect();
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for at in changed {
        let (from, to) = (at.saturating_sub(context), (at + context + 1).min(edits.len()));
        match ranges.last_mut() {
            Some(last) if from <= last.1 => last.1 = to,
            _ => ranges.push((from, to)),
        }
    }
    ranges.into_iter().map(|(from, to)| hunk(edits, from, to)).collect()
}

fn hunk(edits: &[Edit<'_>], from: usize, to: usize) -> String {
    let old_lines = |edits: &[Edit<'_>]| edits.iter().filter(|edit| !matches!(edit, Edit::Add(_))).count();
    let new_lines = |edits: &[Edit<'_>]| edits.iter().filter(|edit| !matches!(edit, Edit::Remove(_))).count();
    let before = edits.get(..from).unwrap_or_default();
    let within = edits.get(from..to).unwrap_or_default();
    let (old, new) = (old_lines(within), new_lines(within));
    // A side without lines is placed after the line before it.
    let start = |before: usize, count: usize| if count == 0 { before } else { before + 1 };
    let mut text = format!("@@ -{},{old} +{},{new} @@\n", start(old_lines(before), old), start(new_lines(before), new));
    for edit in within {
        let (sign, line) = match edit {
            Edit::Keep(line) => (' ', line),
            Edit::Remove(line) => ('-', line),
            Edit::Add(line) => ('+', line),
        };
        text.push(sign);
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{before, unified};

    #[test]
    fn shows_what_changed_with_its_lines() {
        let old = "a\nb\nc\nd\ne\nf\n";
        let new = "a\nb\nc\nX\ne\nf\n";
        assert_eq!(unified("/etc/x", old, new), "--- /etc/x\n+++ /etc/x\n@@ -2,5 +2,5 @@\n b\n c\n-d\n+X\n e\n f\n");
        assert_eq!(unified("/etc/x", old, old), "");
    }

    #[test]
    fn far_changes_are_hunks_of_their_own() {
        let old: String = (0..30).map(|n| format!("{n}\n")).collect();
        let new = old.replace("\n3\n", "\nthree\n").replace("\n25\n", "\n");
        let diff = unified("x", &old, &new);
        assert_eq!(diff.matches("@@ -").count(), 2, "{diff}");
        assert!(diff.contains("-25\n"), "{diff}");
    }

    #[test]
    fn additions_to_nothing_and_removals_of_all() {
        assert_eq!(unified("x", "", "a\n"), "--- x\n+++ x\n@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(unified("x", "a\n", ""), "--- x\n+++ x\n@@ -1,1 +0,0 @@\n-a\n");
    }

    #[test]
    fn a_change_can_be_taken_back() {
        let old: String = (0..30).map(|n| format!("{n}\n")).collect();
        let edits =
            [old.replace("\n3\n", "\nthree\nIII\n").replace("\n25\n", "\n"), format!("new\n{old}"), "a\n".to_owned()];
        for new in edits {
            assert_eq!(before(&unified("x", &old, &new), &new).as_deref(), Some(old.as_str()));
        }
        assert_eq!(before(&unified("x", "", "a\n"), "a\n").as_deref(), Some(""));
        assert_eq!(before(&unified("x", "a\n", ""), "").as_deref(), Some("a\n"));
    }

    #[test]
    fn a_change_that_no_longer_stands_is_not_taken_back() {
        let diff = unified("x", "a\nb\nc\n", "a\nB\nc\n");
        assert_eq!(before(&diff, "a\nX\nc\n"), None);
        assert_eq!(before(&diff, "a\n"), None);
        assert_eq!(before(&format!("{diff}…\n"), "a\nB\nc\n"), None);
        assert_eq!(before("--- x\n+++ x\n@@ -1,1 +18446744073709551615,1 @@\n-a\n+b\n", "b\n"), None);
    }
}
