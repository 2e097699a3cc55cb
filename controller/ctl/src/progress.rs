//! One line on the terminal that says what is being waited for, and is gone when the result is there.

use std::io::{IsTerminal, Write};

use common_model::text::printable_line;

/// The line. Erased when dropped; nothing at all when standard error is not a terminal.
pub(crate) struct Progress {
    width: Option<usize>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let stderr = std::io::stderr();
        let size = stderr.is_terminal().then(|| rustix::termios::tcgetwinsize(&stderr).ok()).flatten();
        Self { width: size.map(|size| usize::from(size.ws_col).max(20)) }
    }

    /// None, where the screen is somebody else's.
    pub(crate) fn silent() -> Self {
        Self { width: None }
    }

    /// Replaces the line.
    pub(crate) fn say(&self, text: &str) {
        if let Some(width) = self.width {
            let line: String = printable_line(text).chars().take(width - 1).collect();
            write_quietly(&format!("\r\u{1b}[2K\u{1b}[2m{line}\u{1b}[0m"));
        }
    }

    /// Leaves text above the line, as it is: it has to be fit for a terminal.
    pub(crate) fn print(&self, text: &str) {
        self.clear();
        write_quietly(text);
    }

    /// Erases the line.
    pub(crate) fn clear(&self) {
        if self.width.is_some() {
            write_quietly("\r\u{1b}[2K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Says one line on standard error, over the progress line if there is one.
pub(crate) fn note(text: &str) {
    write_quietly(&format!("dialtone: {}\n", printable_line(text)));
}

/// Progress and notes are a courtesy: where they cannot be written, the result still counts.
fn write_quietly(text: &str) {
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).ok();
}
