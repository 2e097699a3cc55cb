//! The inventory, and one node of it.

use common_model::diagnosis::Citation;
use common_model::inventory::{EngineSummary, NodeSummary};

use super::page::Span;
use super::time::{ago, local_and_ago};
use super::{Page, Style};
use crate::terminal::Terminal;

const HEADINGS: [&str; 6] = ["NODE", "AGENT", "ENGINE", "VERSION", "STATE", "LISTENS ON"];

/// A clock that is off by more than this is worth a word.
const CLOCK_OFF_MS: i64 = 2_000;

/// One line per engine, or per node without one.
pub(crate) fn table(nodes: &[NodeSummary], terminal: &Terminal) -> String {
    let mut page = Page::new(terminal);
    if nodes.is_empty() {
        page.cut(
            0,
            "No node is known yet. On a node: dialtone-agent join CONTROLLER --token T --ca-pin sha256:…",
            Style::Plain,
        );
        return page.to_text();
    }
    let rows: Vec<[Span; 6]> = nodes.iter().flat_map(|node| rows(&page, node, terminal)).collect();
    let headings = HEADINGS.map(|heading| page.span(heading, Style::Dim));
    let mut widths = [0; 6];
    for row in rows.iter().chain([&headings]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    for row in std::iter::once(headings).chain(rows) {
        page.row(&widths, row.into());
    }
    for gap in
        nodes.iter().flat_map(|node| node.gaps.iter().map(move |gap| format!("{}: cannot read {gap}", node.name)))
    {
        page.cut(0, &gap, Style::Warning);
    }
    page.to_text()
}

fn rows(page: &Page, node: &NodeSummary, terminal: &Terminal) -> Vec<[Span; 6]> {
    let name = page.span(node.name.as_str(), Style::Strong);
    let (agent, style) = agent(node, terminal);
    let agent = page.span(&agent, style);
    if node.engines.is_empty() {
        let cells = ["none found", "", "", ""].map(|text| page.span(text, Style::Dim));
        let [engine, version, state, listening] = cells;
        return vec![[name, agent, engine, version, state, listening]];
    }
    let mut rows = Vec::new();
    for (n, engine) in node.engines.iter().enumerate() {
        let (name, agent) = if n == 0 {
            (name.clone(), agent.clone())
        } else {
            (page.span("", Style::Plain), page.span("", Style::Plain))
        };
        let listening = if engine.listening.is_empty() { "nothing".to_owned() } else { engine.listening.join(" ") };
        rows.push([
            name,
            agent,
            page.span(&engine_name(engine), Style::Plain),
            page.span(engine.version.as_deref().unwrap_or("unknown"), Style::Plain),
            page.span(engine.state.as_deref().unwrap_or("unknown"), state_style(engine)),
            page.span(&listening, Style::Plain),
        ]);
    }
    rows
}

/// One node: its agent, its engines, the newest evidence.
pub(crate) fn node(node: &NodeSummary, citations: &[Citation], terminal: &Terminal) -> String {
    let mut page = Page::new(terminal);
    let (words, style) = agent(node, terminal);
    let head = [page.span(node.name.as_str(), Style::Strong), page.span(&format!("  agent {words}"), style)];
    page.flow(2, &head);
    let version = node.agent_version.as_deref().unwrap_or("unknown");
    page.cut(2, &format!("agent version  {version}"), Style::Plain);
    if let Some(off) = node.clock_offset_ms.filter(|off| off.abs() > CLOCK_OFF_MS) {
        page.cut(2, &format!("clock          {off} ms ahead of the controller's"), Style::Warning);
    }
    let addresses = if node.addresses.is_empty() { "unknown".to_owned() } else { node.addresses.join(" ") };
    page.cut(2, &format!("addresses      {addresses}"), Style::Plain);
    for engine in &node.engines {
        let version = engine.version.as_deref().unwrap_or("of unknown version");
        let listening = if engine.listening.is_empty() {
            "listens on nothing".to_owned()
        } else {
            format!("listens on {}", engine.listening.join(" "))
        };
        let state = engine.state.as_deref().unwrap_or("state unknown");
        let line = [
            page.span(&format!("  engine         {} {version}: ", engine_name(engine)), Style::Plain),
            page.span(state, state_style(engine)),
            page.span(&format!(", {listening}"), Style::Plain),
        ];
        page.flow(17, &line);
    }
    for gap in &node.gaps {
        page.cut(2, &format!("cannot read    {gap}"), Style::Warning);
    }
    for citation in citations {
        page.blank();
        page.cut(
            0,
            &format!("{}  ({}, read {})", citation.source, citation.kind, local_and_ago(citation.taken_at, terminal)),
            Style::Strong,
        );
        for line in citation.excerpt.lines() {
            page.cut(2, line, Style::Plain);
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

    fn es_1() -> NodeSummary {
        NodeSummary {
            name: "es-1".parse().unwrap(),
            online: true,
            last_seen: None,
            agent_version: Some("0.1.0".to_owned()),
            clock_offset_ms: Some(3),
            addresses: vec!["10.0.0.5".to_owned()],
            engines: vec![EngineSummary {
                name: "elasticsearch".to_owned(),
                product: Product::Elasticsearch,
                version: Some("8.18.0".to_owned()),
                state: Some("active".to_owned()),
                listening: vec!["127.0.0.1:9200".to_owned(), "127.0.0.1:9300".to_owned()],
            }],
            gaps: vec!["nftables: operation not permitted".to_owned()],
        }
    }

    fn es_22() -> NodeSummary {
        let last_seen = Some(terminal(80).now.plus_millis(-720_000));
        NodeSummary {
            name: "es-22".parse().unwrap(),
            online: false,
            last_seen,
            engines: Vec::new(),
            gaps: Vec::new(),
            ..es_1()
        }
    }

    #[test]
    fn columns_are_aligned() {
        let text = table(&[es_1(), es_22()], &terminal(100));
        assert_eq!(
            text,
            "NODE   AGENT            ENGINE         VERSION  STATE   LISTENS ON\n\
             es-1   online           elasticsearch  8.18.0   active  127.0.0.1:9200 127.0.0.1:9300\n\
             es-22  lost 12 min ago  none found\n\
             es-1: cannot read nftables: operation not permitted\n"
        );
    }

    #[test]
    fn a_node_says_what_is_on_it() {
        assert_eq!(
            node(&es_1(), &[], &terminal(100)),
            "es-1  agent online\n  agent version  0.1.0\n  addresses      10.0.0.5\n  \
             engine         elasticsearch 8.18.0: active, listens on 127.0.0.1:9200 127.0.0.1:9300\n  \
             cannot read    nftables: operation not permitted\n"
        );
    }
}
