//! `dialtone plans`, `plan`, `reject` and `revert`.

use std::time::Duration;

use common_plan::{PlanId, Record};
use proto::v1;

use super::inventory::all as read_all;
use crate::cli::PlanRef;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::plan::{Fetched, Untrue};
use crate::progress::Progress;
use crate::render::plan::Detail;
use crate::render::{self, Page, Style};
use crate::session::Session;

/// Plans named where one was meant.
const MAX_NAMED: usize = 5;

/// Lists them.
pub(crate) async fn list(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    all: bool,
) -> Result<Exit, Failure> {
    let reply = session.plans.list(v1::ListPlansRequest { ended: all, prefix: String::new() }).await;
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    let records: Vec<Record> = read_all(&reply.records_json)?;
    progress.clear();
    output.print(&records, |terminal| render::plan::list(&records, all, terminal))?;
    Ok(Exit::Done)
}

/// Shows one, whole.
pub(crate) async fn show(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    id: &PlanRef,
) -> Result<Exit, Failure> {
    let id = named(session, id).await?;
    let fetched = get(session, &id).await?;
    progress.clear();
    output.print(&fetched, |terminal| render::plan::page(&fetched, terminal, Detail::Everything).to_text())?;
    Ok(Exit::Done)
}

/// Says no for everybody.
pub(crate) async fn reject(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    id: &PlanRef,
    because: String,
) -> Result<Exit, Failure> {
    let id = &named(session, id).await?;
    let reply = session.plans.reject(v1::RejectRequest { plan_id: id.to_string(), because }).await;
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    let fetched = Fetched::check(id, reply).map_err(untrue)?;
    progress.clear();
    output.print(&fetched, |terminal| {
        let mut page = Page::new(terminal);
        render::plan::outcome(&fetched, &mut page, terminal);
        page.to_text()
    })?;
    Ok(Exit::Done)
}

/// Has the plan made that takes this one back, and shows it. Nothing is taken back before that one is approved.
pub(crate) async fn revert(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    id: &PlanRef,
) -> Result<Exit, Failure> {
    let id = &named(session, id).await?;
    let reply = session.plans.revert(v1::PlanRequest { plan_id: id.to_string() }).await;
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    let fetched = Fetched::read(reply).map_err(untrue)?;
    // The answer is either the new plan, or the old one naming it.
    let new = match (fetched.id() == *id, &fetched.record.reverted_by) {
        (false, _) => fetched,
        (true, Some(new)) => get(session, &new.clone()).await?,
        (true, None) => {
            return Err(Failure::controller(anyhow::anyhow!("the controller made no plan to take {id} back")));
        }
    };
    offer(&new, output, progress)
}

/// Has a plan made that does the same for a limited time, and shows it.
pub(crate) async fn limit(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    id: &PlanRef,
    time: Duration,
) -> Result<Exit, Failure> {
    let id = &named(session, id).await?;
    let for_s = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let reply = session.plans.limit(v1::LimitRequest { plan_id: id.to_string(), for_s }).await;
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    offer(&Fetched::read(reply).map_err(untrue)?, output, progress)
}

/// Shows a plan that was just made, and how it is approved.
fn offer(new: &Fetched, output: &Output, progress: &Progress) -> Result<Exit, Failure> {
    progress.clear();
    output.print(new, |terminal| {
        let mut page = render::plan::page(new, terminal, Detail::Usual);
        page.blank();
        page.whole(0, &format!("dialtone approve {}", new.id()), Style::Command);
        page.to_text()
    })?;
    Ok(Exit::Done)
}

/// The whole id of the plan meant.
pub(super) async fn named(session: &mut Session, given: &PlanRef) -> Result<PlanId, Failure> {
    if let Ok(id) = given.as_str().parse() {
        return Ok(id);
    }
    let request = v1::ListPlansRequest { ended: true, prefix: given.as_str().to_owned() };
    let reply = session.plans.list(request).await.map_err(|status| session.failure(&status))?.into_inner();
    let records: Vec<Record> = read_all(&reply.records_json)?;
    // One that does not know of prefixes sends all.
    let found: Vec<&Record> = records.iter().filter(|record| record.id.as_str().starts_with(given.as_str())).collect();
    match found.as_slice() {
        [record] => Ok(record.id.clone()),
        [] => {
            let error = anyhow::anyhow!("there is no plan whose id begins with {}", given.as_str());
            Err(Failure::usage(error).with_hint("dialtone plans --all lists them"))
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|record| record.id.as_str()).take(MAX_NAMED).collect();
            let error = anyhow::anyhow!("{} is the beginning of {} plans", given.as_str(), several.len());
            Err(Failure::usage(error).with_hint(format!("give more of one of these: {}", ids.join(", "))))
        }
    }
}

/// Gets a plan and checks that it is the one asked for.
pub(super) async fn get(session: &mut Session, id: &PlanId) -> Result<Fetched, Failure> {
    let reply = session.plans.get(v1::PlanRequest { plan_id: id.to_string() }).await;
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    Fetched::check(id, reply).map_err(untrue)
}

/// What an answer means that must not be acted upon.
pub(super) fn untrue(error: Untrue) -> Failure {
    let hint = match &error {
        Untrue::OtherBytes { .. } | Untrue::OtherRecord(_) => {
            "somebody may be misusing the controller: tell whoever looks after it, and approve nothing until then"
        }
        Untrue::Unreadable(..) | Untrue::TooLarge(_) | Untrue::Record(..) => {
            "use a dialtone of the controller's version"
        }
    };
    Failure::controller(error).with_hint(hint)
}
