//! Who has approved something, and who still could, in words.

use common_plan::Record;

/// Names that are told one by one.
const MAX_NAMES: usize = 5;

/// Who has approved a plan, and who still could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Persons {
    /// Who has.
    pub(crate) by: Vec<String>,
    /// How many have to.
    pub(crate) needed: usize,
    /// Who else could, as far as the controller knows.
    pub(crate) could: Vec<String>,
}

impl Persons {
    /// By the controller's word alone, where the plan's bytes are not at hand.
    pub(crate) fn told(record: &Record) -> Self {
        let by = record.approvals.iter().map(|approved| approved.operator.clone());
        Self { by: once_each(by), needed: usize::from(record.needed), could: record.could_approve.clone() }
    }

    /// How many more have to.
    pub(crate) fn missing(&self) -> usize {
        self.needed.saturating_sub(self.by.len())
    }

    /// `one more person has to: bob or carol`; none where enough have.
    pub(crate) fn wanted(&self) -> Option<String> {
        let missing = self.missing();
        let more = if self.by.is_empty() { "" } else { "more " };
        let persons = match missing {
            0 => return None,
            1 => format!("one {more}person has to"),
            _ => format!("{missing} {more}persons have to"),
        };
        Some(match self.could.len() {
            0 if self.by.is_empty() => format!("{persons}; nobody who could is known"),
            0 => format!("{persons}; nobody else who could is known"),
            others if others < missing => {
                format!("{persons}: {}; nobody else who could is known", listed(&self.could, "and"))
            }
            others if others == missing => format!("{persons}: {}", listed(&self.could, "and")),
            _ if missing == 1 => format!("{persons}: {}", listed(&self.could, "or")),
            _ => format!("{persons}, of {}", listed(&self.could, "and")),
        })
    }

    /// `approved by alice; one more person has to: bob or carol`.
    pub(crate) fn so_far(&self) -> String {
        let by = listed(&self.by, "and");
        match (self.by.is_empty(), self.wanted()) {
            (true, Some(wanted)) => format!("nobody has approved it yet; {wanted}"),
            (true, None) => "nobody has approved it".to_owned(),
            (false, Some(wanted)) => format!("approved by {by}; {wanted}"),
            (false, None) => format!("approved by {by}"),
        }
    }
}

/// Whoever approves twice counts once.
pub(crate) fn once_each(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

/// `alice, bob or carol`.
fn listed(names: &[String], last: &str) -> String {
    let shown = names.get(..MAX_NAMES).unwrap_or(names);
    match (shown, names.len() - shown.len()) {
        ([], _) => String::new(),
        ([only], 0) => only.clone(),
        ([first @ .., end], 0) => format!("{} {last} {end}", first.join(", ")),
        (_, 1) => format!("{} {last} 1 other", shown.join(", ")),
        (_, others) => format!("{} {last} {others} others", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(by: &[&str], needed: usize, could: &[&str]) -> String {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Persons { by: names(by), needed, could: names(could) }.so_far()
    }

    #[test]
    fn who_is_still_needed_is_named() {
        assert_eq!(said(&[], 1, &["alice"]), "nobody has approved it yet; one person has to: alice");
        assert_eq!(said(&[], 1, &["alice", "bob"]), "nobody has approved it yet; one person has to: alice or bob");
        assert_eq!(said(&[], 2, &["alice", "bob"]), "nobody has approved it yet; 2 persons have to: alice and bob");
        assert_eq!(
            said(&[], 2, &["alice", "bob", "carol"]),
            "nobody has approved it yet; 2 persons have to, of alice, bob and carol"
        );
        assert_eq!(said(&["alice"], 2, &["bob"]), "approved by alice; one more person has to: bob");
        assert_eq!(said(&["alice", "bob"], 2, &["carol"]), "approved by alice and bob");
        let six = ["a", "b", "c", "d", "e", "f"];
        assert_eq!(said(&["g"], 2, &six), "approved by g; one more person has to: a, b, c, d, e or 1 other");
    }

    #[test]
    fn that_nobody_is_left_is_said() {
        assert_eq!(said(&[], 1, &[]), "nobody has approved it yet; one person has to; nobody who could is known");
        assert_eq!(
            said(&["alice"], 2, &[]),
            "approved by alice; one more person has to; nobody else who could is known"
        );
        assert_eq!(
            said(&["alice"], 3, &["bob"]),
            "approved by alice; 2 more persons have to: bob; nobody else who could is known"
        );
    }
}
