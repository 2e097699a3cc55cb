//! `dialtone approve`: shows what is about to be signed, asks, signs, and follows the plan until it has ended.

use std::io::{self, IsTerminal, Write};

use common_plan::{Action, ApprovalKey, Carrier, Record, Stage};
use proto::v1;
use rustix::termios::{QueueSelector, tcflush};

use super::key::no_key;
use super::plans::{get, named, untrue};
use crate::approval_key;
use crate::cli::{Global, PlanRef};
use crate::config::Location;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::plan::Fetched;
use crate::progress::Progress;
use crate::render::plan::Detail;
use crate::render::{self, Page};
use crate::session::Session;
use crate::terminal::Terminal;

/// Reads the caller's key.
pub(crate) fn key(global: &Global) -> Result<ApprovalKey, Failure> {
    let location = Location::find(global.config.as_deref()).map_err(Failure::usage)?;
    approval_key::load(&location.approval_key()).map_err(no_key)
}

/// Approves a plan, once its reader has said so, and follows it.
pub(crate) async fn approve(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    key: &ApprovalKey,
    id: &PlanRef,
    yes: bool,
) -> Result<Exit, Failure> {
    let id = &named(session, id).await?;
    let terminal = output.terminal_of_stderr();
    let fetched = get(session, id).await?;
    let mine = key.public().map_err(Failure::controller)?;
    let approved = fetched.valid_approvals().any(|approved| approved.approval.key == mine);
    if fetched.record.stage.is_final() {
        return Err(over(&fetched, &terminal));
    }
    if approved || fetched.record.stage != Stage::Proposed {
        let why = if approved { "you have approved it already" } else { "enough persons have approved it already" };
        progress.print(&format!("{why}; nothing was sent\n"));
        return follow(session, output, progress, fetched, &terminal).await;
    }
    progress.print(&render::plan::page(&fetched, &terminal, Detail::Usual).to_text());
    if !yes {
        let details = render::plan::page(&fetched, &terminal, Detail::Everything).to_text();
        match ask("Approve this plan with your key?".to_owned(), details).await? {
            Answer::Yes => {}
            Answer::No => {
                progress.print("not approved; nothing was sent. dialtone reject says no for everybody.\n");
                return Ok(Exit::Undetermined);
            }
        }
    }
    let signed = key.approve(&fetched.bytes).map_err(Failure::controller)?;
    let approval = v1::Approval { key: signed.key.to_string(), signature: signed.signature };
    let request = v1::ApproveRequest { plan_id: id.to_string(), approval: Some(approval) };
    let reply = session.plans.approve(request).await.map_err(|status| session.failure(&status))?.into_inner();
    let fetched = Fetched::check(id, reply).map_err(untrue)?;
    follow(session, output, progress, fetched, &terminal).await
}

/// Tells every step of the plan's life until it has ended or waits for somebody else, and then how it ended.
async fn follow(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    mut fetched: Fetched,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let id = fetched.id();
    let goes_on = format!("the plan goes on without this command; dialtone plan {id} says how it ended");
    let mut told = 0;
    if is_moving(&fetched) {
        let request = v1::PlanRequest { plan_id: id.to_string() };
        let stream = session.plans.watch(request).await;
        let mut stream = stream.map_err(|status| session.failure(&status).with_hint(goes_on.as_str()))?.into_inner();
        loop {
            told = tell(&fetched, told, progress, terminal);
            if !is_moving(&fetched) {
                break;
            }
            progress.say(waiting_for(&fetched.record));
            let next = stream.message().await;
            let next = next.map_err(|status| session.failure(&status).with_hint(goes_on.as_str()))?;
            let Some(reply) = next else {
                let error = anyhow::anyhow!("the controller stopped telling before the plan had ended");
                return Err(Failure::controller(error).with_hint(goes_on));
            };
            fetched = Fetched::check(&id, reply).map_err(untrue)?;
        }
    } else {
        tell(&fetched, told, progress, terminal);
    }
    progress.clear();
    output.print(&fetched, |terminal| {
        let mut page = Page::new(terminal);
        render::plan::outcome(&fetched, &mut page, terminal);
        page.to_text()
    })?;
    Ok(match fetched.record.stage {
        Stage::RolledBack | Stage::Refused | Stage::Rejected | Stage::Expired | Stage::Failed => Exit::Cause,
        Stage::Verified | Stage::Ended | Stage::Proposed | Stage::Approved | Stage::Dispatched | Stage::Applied => {
            Exit::Done
        }
    })
}

/// Prints what was not told yet; gives how much is now. The last step of a plan that has ended is left to the outcome.
fn tell(fetched: &Fetched, told: usize, progress: &Progress, terminal: &Terminal) -> usize {
    let history = &fetched.record.history;
    let known = history.len() - usize::from(fetched.record.stage.is_final());
    // It was proposed: that is what was approved.
    for step in history.iter().take(known).skip(told).filter(|step| step.stage != Stage::Proposed) {
        let mut page = Page::new(terminal);
        render::plan::transition(&mut page, 0, fetched.record.action, step, terminal);
        progress.print(&page.to_text());
    }
    told.max(known)
}

/// Whether something will happen without anybody's doing.
fn is_moving(fetched: &Fetched) -> bool {
    match fetched.record.stage {
        Stage::Proposed => false,
        // Somebody has to merge it first.
        Stage::Applied => fetched.record.action != Action::ConfigEdit,
        stage => !stage.is_final(),
    }
}

fn waiting_for(record: &Record) -> &'static str {
    let by_controller = record.action.carrier() == Carrier::Controller;
    match record.stage {
        Stage::Approved | Stage::Dispatched if by_controller => "the controller carries it out",
        Stage::Proposed => "waiting for approval",
        Stage::Approved => "waiting for whoever carries it out; a node's agent has to be connected",
        Stage::Dispatched => "the node carries it out",
        Stage::Applied => "live; waiting until it is seen from outside to work",
        Stage::Verified | Stage::Rejected | Stage::Refused => "",
        Stage::Expired | Stage::RolledBack | Stage::Ended | Stage::Failed => "",
    }
}

/// Nothing is left to approve.
fn over(fetched: &Fetched, terminal: &Terminal) -> Failure {
    let mut page = Page::new(&Terminal { width: usize::MAX, colour: false, ..terminal.clone() });
    render::plan::outcome(fetched, &mut page, terminal);
    let outcome = page.to_text();
    Failure::usage(anyhow::anyhow!("plan {} has ended: {}", fetched.id(), outcome.trim_end()))
}

/// What the reader of a plan said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
}

/// Asks until there is an answer. Only a written yes is one; the end of input is a no.
pub(super) async fn ask(question: String, details: String) -> Result<Answer, Failure> {
    if !io::stdin().is_terminal() {
        let error = anyhow::anyhow!("standard input is no terminal to ask on; nothing was sent");
        return Err(Failure::usage(error).with_hint("with --yes nobody is asked"));
    }
    let (done, answered) = tokio::sync::oneshot::channel();
    // A thread of its own: reading cannot be called off, and must not keep the program from ending.
    std::thread::spawn(move || {
        // Nobody listens any more where the program was told to stop.
        done.send(converse(&mut || put(&question), &mut || write!(io::stderr(), "\n{details}"))).ok();
    });
    let answer = answered.await.map_err(Failure::controller)?;
    answer.map_err(|error| Failure::usage(anyhow::Error::new(error).context("cannot read the answer")))
}

/// One answer from the terminal; none at its end. What was typed before the question was there is thrown away: it answers
/// something else.
fn put(question: &str) -> io::Result<Option<String>> {
    let stdin = io::stdin();
    tcflush(&stdin, QueueSelector::IFlush)?;
    let mut out = io::stderr();
    write!(out, "\n{question} y = yes, n = no, d = details: ")?;
    out.flush()?;
    let mut line = String::new();
    if stdin.read_line(&mut line)? == 0 {
        writeln!(out)?;
        return Ok(None);
    }
    Ok(Some(line))
}

/// The conversation, over whatever asks and shows.
fn converse(
    question: &mut dyn FnMut() -> io::Result<Option<String>>,
    show_details: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<Answer> {
    while let Some(line) = question()? {
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(Answer::Yes),
            "n" | "no" => return Ok(Answer::No),
            "d" | "details" => show_details()?,
            _ => {}
        }
    }
    Ok(Answer::No)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer, how often it was asked for, and how often the details were shown.
    fn answers(lines: &[&str]) -> (Answer, usize, usize) {
        let (mut asked, mut shown) = (0, 0);
        let mut lines = lines.iter();
        let mut question = || {
            asked += 1;
            Ok(lines.next().map(|line| (*line).to_owned()))
        };
        let answer = converse(&mut question, &mut || {
            shown += 1;
            Ok(())
        });
        (answer.unwrap(), asked, shown)
    }

    #[test]
    fn only_a_written_yes_is_a_yes() {
        assert_eq!(answers(&["y\n"]).0, Answer::Yes);
        assert_eq!(answers(&[" YES \n"]).0, Answer::Yes);
        for no in
            [vec![], vec!["n\n", "y\n"], vec!["no\n", "y\n"], vec!["\n"], vec!["yy\n"], vec!["sure\n"], vec!["d\n"]]
        {
            assert_eq!(answers(&no).0, Answer::No, "{no:?}");
        }
    }

    #[test]
    fn an_empty_line_and_nonsense_are_asked_again() {
        assert_eq!(answers(&["\n", "what?\n", "y\n"]), (Answer::Yes, 3, 0));
    }

    #[test]
    fn details_are_shown_and_asked_again() {
        assert_eq!(answers(&["d\n", "n\n"]), (Answer::No, 2, 1));
    }
}
