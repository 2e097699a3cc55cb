//! The little of XML that firewalld's files use: elements and attributes.

/// A start or end of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tag {
    /// `<name a="b">`, or `<name a="b"/>`, which is followed by its end.
    Start {
        /// Name.
        name: String,
        /// In the order written.
        attributes: Vec<(String, String)>,
    },
    /// `</name>`.
    End {
        /// Name.
        name: String,
    },
}

/// The tags of a document in order, and what ended the reading early. Text, comments and declarations are passed over.
pub(super) fn tags(mut text: &str) -> (Vec<Tag>, Option<String>) {
    let mut tags = Vec::new();
    while let Some((_, rest)) = text.split_once('<') {
        let (end, skip) = match rest {
            _ if rest.starts_with("!--") => ("-->", true),
            _ if rest.starts_with('?') => ("?>", true),
            _ if rest.starts_with('!') => (">", true),
            _ => (">", false),
        };
        let Some((inside, after)) = split_outside_quotes(rest, end, skip) else {
            return (tags, Some("a tag has no end".to_owned()));
        };
        if !skip {
            tags.extend(tag(inside));
        }
        text = after;
    }
    (tags, None)
}

/// Splits at `end`, not minding one inside a quoted value.
fn split_outside_quotes<'a>(text: &'a str, end: &str, plain: bool) -> Option<(&'a str, &'a str)> {
    if plain {
        return text.split_once(end);
    }
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '>' => return Some((text.get(..at)?, text.get(at + 1..)?)),
            None => {}
        }
    }
    None
}

fn tag(inside: &str) -> Vec<Tag> {
    if let Some(name) = inside.strip_prefix('/') {
        return vec![Tag::End { name: name.trim().to_owned() }];
    }
    let (inside, empty) = inside.strip_suffix('/').map_or((inside, false), |inside| (inside, true));
    let (name, rest) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
    let start = Tag::Start { name: name.to_owned(), attributes: attributes(rest) };
    if empty { vec![start, Tag::End { name: name.to_owned() }] } else { vec![start] }
}

fn attributes(mut text: &str) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    while let Some((name, rest)) = text.split_once('=') {
        let rest = rest.trim_start();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else { break };
        let Some((value, after)) = rest.get(1..).and_then(|rest| rest.split_once(quote)) else { break };
        attributes.push((name.trim().to_owned(), unescaped(value)));
        text = after;
    }
    attributes
}

fn unescaped(value: &str) -> String {
    value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_attributes_and_passes_over_the_rest() {
        let (tags, problem) = tags(
            r#"<?xml version="1.0"?><!-- <x a="1"/> --><zone target='DROP'><short>A &lt; b</short><log prefix="a>b &amp; c"/>"#,
        );
        assert_eq!(problem, None);
        let names: Vec<&str> = tags
            .iter()
            .map(|tag| match tag {
                Tag::Start { name, .. } | Tag::End { name } => name.as_str(),
            })
            .collect();
        assert_eq!(names, ["zone", "short", "short", "log", "log"]);
        assert_eq!(
            tags[3],
            Tag::Start { name: "log".to_owned(), attributes: vec![("prefix".to_owned(), "a>b & c".to_owned())] }
        );
    }

    #[test]
    fn a_cut_document_is_read_as_far_as_it_goes() {
        let (read, problem) = tags("<zone><port port=\"92");
        assert_eq!(read.len(), 1);
        assert!(problem.is_some());
        assert_eq!(tags("<<<>>>=\"").0.len(), 1);
    }
}
