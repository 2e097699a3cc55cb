//! What speaks for and against a restart.

use common_model::preflight::{Answer, Check, Preflight, Question};

use super::{Page, Style};
use crate::terminal::Terminal;

/// One part for each engine: the answer, then what speaks against it, then what is not known, then what was fine.
pub(crate) fn page(judged: &[Preflight], terminal: &Terminal) -> Page {
    let mut page = Page::new(terminal);
    for (n, one) in judged.iter().enumerate() {
        if n > 0 {
            page.blank();
        }
        engine(&mut page, one);
    }
    page
}

fn engine(page: &mut Page, judged: &Preflight) {
    let worst = judged.starts.max(judged.reachable);
    let (sign, style) = sign(worst);
    let spans = [page.span(&format!("{sign} "), style), page.span(&capitalised(&judged.sentence), Style::Strong)];
    page.flow(2, &spans);
    page.blank();
    for passes in [Answer::No, Answer::Unknown, Answer::Yes] {
        for check in judged.checks.iter().filter(|check| check.passes == passes && check.about != Question::Note) {
            line(page, check);
        }
    }
    for note in judged.checks.iter().filter(|check| check.about == Question::Note) {
        let spans = [page.span("  ! ", Style::Warning), page.span(&note.sentence, Style::Plain)];
        page.flow(4, &spans);
    }
    if !judged.listens.is_empty() {
        page.flow(4, &[page.span(&format!("    listens on {}", judged.listens.join(", ")), Style::Plain)]);
    }
    for text in &judged.not_looked_at {
        page.flow(4, &[page.span(&format!("    not looked at: {text}"), Style::Dim)]);
    }
}

fn line(page: &mut Page, check: &Check) {
    let (sign, style) = sign(check.passes);
    let source = if check.source.is_empty() { String::new() } else { format!("  ({})", check.source) };
    let spans = [
        page.span(&format!("  {sign} "), style),
        page.span(&check.sentence, Style::Plain),
        page.span(&source, Style::Dim),
    ];
    page.flow(4, &spans);
}

fn sign(answer: Answer) -> (&'static str, Style) {
    match answer {
        Answer::Yes => ("✓", Style::Good),
        Answer::Unknown => ("?", Style::Warning),
        Answer::No => ("✗", Style::Bad),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use common_model::preflight::PREFLIGHT_SCHEMA;

    use super::*;
    use crate::plan::tests::NOW;
    use crate::terminal::tests::terminal;

    #[test]
    fn what_speaks_against_it_comes_first() {
        let check = |id: &str, passes, sentence: &str| Check {
            id: id.to_owned(),
            about: Question::Start,
            passes,
            sentence: sentence.to_owned(),
            source: "ss -ltnp".to_owned(),
        };
        let judged = Preflight {
            schema: PREFLIGHT_SCHEMA.to_owned(),
            node: "es-1".parse().unwrap(),
            engine: "elasticsearch".to_owned(),
            at: NOW,
            starts: Answer::No,
            reachable: Answer::No,
            sentence: "elasticsearch on es-1 would not start again: nginx holds port 9200\u{1b}[2J".to_owned(),
            listens: vec!["*:9200".to_owned()],
            checks: vec![check("a", Answer::Yes, "fine"), check("b", Answer::No, "nginx holds port 9200")],
            not_looked_at: vec!["the heap".to_owned()],
        };
        let text = page(&[judged], &terminal(80)).to_text();
        let expected = "✗ Elasticsearch on es-1 would not start again: nginx holds port 9200\\u{1b}[2J\n\n  \
                        ✗ nginx holds port 9200  (ss -ltnp)\n  ✓ fine  (ss -ltnp)\n    listens on *:9200\n    \
                        not looked at: the heap\n";
        assert_eq!(text, expected);
    }
}
