//! A terminal with a program in it, driven as a person would: by keys, and by what stands on the screen.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::Parser;
pub use vt100::Screen;

use crate::lab;

/// The smallest terminal that anybody has to be content with.
const LINES: u16 = Parser::DEFAULT_ROWS.get();
const COLUMNS: u16 = Parser::DEFAULT_COLS.get();
/// For something to appear that only the program itself has to do.
const LIMIT: Duration = Duration::from_secs(30);

/// A terminal of 80 columns and 24 lines. Dropping it ends the program.
pub struct Terminal {
    program: Child,
    keyboard: File,
    screen: Arc<Mutex<Parser>>,
}

impl Terminal {
    /// Starts a program in a terminal of its own. The program is made the leader of a session by `setsid`, which has to be the
    /// program of `command`: see [`crate::product::Laptop::in_terminal`].
    ///
    /// # Errors
    /// When there is no terminal to be had or the program cannot be started.
    pub(crate) fn open(mut command: Command) -> Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).context("no terminal is to be had")?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        tcsetwinsize(&ours, Winsize { ws_row: LINES, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 })?;
        let theirs = ioctl_tiocgptpeer(&ours, flags)?;
        command.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
        let program = command.stdin(theirs.try_clone()?).stdout(theirs.try_clone()?).stderr(theirs).spawn()?;
        // Its ends of the terminal: while one is open here, the program's end is not seen.
        drop(command);
        let (keyboard, display) = (File::from(ours.try_clone()?), File::from(ours));
        let screen = Arc::new(Mutex::new(Parser::default()));
        thread::spawn({
            let screen = Arc::clone(&screen);
            move || show(display, &screen)
        });
        Ok(Self { program, keyboard, screen })
    }

    /// Presses keys, as the bytes that a terminal sends for them.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn press(&self, keys: &str) -> Result<()> {
        (&self.keyboard).write_all(keys.as_bytes()).with_context(|| self.shown())
    }

    /// Waits until the screen is as wanted; what `wanted` found there.
    ///
    /// # Errors
    /// When it does not come to that, with what the screen shows instead.
    pub fn wait<T>(&self, what: &str, wanted: impl FnMut(&Screen) -> Option<T>) -> Result<T> {
        self.wait_for(what, LIMIT, wanted)
    }

    /// The same for what takes others their time, too.
    ///
    /// # Errors
    /// As [`Terminal::wait`].
    pub fn wait_for<T>(&self, what: &str, limit: Duration, mut wanted: impl FnMut(&Screen) -> Option<T>) -> Result<T> {
        lab::until(what, limit, || Ok(wanted(self.screen().screen()))).with_context(|| self.shown())
    }

    /// Waits until the screen shows a text; each line of it stands on one line of the screen.
    ///
    /// # Errors
    /// As [`Terminal::wait`].
    pub fn wait_text(&self, text: &str) -> Result<()> {
        self.wait(text, |screen| screen.contents().contains(text).then_some(()))
    }

    /// What stands on the screen.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("on the screen:\n{}", self.screen().screen().contents())
    }

    /// Waits until the program has ended by itself; whether it succeeded.
    ///
    /// # Errors
    /// When it does not end, with what the screen shows.
    pub fn ended(mut self) -> Result<bool> {
        let program = &mut self.program;
        let ended = lab::until("the program's end", LIMIT, || Ok(program.try_wait()?));
        ended.map(|status| status.success()).with_context(|| self.shown())
    }

    fn screen(&self) -> MutexGuard<'_, Parser> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        self.program.kill().ok();
        self.program.wait().ok();
    }
}

/// Until the program has closed its end, which the kernel tells by an error.
fn show(mut display: File, screen: &Mutex<Parser>) {
    let mut bytes = [0; 4096];
    while let Ok(count) = display.read(&mut bytes) {
        let Some(written) = bytes.get(..count).filter(|written| !written.is_empty()) else { return };
        screen.lock().unwrap_or_else(PoisonError::into_inner).process(written);
    }
}

/// The line of the screen that is marked, by its reversed cells.
#[must_use]
pub fn marked(screen: &Screen) -> Option<String> {
    let line = (0..LINES).find(|line| screen.cell(*line, 0).is_some_and(vt100::Cell::inverse))?;
    screen.rows(0, COLUMNS).nth(usize::from(line))
}
