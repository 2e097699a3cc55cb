//! What is known of the terminal, and of the moment, that results are shown in.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use common_model::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::ColorChoice;

/// Columns where they cannot be asked.
const DEFAULT_WIDTH: usize = 80;

/// How a page is laid out.
#[derive(Debug, Clone)]
pub(crate) struct Terminal {
    /// Columns.
    pub(crate) width: usize,
    /// Lines; none when the output is not a terminal.
    pub(crate) height: Option<usize>,
    pub(crate) colour: bool,
    /// Whether the locale can show more than ASCII.
    pub(crate) unicode: bool,
    /// In which times are shown.
    pub(crate) zone: TimeZone,
    /// What "ago" counts from.
    pub(crate) now: Timestamp,
}

impl Terminal {
    /// Asks the process's environment and its standard output.
    pub(crate) fn of_stdout(color: ColorChoice) -> Self {
        Self::of(&std::io::stdout(), color)
    }

    /// Asks the process's environment and its standard error, where questions are asked.
    pub(crate) fn of_stderr(color: ColorChoice) -> Self {
        Self::of(&std::io::stderr(), color)
    }

    fn of(stream: &(impl AsFd + IsTerminal), color: ColorChoice) -> Self {
        let is_terminal = stream.is_terminal();
        let size = is_terminal.then(|| rustix::termios::tcgetwinsize(stream).ok()).flatten();
        let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
        Self {
            width: size.map(|size| usize::from(size.ws_col)).or_else(columns).unwrap_or(DEFAULT_WIDTH),
            height: size.map(|size| usize::from(size.ws_row)),
            colour: colour(color, is_terminal),
            unicode: unicode(),
            zone: TimeZone::system(),
            now: now(),
        }
    }
}

/// The time by this machine's clock.
pub(crate) fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

fn colour(choice: ColorChoice, is_terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
            let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            is_terminal && !set("NO_COLOR") && !dumb
        }
    }
}

/// The first of these that is set decides, as for every program of the system. `C.UTF-8` is UTF-8.
fn unicode() -> bool {
    let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A pipe of this width at 2027-01-15 08:00:00 UTC.
    pub(crate) fn terminal(width: usize) -> Terminal {
        let now = Timestamp(1_800_000_000_000);
        Terminal { width, height: None, colour: false, unicode: true, zone: TimeZone::UTC, now }
    }
}
