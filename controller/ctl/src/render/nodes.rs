//! The inventory, and one node of it.

use common_model::Symptom;
use common_model::inventory::{EngineSummary, NodeSummary};
use common_model::time::clock_difference;

use super::diagnosis::symptom;
use super::page::Span;
use super::time::{ago, local_and_ago};
use super::{Page, Style};
use crate::report::{NodeReport, Reachability, Seen};
use crate::terminal::Terminal;

const HEADINGS: [&str; 7] = ["NODE", "AGENT", "ENGINE", "VERSION", "STATE", "ANSWERS", "LISTENS ON"];

/// One line per engine, or per node without one.
pub(crate) fn table(nodes: &[NodeReport], terminal: &Terminal) -> String {
    let mut page = Page::new(terminal);
    if nodes.is_empty() {
        let how = "No node is known yet. On a node: dialtone-agent join CONTROLLER --token T --ca-pin sha256:…";
        page.cut(0, how, Style::Plain);
        return page.to_text();
    }
    let rows: Vec<[Span; 7]> = nodes.iter().flat_map(|node| rows(&page, node, terminal)).collect();
    let headings = HEADINGS.map(|heading| page.span(heading, Style::Dim));
    page.table(headings, rows);
    for NodeReport { summary, .. } in nodes {
        if let Some(warning) = clock_warning(summary) {
            page.cut(0, &warning, Style::Warning);
        }
        for gap in &summary.gaps {
            page.cut(0, &format!("{}: cannot read {gap}", summary.name), Style::Warning);
        }
    }
    page.to_text()
}

/// That a node's times are not those of others, where its clock is off.
pub(super) fn clock_warning(node: &NodeSummary) -> Option<String> {
    let difference = clock_difference(node.clock_offset_ms?)?;
    Some(format!("{}: its clock is {difference} the controller's, and dates what happened there", node.name))
}

/// A row for each engine: node, agent, engine, version, state, who gets an answer, what it listens on.
pub(crate) fn rows(page: &Page, node: &NodeReport, terminal: &Terminal) -> Vec<[Span; 7]> {
    let plain = |text: &str| page.span(text, Style::Plain);
    let (agent, style) = agent(&node.summary, terminal);
    let mut first = [page.span(node.summary.name.as_str(), Style::Strong), page.span(&agent, style)];
    if node.summary.engines.is_empty() {
        let [name, agent] = first;
        return vec![[name, agent, page.span("none found", Style::Dim), plain(""), plain(""), plain(""), plain("")]];
    }
    let mut rows = Vec::new();
    for engine in &node.summary.engines {
        let [name, agent] = std::mem::replace(&mut first, [plain(""), plain("")]);
        let (answers, style) = answers(node, engine);
        rows.push([
            name,
            agent,
            plain(&engine_name(engine)),
            plain(engine.version.as_deref().unwrap_or("unknown")),
            page.span(engine.state.as_deref().unwrap_or("unknown"), state_style(engine)),
            page.span(&answers, style),
            plain(&listening(engine)),
        ]);
    }
    rows
}

/// Who gets an answer and who does not: `controller, here`, or `not controller (timed out), here`, or `nobody (timed out)`.
fn answers(node: &NodeReport, engine: &EngineSummary) -> (String, Style) {
    let of_engine = |reached: &&Reachability| {
        let port = format!(":{}", reached.port);
        node.summary.engines.len() == 1 || engine.listening.iter().any(|socket| socket.ends_with(&port))
    };
    let Some(reached) = node.reachability.iter().find(of_engine) else {
        return ("not tried".to_owned(), Style::Dim);
    };
    let one = |seen: &Seen| match seen.outcome {
        Symptom::Ok => seen.vantage.clone(),
        outcome => format!("not {} ({})", seen.vantage, symptom(outcome)),
    };
    let good = reached.seen.iter().all(|seen| seen.outcome == Symptom::Ok);
    if let ([first, others @ ..], false) = (reached.seen.as_slice(), good)
        && !others.is_empty()
        && others.iter().all(|seen| seen.outcome == first.outcome)
    {
        return (format!("nobody ({})", symptom(first.outcome)), Style::Bad);
    }
    let words: Vec<String> = reached.seen.iter().map(one).collect();
    (words.join(", "), if good { Style::Good } else { Style::Bad })
}

fn listening(engine: &EngineSummary) -> String {
    if engine.listening.is_empty() { "nothing".to_owned() } else { engine.listening.join(" ") }
}

/// One node: its agent, its engines, and what was read there; with `verbose`, how that begins.
pub(crate) fn node(node: &NodeReport, terminal: &Terminal, verbose: bool) -> String {
    let mut page = Page::new(terminal);
    let summary = &node.summary;
    let (words, style) = agent(summary, terminal);
    let version = summary.agent_version.as_deref().map(|version| format!(" ({version})")).unwrap_or_default();
    let head =
        [page.span(summary.name.as_str(), Style::Strong), page.span(&format!("  agent {words}{version}"), style)];
    page.flow(2, &head);
    if let Some(difference) = summary.clock_offset_ms.and_then(clock_difference) {
        page.cut(2, &format!("clock        {difference} the controller's"), Style::Warning);
    }
    let addresses = if summary.addresses.is_empty() { "unknown".to_owned() } else { summary.addresses.join(" ") };
    page.cut(2, &format!("addresses    {addresses}"), Style::Plain);
    for engine in &summary.engines {
        let version = engine.version.as_deref().unwrap_or("of unknown version");
        let (answers, style) = answers(node, engine);
        let line = [
            page.span(&format!("  engine       {} {version}: ", engine_name(engine)), Style::Plain),
            page.span(engine.state.as_deref().unwrap_or("state unknown"), state_style(engine)),
            page.span(&format!(", listens on {}, answers ", listening(engine)), Style::Plain),
            page.span(&answers, style),
        ];
        page.flow(15, &line);
    }
    for gap in &summary.gaps {
        page.cut(2, &format!("cannot read  {gap}"), Style::Warning);
    }
    for (n, citation) in node.evidence.iter().enumerate() {
        let label = if n == 0 { "read" } else { "" };
        let age = local_and_ago(citation.taken_at, terminal);
        page.cut(2, &format!("{label:13}{} {}  {age}", citation.kind, citation.source), Style::Dim);
        for line in citation.excerpt.lines().filter(|_| verbose) {
            page.cut(17, line, Style::Plain);
        }
    }
    page.to_text()
}

fn agent(node: &NodeSummary, terminal: &Terminal) -> (String, Style) {
    match (node.online, node.last_seen) {
        (true, _) => ("online".to_owned(), Style::Good),
        (false, Some(seen)) => (format!("lost {}", ago(seen, terminal.now)), Style::Bad),
        (false, None) => ("never heard".to_owned(), Style::Bad),
    }
}

fn engine_name(engine: &EngineSummary) -> String {
    match engine.name == engine.product.slug() {
        true => engine.name.clone(),
        false => format!("{} ({})", engine.name, engine.product.slug()),
    }
}

fn state_style(engine: &EngineSummary) -> Style {
    match engine.state.as_deref() {
        Some("active") => Style::Good,
        Some("failed") => Style::Bad,
        _ => Style::Warning,
    }
}

#[cfg(test)]
mod tests {
    use common_model::probe::Product;

    use super::*;
    use crate::terminal::tests::terminal;

    fn es_1() -> NodeReport {
        let summary = NodeSummary {
            name: "es-1".parse().unwrap(),
            online: true,
            last_seen: None,
            agent_version: Some("0.1.0".to_owned()),
            clock_offset_ms: Some(3),
            addresses: vec!["10.0.0.5".to_owned()],
            engines: vec![EngineSummary {
                cluster: None,
                name: "elasticsearch".to_owned(),
                product: Product::Elasticsearch,
                version: Some("8.18.0".to_owned()),
                state: Some("active".to_owned()),
                listening: vec!["127.0.0.1:9200".to_owned(), "127.0.0.1:9300".to_owned()],
            }],
            gaps: vec!["nftables: operation not permitted".to_owned()],
        };
        let seen = [("controller", Symptom::Timeout), ("here", Symptom::Ok)]
            .map(|(vantage, outcome)| Seen { vantage: vantage.to_owned(), outcome });
        let reachability = Reachability { endpoint: "http://10.0.0.5:9200".to_owned(), port: 9200, seen: seen.into() };
        NodeReport { summary, reachability: vec![reachability], evidence: Vec::new() }
    }

    fn es_22() -> NodeReport {
        let last_seen = Some(terminal(80).now.plus_millis(-720_000));
        let name = "es-22".parse().unwrap();
        let es_1 = es_1().summary;
        let summary = NodeSummary { name, online: false, last_seen, engines: Vec::new(), gaps: Vec::new(), ..es_1 };
        NodeReport { summary, reachability: Vec::new(), evidence: Vec::new() }
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            table(&[es_1(), es_22()], &terminal(130)),
            "NODE   AGENT            ENGINE         VERSION  STATE   ANSWERS                           LISTENS ON\n\
             es-1   online           elasticsearch  8.18.0   active  not controller (timed out), here  127.0.0.1:9200 127.0.0.1:9300\n\
             es-22  lost 12 min ago  none found\n\
             es-1: cannot read nftables: operation not permitted\n"
        );
    }

    #[test]
    fn a_clock_that_is_off_is_told() {
        let mut es_1 = es_1();
        es_1.summary.clock_offset_ms = Some(-86_400_000);
        assert!(node(&es_1, &terminal(100), false).contains("\n  clock        24 h behind the controller's\n"));
        let told = "\nes-1: its clock is 24 h behind the controller's, and dates what happened there\n";
        assert!(table(&[es_1], &terminal(130)).contains(told));
    }

    #[test]
    fn a_node_says_what_is_on_it() {
        assert_eq!(
            node(&es_1(), &terminal(100), false),
            "es-1  agent online (0.1.0)\n  addresses    10.0.0.5\n  \
             engine       elasticsearch 8.18.0: active, listens on 127.0.0.1:9200 127.0.0.1:9300, answers not\n               \
             controller (timed out), here\n  \
             cannot read  nftables: operation not permitted\n"
        );
    }
}
