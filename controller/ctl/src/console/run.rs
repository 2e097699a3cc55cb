//! The console's terminal, its controller and its clock.

use std::io::{self, IsTerminal};
use std::time::Duration;

use common_plan::ApprovalKey;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::style::{Style, Styled};
use ratatui::text::{Line, Text};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::interval;

use super::ask::{Signed, end, fetch, keep_board, keep_lists, keep_probing, look, reject, send, watch};
use super::model::{Effect, Event, Key, Model, Sent, Subject};
use super::update::update;
use super::view::view;
use crate::approval_key::KeyError;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::plan::Fetched;
use crate::render::{self, Page, Span};
use crate::session::Session;
use crate::terminal::{Terminal, now};

/// Runs until its user quits.
pub(crate) async fn console(
    session: &mut Session,
    output: &Output,
    key: Result<ApprovalKey, KeyError>,
) -> Result<Exit, Failure> {
    let (events, mut happened) = mpsc::channel(64);
    let (pressed, mut keys) = mpsc::channel(64);
    let mut screen = Screen::open(output)?;
    std::thread::spawn(move || read_keys(&pressed));
    let mut model = screen.model(session.address().to_owned(), &key);
    model.operator = session.operator().map(str::to_owned);
    let mut tasks = JoinSet::new();
    tasks.spawn(keep_board(session.another(), events.clone()));
    tasks.spawn(keep_lists(session.another(), events.clone()));
    tasks.spawn(keep_probing(session.another(), events.clone()));
    let mut watching: Option<AbortHandle> = None;
    let mut clock = interval(Duration::from_secs(1));
    loop {
        screen.draw(&model)?;
        let event = tokio::select! {
            Some(event) = keys.recv() => event,
            Some(event) = happened.recv() => event,
            _ = clock.tick() => Event::Tick(now()),
        };
        // What has ended is taken out, or a long night's answers would pile up.
        while tasks.try_join_next().is_some() {}
        if is_first_sight(&model, &event) {
            // What was pressed before the plan was there to be read is no answer to it.
            while keys.try_recv().is_ok() {}
        }
        match update(&mut model, event) {
            None => {}
            Some(Effect::Quit) => return Ok(Exit::Done),
            Some(Effect::Unwatch) => watching.iter().for_each(AbortHandle::abort),
            Some(Effect::Watch(subject)) => {
                watching.iter().for_each(AbortHandle::abort);
                watching = Some(tasks.spawn(watch(session.another(), subject, events.clone())));
            }
            Some(Effect::Fetch(id)) => drop(tasks.spawn(fetch(session.another(), id, events.clone()))),
            Some(Effect::Look(endpoint)) => drop(tasks.spawn(look(session.another(), endpoint, events.clone()))),
            Some(Effect::End(id, because)) => drop(tasks.spawn(end(session.another(), id, because, events.clone()))),
            Some(Effect::Reject(subject, because)) => {
                drop(tasks.spawn(reject(session.another(), subject, because, events.clone())));
            }
            Some(Effect::Sign(sent)) => {
                let (subject, signed) = sign(&sent, &key);
                tasks.spawn(send(session.another(), subject, signed, events.clone()));
            }
        }
    }
}

/// Here alone the key is used: on the bytes that were on the screen.
fn sign(sent: &Sent, key: &Result<ApprovalKey, KeyError>) -> (Subject, Result<Signed, String>) {
    let key = key.as_ref().map_err(ToString::to_string);
    let approve = |plan: &Fetched| {
        let key = key.clone()?;
        Ok((plan.id(), key.approve(&plan.bytes).map_err(|error| error.to_string())?))
    };
    match sent {
        Sent::Plan(plan) => (Subject::Plan(plan.id()), approve(plan).map(|(id, approval)| Signed::Plan(id, approval))),
        Sent::Rollout(rollout) => {
            let id = rollout.rollout.id.clone();
            let approvals = rollout.plans.iter().map(approve).collect::<Result<_, String>>();
            (Subject::Rollout(id.clone()), approvals.map(|approvals| Signed::Rollout(id, approvals)))
        }
    }
}

/// Whether an event brings what is open for the first time.
fn is_first_sight(model: &Model, event: &Event) -> bool {
    matches!(event, Event::Sent(..)) && model.open.as_ref().is_some_and(|open| open.sent.is_none())
}

/// The terminal, taken over; given back when dropped, and before a panic is told.
struct Screen {
    terminal: DefaultTerminal,
    abilities: Terminal,
}

impl Screen {
    fn open(output: &Output) -> Result<Self, Failure> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(Failure::usage(anyhow::anyhow!("the console needs a terminal")));
        }
        let terminal = ratatui::try_init().map_err(no_terminal)?;
        Ok(Self { terminal, abilities: output.terminal_of_stdout() })
    }

    fn model(&self, controller: String, key: &Result<ApprovalKey, KeyError>) -> Model {
        let size = self.terminal.size().unwrap_or_default();
        let mut terminal = self.abilities.clone();
        terminal.width = usize::from(size.width);
        let key = match key {
            Ok(key) => key.public().map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        Model::new(terminal, usize::from(size.height), controller, key)
    }

    fn draw(&mut self, model: &Model) -> Result<(), Failure> {
        let text = shown(&view(model), self.abilities.colour);
        self.terminal.draw(|frame| frame.render_widget(text, frame.area())).map_err(no_terminal)?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing is left to be done where the terminal is gone.
        ratatui::try_restore().ok();
    }
}

fn no_terminal(error: io::Error) -> Failure {
    Failure::usage(anyhow::Error::new(error).context("the terminal cannot be used"))
}

/// A page for the screen.
pub(super) fn shown(page: &Page, colour: bool) -> Text<'static> {
    let span = |span: &Span| span.text().to_owned().set_style(style(span.style(), colour));
    Text::from_iter(page.lines().map(|spans| Line::from_iter(spans.iter().map(span))))
}

/// Without colour, what is strong is bold and the marked row reversed; both are said by signs, too.
fn style(of: render::Style, colour: bool) -> Style {
    use render::Style as Of;
    let plain = Style::new();
    match of {
        Of::Strong => plain.bold(),
        Of::Marked => plain.reversed(),
        Of::Plain => plain,
        _ if !colour => plain,
        Of::Dim => plain.dim(),
        Of::Passed | Of::Added => plain.green(),
        Of::Good => plain.green().bold(),
        Of::Bad => plain.red().bold(),
        Of::Removed => plain.red(),
        Of::Warning => plain.yellow().bold(),
        Of::Command => plain.cyan(),
    }
}

/// Reads keys until nobody wants them any more.
fn read_keys(pressed: &mpsc::Sender<Event>) {
    while let Ok(event) = event::read() {
        let event = match event {
            event::Event::Resize(width, height) => Event::Resized(width.into(), height.into()),
            event::Event::Key(key) if key.kind == KeyEventKind::Press => match meaning(key.code, key.modifiers) {
                Some(key) => Event::Key(key),
                None => continue,
            },
            _ => continue,
        };
        if pressed.blocking_send(event).is_err() {
            return;
        }
    }
}

fn meaning(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
    let control = modifiers.contains(KeyModifiers::CONTROL);
    match code {
        KeyCode::Char('c') if control => Some(Key::Interrupt),
        // No other chord means what its letter alone does.
        _ if control || modifiers.contains(KeyModifiers::ALT) => None,
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::PageUp => Some(Key::PageUp),
        KeyCode::PageDown => Some(Key::PageDown),
        KeyCode::Tab => Some(Key::NextPane),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Backspace => Some(Key::Erase),
        KeyCode::Esc | KeyCode::Left => Some(Key::Back),
        KeyCode::Char(c) => Some(Key::Char(c)),
        _ => None,
    }
}
