//! A page of styled lines. Text enters it through [`Page::span`] only, which makes it safe to show and fit for the terminal.

use common_model::text::printable_line;

use crate::terminal::Terminal;

/// What a piece of text is. Colour only repeats what the words say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Strong,
    Dim,
    Passed,
    Good,
    Bad,
    Warning,
    Command,
    Added,
    Removed,
    Marked,
}

impl Style {
    /// The parameters of the terminal's "select graphic rendition"; empty for none.
    fn parameters(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Strong => "1",
            Style::Dim => "2",
            Style::Passed => "32",
            Style::Good => "1;32",
            Style::Bad => "1;31",
            Style::Warning => "1;33",
            Style::Command => "36",
            Style::Added => "32",
            Style::Removed => "31",
            Style::Marked => "7",
        }
    }
}

/// A piece of one line in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    text: String,
    style: Style,
}

impl Span {
    /// What it says; safe to show.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// Columns it takes.
    pub(crate) fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// Lines from top to bottom. None is wider than the page, except what must stay whole to be pasted.
#[derive(Debug)]
pub(crate) struct Page {
    lines: Vec<Vec<Span>>,
    width: usize,
    unicode: bool,
    colour: bool,
}

impl Page {
    pub(crate) fn new(terminal: &Terminal) -> Self {
        Self { lines: Vec::new(), width: terminal.width.max(40), unicode: terminal.unicode, colour: terminal.colour }
    }

    /// Rows it takes on the terminal.
    pub(crate) fn height(&self) -> usize {
        let rows = |line: &Vec<Span>| line.iter().map(Span::width).sum::<usize>().div_ceil(self.width).max(1);
        self.lines.iter().map(rows).sum()
    }

    /// How many lines there are.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The lines, from the top.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[Span]> {
        self.lines.iter().map(Vec::as_slice)
    }

    /// Adds lines of another page: those after the first `skip`, at most `take`.
    pub(crate) fn append(&mut self, other: Page, skip: usize, take: usize) {
        self.lines.extend(other.lines.into_iter().skip(skip).take(take));
    }

    /// Puts another page before this line.
    pub(crate) fn insert(&mut self, line: usize, other: Page) {
        let at = line.min(self.lines.len());
        self.lines.splice(at..at, other.lines);
    }

    /// Breaks lines that were left whole to be pasted, for a screen from which nobody pastes what does not fit it.
    pub(crate) fn fold(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        for line in lines {
            let text: String = line.iter().map(Span::text).collect();
            if text.chars().count() <= self.width {
                self.lines.push(line);
                continue;
            }
            let hang = text.chars().take_while(|c| *c == ' ').count() + 2;
            self.flow(hang.min(self.width / 2), &line);
        }
    }

    /// Cuts it, or adds empty lines, so that it has this many.
    pub(crate) fn fill(&mut self, lines: usize) {
        self.lines.resize(lines, Vec::new());
    }

    /// Marks a line that begins with a margin: by a sign there, and in reverse.
    pub(crate) fn mark(&mut self, line: usize) {
        let sign = self.span("▸ ", Style::Marked);
        if let Some(spans) = self.lines.get_mut(line) {
            let text: String = spans.iter().map(Span::text).collect();
            let rest = text.chars().skip(sign.width()).collect();
            *spans = vec![sign, Span { text: rest, style: Style::Marked }];
        }
    }

    /// Makes text fit to be shown: one line, nothing a terminal acts on, and plain ASCII where the locale wants it.
    pub(crate) fn span(&self, text: &str, style: Style) -> Span {
        let text = printable_line(text);
        Span { text: if self.unicode { text } else { to_ascii(&text) }, style }
    }

    /// An empty line, unless there is one already.
    pub(crate) fn blank(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(Vec::new());
        }
    }

    /// One line as it is, however long, so that it can be pasted. Begins further left where it then fits.
    pub(crate) fn whole(&mut self, indent: usize, text: &str, style: Style) {
        let span = self.span(text, style);
        let fits = |indent: usize| indent + span.width() <= self.width;
        let indent = if !fits(indent) && fits(2) { 2 } else { indent };
        self.lines.push(vec![self.margin(indent), span]);
    }

    /// One line, cut at the edge.
    pub(crate) fn cut(&mut self, indent: usize, text: &str, style: Style) {
        let span = self.fit(self.span(text, style), self.width.saturating_sub(indent));
        let line = vec![self.margin(indent), span];
        self.lines.push(line);
    }

    /// Spans one after the other, broken between words; lines after the first are indented by `hang`.
    pub(crate) fn flow(&mut self, hang: usize, spans: &[Span]) {
        let room = self.width.saturating_sub(hang).max(1);
        let mut line = Vec::new();
        let mut column = 0;
        for span in spans {
            for word in span.text.split_inclusive(' ').flat_map(|word| pieces(word, room)) {
                if column + word.trim_end().chars().count() > self.width && column > hang {
                    trim_end(&mut line);
                    self.lines.push(std::mem::replace(&mut line, vec![self.margin(hang)]));
                    column = hang;
                }
                column += word.chars().count();
                line.push(Span { text: word.to_owned(), style: span.style });
            }
        }
        self.lines.push(line);
    }

    /// Rows under their headings, each column as wide as its widest cell.
    pub(crate) fn table<const N: usize>(&mut self, headings: [Span; N], rows: Vec<[Span; N]>) {
        let mut widths = [0; N];
        for row in rows.iter().chain([&headings]) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        for row in std::iter::once(headings).chain(rows) {
            self.row(&widths, row.into());
        }
    }

    /// Cells next to each other, padded to these widths where there is one, cut at the edge.
    pub(crate) fn row(&mut self, widths: &[usize], cells: Vec<Span>) {
        const GAP: usize = 2;
        let mut line = Vec::new();
        let mut column = 0;
        for (n, cell) in cells.into_iter().enumerate() {
            let cell = self.fit(cell, self.width.saturating_sub(column));
            let padding = widths.get(n).map_or(0, |width| (width + GAP).saturating_sub(cell.width()));
            column += cell.width() + padding;
            line.push(cell);
            line.push(self.margin(padding));
        }
        self.lines.push(line);
    }

    /// The page as text, each line ended by a newline.
    pub(crate) fn to_text(&self) -> String {
        let mut out = String::new();
        for line in &self.lines {
            out.push_str(self.line_text(line).trim_end());
            out.push('\n');
        }
        out
    }

    fn line_text(&self, line: &[Span]) -> String {
        let mut out = String::new();
        for run in line.chunk_by(|a, b| a.style == b.style) {
            let parameters = run.first().map_or("", |span| span.style.parameters());
            let text: String = run.iter().map(|span| span.text.as_str()).collect();
            if self.colour && !parameters.is_empty() {
                out.push_str(&format!("\u{1b}[{parameters}m{text}\u{1b}[0m"));
            } else {
                out.push_str(&text);
            }
        }
        out
    }

    fn fit(&self, mut span: Span, room: usize) -> Span {
        if span.width() > room {
            let ellipsis = if self.unicode { "…" } else { "..." };
            let kept = room.saturating_sub(ellipsis.chars().count());
            span.text = span.text.chars().take(kept).chain(ellipsis.chars()).take(room).collect();
        }
        span
    }

    fn margin(&self, indent: usize) -> Span {
        Span { text: " ".repeat(indent), style: Style::Plain }
    }
}

/// Takes away the blank a line would end with: it may be one too many for the width.
fn trim_end(line: &mut [Span]) {
    if let Some(last) = line.last_mut() {
        last.text.truncate(last.text.trim_end().len());
    }
}

/// A word cut into pieces of at most `room` characters.
fn pieces(word: &str, room: usize) -> Vec<&str> {
    let mut rest = word;
    let mut pieces = Vec::new();
    while let Some((cut, _)) = rest.char_indices().nth(room) {
        let (piece, after) = rest.split_at(cut);
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// What stands for our signs where the locale is not UTF-8.
fn to_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_ascii() => out.push(c),
            '✓' => out.push_str("ok"),
            '✗' => out.push_str("FAIL"),
            '·' => out.push('.'),
            '─' | '—' | '–' | '−' => out.push('-'),
            '└' => out.push('`'),
            '←' => out.push_str("<-"),
            '→' => out.push_str("->"),
            '…' => out.push_str("..."),
            '≤' => out.push_str("<="),
            '≥' => out.push_str(">="),
            '“' | '”' => out.push('"'),
            '‘' | '’' => out.push('\''),
            '▸' => out.push('>'),
            '↑' => out.push('^'),
            '↓' => out.push('v'),
            '●' => out.push('*'),
            '○' => out.push('o'),
            _ => out.push('?'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: usize, unicode: bool, colour: bool) -> Page {
        Page { lines: Vec::new(), width, unicode, colour }
    }

    #[test]
    fn flows_between_words_and_breaks_words_that_do_not_fit() {
        let mut page = page(12, true, false);
        let spans = [page.span("one two ", Style::Strong), page.span("three abcdefghijklmnop", Style::Plain)];
        page.flow(2, &spans);
        assert_eq!(page.to_text(), "one two\n  three\n  abcdefghij\n  klmnop\n");
    }

    #[test]
    fn what_was_left_whole_is_folded_for_a_screen() {
        let mut page = page(12, true, false);
        page.whole(2, "one two three", Style::Command);
        page.whole(0, "short", Style::Plain);
        page.fold();
        assert_eq!(page.to_text(), "  one two\n    three\nshort\n");
    }

    #[test]
    fn foreign_text_cannot_act_on_the_terminal() {
        let mut page = page(80, true, true);
        page.whole(2, "a\u{1b}[2Jb\nc", Style::Plain);
        page.cut(0, "\u{9b}31m", Style::Dim);
        assert_eq!(page.to_text(), "  a\\u{1b}[2Jb c\n\u{1b}[2m\\u{9b}31m\u{1b}[0m\n");
    }

    #[test]
    fn a_locale_without_utf_8_gets_ascii() {
        let mut page = page(12, false, false);
        page.cut(0, "✗ é → 12345678901", Style::Plain);
        assert_eq!(page.to_text(), "FAIL ? ->...\n");
        assert!(page.to_text().is_ascii());
    }
}
