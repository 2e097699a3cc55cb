//! Results on standard output, in the format asked for.

use std::io::{self, Write};

use common_model::text::printable;
use serde::Serialize;
use serde_json::Value;

use crate::cli::{Format, Global};
use crate::exit::Failure;
use crate::terminal::Terminal;

/// Where results go.
pub(crate) struct Output {
    format: Format,
    color: crate::cli::ColorChoice,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        Self { format: global.output, color: global.color }
    }

    /// What is known of standard output.
    pub(crate) fn terminal_of_stdout(&self) -> Terminal {
        Terminal::of_stdout(self.color)
    }

    /// What is known of standard error, where people are asked and told what happens meanwhile.
    pub(crate) fn terminal_of_stderr(&self) -> Terminal {
        Terminal::of_stderr(self.color)
    }

    /// Prints a result: itself to programs, `text` to people.
    pub(crate) fn print<T: Serialize>(
        &self,
        result: &T,
        text: impl FnOnce(&Terminal) -> String,
    ) -> Result<(), Failure> {
        let shown = match self.format {
            Format::Text => text(&self.terminal_of_stdout()),
            Format::Json => json(result).map_err(Failure::usage)?,
            Format::Yaml => yaml(result).map_err(Failure::usage)?,
        };
        write(&shown)
    }
}

/// Writes to standard output. A reader that has gone away (`| head`) is no failure.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::usage(anyhow::Error::new(error).context("cannot write to standard output")))
        }
        _ => Ok(()),
    }
}

/// JSON in which no character can act on a terminal: the escapes mean the same to every reader of JSON.
fn json<T: Serialize>(result: &T) -> anyhow::Result<String> {
    let text = serde_json::to_string_pretty(result)?;
    let mut out = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        let shown = c.is_ascii() && !c.is_ascii_control() || c == '\n';
        if shown || printable(c.encode_utf8(&mut [0; 4])).starts_with(c) {
            out.push(c);
        } else {
            let mut units = [0; 2];
            out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out.push('\n');
    Ok(out)
}

/// YAML in which what could act on a terminal is replaced by a visible escape.
fn yaml<T: Serialize>(result: &T) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(result)?;
    make_printable(&mut value);
    Ok(serde_yaml::to_string(&value)?)
}

fn make_printable(value: &mut Value) {
    match value {
        Value::String(text) => *text = printable(text),
        Value::Array(items) => items.iter_mut().for_each(make_printable),
        Value::Object(fields) => fields.values_mut().for_each(make_printable),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\u{9b}31m\u{202e}\u{7f}é\n";

    #[test]
    fn json_says_the_same_and_cannot_act() {
        let text = json(&[HOSTILE]).unwrap();
        assert!(!text.chars().any(|c| matches!(c, '\u{1b}' | '\u{9b}' | '\u{202e}' | '\u{7f}')), "{text:?}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [HOSTILE]);
    }

    #[test]
    fn yaml_cannot_act() {
        let text = yaml(&[HOSTILE]).unwrap();
        assert!(!text.chars().any(|c| matches!(c, '\u{1b}' | '\u{9b}' | '\u{202e}' | '\u{7f}')), "{text:?}");
    }
}
