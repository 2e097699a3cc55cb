//! The script of `nftables.service`: only what is written as blocks, `table FAMILY NAME { chain NAME { RULE … } }`. A chain that
//! is made in any other way, or in a file that is included, is not found.

use super::Rule;
use crate::step::Place;

pub(super) fn insert(
    content: &str,
    [family, table, chain]: [&str; 3],
    before: Option<&Place>,
    reply: bool,
    rule: &Rule,
) -> Option<String> {
    let heads = [format!("table {family} {table}"), format!("chain {chain}")];
    let mut bodies = chains(content).into_iter().filter(|body| body.is(&heads));
    let (body, None) = (bodies.next()?, bodies.next()) else { return None };
    let text = text(reply, rule);
    match before {
        Some(place) => {
            let wanted = squeezed(&place.rule);
            let (at, _) = body.rules.iter().find(|(start, end)| squeezed(slice(content, *start, *end)) == wanted)?;
            let (head, tail) = content.split_at_checked(*at)?;
            let gap = indent(head).map_or("; ".to_owned(), |indent| format!("\n{indent}"));
            Some(format!("{head}{text}{gap}{tail}"))
        }
        None => {
            let (head, tail) = content.split_at_checked(body.close.filter(|_| body.ended)?)?;
            Some(match indent(head) {
                Some(indent) => format!("{}{indent}\t{text}\n{indent}{tail}", head.strip_suffix(indent)?),
                None => format!("{head}{text}; {tail}"),
            })
        }
    }
}

pub(super) fn remove(content: &str, mark: &str) -> String {
    let comment = format!("comment \"{mark}\"");
    let rules = chains(content).into_iter().flat_map(|body| body.rules);
    let mut own: Vec<_> = rules.filter(|(start, end)| slice(content, *start, *end).ends_with(&comment)).collect();
    own.sort_unstable();
    let mut kept = content.to_owned();
    for (start, end) in own.into_iter().rev() {
        let (head, tail) = (slice(content, 0, start), slice(content, end, content.len()));
        // A line of its own goes as a whole, one of many on a line with what parts it from the next.
        let range = match (indent(head), tail.starts_with('\n')) {
            (Some(indent), true) => start - indent.len()..end + 1,
            _ => start..end + if tail.starts_with("; ") { 2 } else { 0 },
        };
        kept.replace_range(range, "");
    }
    kept
}

fn text(reply: bool, rule: &Rule) -> String {
    let Rule { source, port, mark } = rule;
    let ip = if source.address().is_ipv4() { "ip" } else { "ip6" };
    let (address, end) = if reply { ("daddr", "sport") } else { ("saddr", "dport") };
    format!("{ip} {address} {source} tcp {end} {port} accept comment \"{mark}\"")
}

/// Every piece comes from the scan below, which cuts between characters of ASCII only.
fn slice(content: &str, start: usize, end: usize) -> &str {
    content.get(start..end).unwrap_or_default()
}

/// The white space at the end of `head`, where nothing else is on its last line.
fn indent(head: &str) -> Option<&str> {
    let line = head.rsplit('\n').next()?;
    line.chars().all(|c| matches!(c, ' ' | '\t')).then_some(line)
}

/// A rule in the one form that nft's and a person's way to write it share: no quotes, no space, no counts.
fn squeezed(rule: &str) -> String {
    let mut words = rule.split_whitespace().peekable();
    let mut kept = String::new();
    while let Some(word) = words.next() {
        kept.push_str(word);
        if word == "counter" && words.peek() == Some(&"packets") {
            words.nth(3);
        }
    }
    kept.retain(|c| c != '"');
    kept
}

/// What stands between the braces of a chain.
struct Body {
    /// The words before each brace that is open here.
    heads: Vec<String>,
    /// Where each statement begins and ends.
    rules: Vec<(usize, usize)>,
    /// Where the brace is that closes it.
    close: Option<usize>,
    /// Whether the last statement before that brace has an end of its own.
    ended: bool,
}

impl Body {
    fn is(&self, heads: &[String; 2]) -> bool {
        // `table NAME` alone is of family ip.
        let written =
            |heads: &[String]| heads.iter().map(|head| head.replacen("table ip ", "table ", 1)).collect::<Vec<_>>();
        written(&self.heads) == written(heads)
    }
}

/// Every chain of the script that is written as a block.
fn chains(content: &str) -> Vec<Body> {
    let mut found = Vec::new();
    let mut open: Vec<Body> = Vec::new();
    let mut heads: Vec<String> = Vec::new();
    // Where the present statement begins, the end of what it has, and how many braces of its own are open.
    let (mut start, mut end, mut own) = (None, 0, 0_usize);
    let mut bytes = content.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        let in_chain = heads.last().is_some_and(|head| head.starts_with("chain "));
        let ends = match byte {
            b'#' => {
                while bytes.next_if(|(_, byte)| *byte != b'\n').is_some() {}
                continue;
            }
            // Goes on in the next line.
            b'\\' if bytes.next_if(|(_, byte)| *byte == b'\n').is_some() => continue,
            b'{' if in_chain || own > 0 => {
                own += 1;
                false
            }
            b'}' if own > 0 => {
                own -= 1;
                false
            }
            b'{' => {
                let head = slice(content, start.unwrap_or(at), at);
                heads.push(head.split_whitespace().collect::<Vec<_>>().join(" "));
                open.push(Body { heads: heads.clone(), rules: Vec::new(), close: None, ended: true });
                start = None;
                continue;
            }
            b'}' => true,
            b';' | b'\n' => own == 0,
            b' ' | b'\t' | b'\r' => continue,
            _ => false,
        };
        if !ends {
            start = start.or(Some(at));
            end = at + 1;
            if byte == b'"' {
                while bytes.next_if(|(_, byte)| *byte != b'"').is_some() {}
                end = bytes.next().map_or(content.len(), |(at, _)| at + 1);
            }
            continue;
        }
        let ended = start.is_none();
        if let (Some(start), Some(body)) = (start.take(), open.last_mut()) {
            body.rules.push((start, end));
        }
        if byte == b'}' {
            heads.pop();
            found.extend(open.pop().filter(|_| in_chain).map(|body| Body { close: Some(at), ended, ..body }));
        }
    }
    found
}
