//! Making foreign text safe to show.

/// Replaces every character that a terminal could act on by a visible escape: control characters other than newline and
/// tab, the C1 range, and the Unicode controls that reorder text or have no width. What is left can be printed anywhere.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || c == '\t' || !acts_on_terminal(c) {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

/// [`printable`], on one line: newlines and tabs become spaces.
pub fn printable_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

fn acts_on_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_escapes_become_visible() {
        assert_eq!(printable("a\u{1b}[2Jb\r\u{9b}31m"), "a\\u{1b}[2Jb\\u{d}\\u{9b}31m");
        assert_eq!(printable("\u{202e}evil"), "\\u{202e}evil");
        assert_eq!(printable("\u{61c}\u{ad}\u{e0041}"), "\\u{61c}\\u{ad}\\u{e0041}");
        assert_eq!(printable("naïve\n\tok"), "naïve\n\tok");
        assert_eq!(printable_line("a\nb"), "a b");
    }
}
