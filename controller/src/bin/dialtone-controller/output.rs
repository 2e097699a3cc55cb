//! Results go to standard output, everything else to standard error.

use std::io::{Write, stderr, stdout};

/// One line of a result.
pub(crate) fn print_line(line: &str) -> anyhow::Result<()> {
    writeln!(stdout().lock(), "{line}")?;
    Ok(())
}

/// A result as one JSON object.
pub(crate) fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    print_line(&value.to_string())
}

/// One line about what went wrong.
pub(crate) fn complain(line: &str) {
    // With standard error closed there is nobody to tell.
    drop(writeln!(stderr().lock(), "{}", common_model::text::printable(line)));
}
