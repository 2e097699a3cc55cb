//! Starts, stops and failures, from systemd's own lines.

use common_evidence::collectors::journal::{JournalLine, Tells};
use common_model::change::Topic;

use super::{Draft, Pair, item};

pub(super) fn changes(pair: &Pair<'_>) -> Vec<Draft> {
    let Some(line) = pair.event::<JournalLine>() else { return Vec::new() };
    let (Some(unit), Some(tells)) = (line.unit.clone(), &line.tells) else { return Vec::new() };
    let state = |new: &str| item("active-state", None, Some(new.to_owned()));
    let (what, items) = match tells {
        Tells::Started => (format!("{unit} started"), vec![state("active")]),
        Tells::Stopped => (format!("{unit} stopped"), vec![state("inactive")]),
        Tells::Failed(result) => {
            (format!("{unit} failed ({result})"), vec![state("failed"), item("result", None, Some(result.clone()))])
        }
        Tells::MainExited { code, status } if *status != 0 => {
            let exit = if code == "exited" { "exit-status" } else { "signal" };
            let what = if code == "exited" {
                format!("{unit}: main process ended with exit status {status}")
            } else {
                format!("{unit}: main process killed by signal {status}")
            };
            (what, vec![item(exit, None, Some(status.to_string()))])
        }
        Tells::Starting | Tells::Stopping | Tells::MainExited { .. } | Tells::Sudo { .. } => return Vec::new(),
    };
    vec![Draft { at: line.at, topic: Topic::Unit, subject: unit, what, diff: String::new(), items }]
}
