//! `dialtone preflight`: would this node's engine start, and be reached, if it were restarted now?

use common_model::preflight::{Answer, Preflight};
use proto::v1;

use super::diagnose::settle;
use super::inventory::all as read_all;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::render;
use crate::session::Session;

/// Asks and shows it.
pub(crate) async fn preflight(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    node: String,
) -> Result<Exit, Failure> {
    settle(session, progress).await?;
    progress.say(&format!("{node} reads its sources again"));
    let reply = session.client.preflight(v1::PreflightRequest { node }).await;
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    let judged: Vec<Preflight> = read_all(&reply.preflights_json)?;
    progress.clear();
    let text = |terminal: &crate::terminal::Terminal| render::preflight::page(&judged, terminal).to_text();
    // One object for one engine, an array for several, as diagnose has it.
    match judged.as_slice() {
        [one] => output.print(one, text)?,
        _ => output.print(&judged, text)?,
    }
    Ok(exit(&judged))
}

/// The worst of all.
fn exit(judged: &[Preflight]) -> Exit {
    let worst = judged.iter().flat_map(|judged| [judged.starts, judged.reachable]).max();
    match worst {
        Some(Answer::Yes) => Exit::Done,
        Some(Answer::No) => Exit::Cause,
        Some(Answer::Unknown) | None => Exit::Undetermined,
    }
}
