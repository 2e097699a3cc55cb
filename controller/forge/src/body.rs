//! What a pull request says.
//!
//! The words around are fixed and hold only names of narrow shapes. Whatever a node or a client said stands in one fence, longer
//! than any run of backticks in it, and is broken up besides, so that it means nothing either where somebody takes it out of there.

use std::fmt::Write;

use common_model::text::printable_line;
use common_plan::{ConfigEdit, Plan, PlanId};

/// The longest line of evidence shown, in characters, and the most lines.
const MAX_LINE: usize = 500;
const MAX_LINES: usize = 40;
/// Between two characters that would mean something together. It has no width.
const BREAK: char = '\u{200b}';

/// Why the edit is asked for, in words that nobody has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evidence<'a> {
    /// What could not be reached.
    pub(crate) endpoint: &'a str,
    /// The verdict.
    pub(crate) sentence: &'a str,
    /// The lines that decide.
    pub(crate) lines: &'a [String],
    /// What can go wrong.
    pub(crate) risk: &'a str,
}

impl<'a> Evidence<'a> {
    /// As a plan has it.
    pub(crate) fn of(plan: &'a Plan) -> Self {
        let why = &plan.why;
        Self { endpoint: &plan.goal.endpoint, sentence: &why.sentence, lines: &why.evidence, risk: &plan.risk }
    }
}

/// The title, also the first line of the commit: of names only.
pub fn title(plan: &Plan, step: &ConfigEdit) -> String {
    format!("Edit {} for {}", step.path, plan.node)
}

/// The body. `approved_by` are names of operators.
pub fn body(id: &PlanId, plan: &Plan, step: &ConfigEdit, approved_by: &[String]) -> String {
    let evidence = evidence(&Evidence::of(plan));
    let fence = "`".repeat(longest_run(&evidence, '`').max(2) + 1);
    let approved: Vec<String> = approved_by.iter().map(|name| format!("`{}`", name.replace('`', ""))).collect();
    format!(
        "Dialtone proposes this edit of `{path}` for the node `{node}`. Cause: `{cause}`. Plan `{id}`, approved by {approved}.\n\
         \n\
         Merge it as it is, and the plan goes on: the file then has the SHA-256 `{to}`. Merged with anything else in that file, \
         or closed, it ends. Nothing changes on any node before it is rolled out.\n\
         \n\
         What was seen, in the words of the node and the client:\n\
         \n\
         {fence}text\n{evidence}{fence}\n",
        path = step.path,
        node = plan.node,
        cause = plan.goal.cause,
        approved = approved.join(", "),
        to = step.to,
    )
}

/// The message of the commit. Where there are no pull requests it is all that the reader gets.
pub fn commit_message(id: &PlanId, plan: &Plan, step: &ConfigEdit, approved_by: &[String]) -> String {
    let title = title(plan, step);
    let evidence = evidence(&Evidence::of(plan));
    format!("{title}\n\nProposed by Dialtone, plan {id}, approved by {}.\n\n{evidence}", approved_by.join(", "))
}

/// The lines of the fence, or of a commit's message.
pub(crate) fn evidence(evidence: &Evidence<'_>) -> String {
    let mut text = String::new();
    let lines = [("", evidence.endpoint), ("", evidence.sentence)];
    let lines = lines.into_iter().chain(evidence.lines.iter().take(MAX_LINES).map(|line| ("  ", line.as_str())));
    for (indent, line) in lines.chain([("Risk: ", evidence.risk)]) {
        let shown: String = inert(&printable_line(line)).chars().take(MAX_LINE).collect();
        // Indented, so that none begins with what a forge or git takes for a command.
        writeln!(text, "  {indent}{shown}").ok();
    }
    text
}

/// A line in which nothing is a mention, a reference, a link, a tag, an expression or the end of a fence.
fn inert(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        let Some(next) = chars.peek().copied() else { break };
        let means = match (c, next) {
            // @name, #1, !1, &1, ~label, GH-1
            ('@' | '~' | '%', _) => true,
            ('#' | '!' | '&', next) => next.is_ascii_digit(),
            ('-', next) => next.is_ascii_digit() && out.to_ascii_lowercase().ends_with("gh-"),
            // <tag>, [text](url), ![, ${{ x }}, {{ x }}, scheme://, www.
            ('<', _) | (']', '(' | '[' | ':') | ('$' | '{', '{') | (':', '/') | ('w' | 'W', '.') => true,
            _ => false,
        };
        if means {
            out.push(BREAK);
        }
    }
    out
}

fn longest_run(text: &str, of: char) -> usize {
    text.split(|c| c != of).map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common_model::Timestamp;
    use common_plan::{CarriedOutBy, Digest, Goal, SCHEMA, Step, Why};
    use proptest::prelude::*;
    use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

    fn step() -> ConfigEdit {
        ConfigEdit {
            repository: "config".parse().unwrap(),
            branch: "main".parse().unwrap(),
            path: "es/es-1/elasticsearch.yml".parse().unwrap(),
            from: Digest::of(b"a"),
            edits: Vec::new(),
            to: Digest::of(b"b"),
        }
    }

    fn plan(endpoint: &str, sentence: &str, evidence: Vec<String>, risk: &str) -> Plan {
        Plan {
            schema: SCHEMA.to_owned(),
            by: CarriedOutBy::Controller {},
            node: "es-1".parse().unwrap(),
            made_at: Timestamp(0),
            expires_at: Timestamp(0),
            step: Step::ConfigEdit(step()),
            why: Why { sentence: sentence.to_owned(), evidence },
            goal: Goal { endpoint: endpoint.to_owned(), cause: "bound-to-loopback".parse().unwrap() },
            risk: risk.to_owned(),
            undo: String::new(),
        }
    }

    fn rendered(plan: &Plan) -> String {
        body(&"0123456789abcdef".parse().unwrap(), plan, &step(), &["alice@example".to_owned()])
    }

    /// Everything but the fence's content, as a parser of the forges' dialect sees it.
    fn outside(markdown: &str) -> (usize, Vec<String>) {
        let (mut fences, mut inside, mut events) = (0, false, Vec::new());
        for event in Parser::new_ext(markdown, Options::all()) {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => (fences, inside) = (fences + 1, true),
                Event::End(TagEnd::CodeBlock) => inside = false,
                Event::Text(_) if inside => {}
                other => events.push(format!("{other:?}")),
            }
        }
        (fences, events)
    }

    fn hostile() -> impl Strategy<Value = String> {
        let pieces = [
            "```",
            "````````",
            "~~~",
            "\n",
            "\r",
            "\n```\n",
            "@alice",
            "@org/team",
            "#1",
            "!2",
            "GH-3",
            "fixes #4",
            "</details>",
            "<script>alert(1)</script>",
            "<!--",
            "-->",
            "[x](javascript:alert(1))",
            "![x](http://evil.example/p.png)",
            "http://evil.example",
            "www.evil.example",
            "${{ secrets.TOKEN }}",
            "{{ x }}",
            "$(reboot)",
            "`id`",
            "/close",
            "/assign @alice",
            "\u{1b}[2J",
            "\u{202e}",
            "\u{200b}",
            "[^1]",
            "|a|b|",
            "---",
            "# head",
            "- [ ] x",
            "&lt;",
            "\\",
            "\t",
            "a",
            " ",
            "Ω",
            "\u{feff}",
            "\0",
        ];
        prop::collection::vec(
            prop_oneof![3 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"],
            0..12,
        )
        .prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn it_says_what_is_to_be_known_before_a_merge() {
        let plan = plan(
            "http://es-1:9200",
            "es-1 listens on loopback only",
            vec!["yml:3: network.host: x".to_owned()],
            "It restarts.",
        );
        let text = rendered(&plan);
        assert_eq!(title(&plan, &step()), "Edit es/es-1/elasticsearch.yml for es-1");
        assert!(
            text.starts_with("Dialtone proposes this edit of `es/es-1/elasticsearch.yml` for the node `es-1`."),
            "{text}"
        );
        let fence = "```text\n  http:\u{200b}//es-1:9200\n  es-1 listens on loopback only\n    yml:3: network.host: x\n  Risk: It restarts.\n```\n";
        assert!(text.ends_with(fence), "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn no_text_gets_out_of_the_one_fence_or_means_anything(
            endpoint in hostile(), sentence in hostile(), lines in prop::collection::vec(hostile(), 0..4), risk in hostile(),
        ) {
            let harmless = plan("e", "s", vec!["l".to_owned(); lines.len()], "r");
            let plan = plan(&endpoint, &sentence, lines, &risk);
            let text = rendered(&plan);
            let (fences, around) = outside(&text);
            prop_assert_eq!(fences, 1);
            prop_assert_eq!(around, outside(&rendered(&harmless)).1);
            let inside = evidence(&Evidence::of(&plan));
            for meaning in ["${{", "{{", "://", "](", "<s", "</", "<!", "@a", "@o", "#1", "#4", "!2", "GH-3", "www.", "\u{1b}", "\u{202e}"] {
                prop_assert!(!inside.contains(meaning), "{meaning} in {inside:?}");
            }
            prop_assert!(inside.lines().all(|line| line.starts_with("  ")));
            prop_assert_eq!(title(&plan, &step()), title(&harmless, &step()));
        }
    }
}
