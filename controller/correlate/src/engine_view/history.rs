//! How the engine's last start went.

use common_evidence::collectors::journal::{JournalLine, Tells};
use common_model::Timestamp;

use super::EngineView;
use crate::picture::Cited;

/// Journal and log write the same moment some milliseconds apart, and a unit's times are whole seconds.
const SLACK_MS: i64 = 1_500;

impl EngineView {
    /// When the newest start of the unit began, by the unit's own account, else by the journal.
    pub fn last_start_at(&self) -> Option<Timestamp> {
        let by_unit = self.unit.known().and_then(|unit| unit.value.main_started_at);
        let by_journal =
            self.journal.iter().rev().find(|line| line.value.tells == Some(Tells::Starting)).map(|line| line.value.at);
        by_unit.max(by_journal)
    }

    /// The unit's journal lines of its newest start, oldest first; all lines when no start is among them.
    pub fn newest_start(&self) -> &[Cited<JournalLine>] {
        let from = self.journal.iter().rposition(|line| line.value.tells == Some(Tells::Starting)).unwrap_or(0);
        self.journal.get(from..).unwrap_or_default()
    }

    /// Whether something in the engine's log is of its newest start. True when neither says when.
    pub fn is_of_newest_start(&self, at: Option<Timestamp>) -> bool {
        match (at, self.last_start_at()) {
            (Some(at), Some(start)) => at.plus_millis(SLACK_MS) >= start,
            _ => true,
        }
    }

    /// The newest line of the journal that tells this.
    pub fn newest(&self, tells: impl Fn(&Tells) -> bool) -> Option<&Cited<JournalLine>> {
        self.journal.iter().rev().find(|line| line.value.tells.as_ref().is_some_and(&tells))
    }
}
