//! The audit log: a chain in which every entry names the one before by its digest, so that an edit anywhere shows.

use common_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::Digest;
use crate::plan::PlanId;

/// One entry. Its line, as stored and exported, is its JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// 1, 2, 3 … without a gap.
    pub seq: u64,
    /// By the controller's clock.
    pub at: Timestamp,
    /// Who: `operator alice`, `node es-1`, `controller`.
    pub actor: String,
    /// What: `plan-proposed`, `plan-approved`, `login`, … An open set.
    pub event: String,
    /// About which plan, if it is about one.
    pub plan: Option<PlanId>,
    /// In words; for an approval also key and signature.
    pub detail: String,
    /// [`Digest`] of the line of the entry before; of nothing, for the first.
    pub previous: Digest,
}

/// Where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit log is broken at entry {seq}: {why}")]
pub struct Broken {
    /// The first entry that is not what it should be, counted from 1.
    pub seq: u64,
    /// What is wrong with it.
    pub why: String,
}

/// The digest an entry after `last_line` has to name; none: there is no entry yet.
pub fn link(last_line: Option<&str>) -> Digest {
    Digest::of(last_line.unwrap_or_default().as_bytes())
}

/// Reads lines in order and checks that they are one chain from entry 1 on; gives how many there are and the digest of the last,
/// which a copy kept elsewhere has to have in common.
pub fn verify<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<(u64, Digest), Broken> {
    let mut last = None;
    let mut seq = 0;
    for line in lines {
        seq += 1;
        let broken = |why: &str| Broken { seq, why: why.to_owned() };
        let entry: AuditEntry = serde_json::from_str(line).map_err(|_| broken("it cannot be read"))?;
        if entry.seq != seq {
            return Err(broken("its number is not the next: entries are missing or were put in"));
        }
        if entry.previous != link(last) {
            return Err(broken("the entry before it is not the one it was written after"));
        }
        last = Some(line);
    }
    Ok((seq, link(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(length: u64) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for seq in 1..=length {
            let entry = AuditEntry {
                seq,
                at: Timestamp(i64::try_from(seq).unwrap()),
                actor: "operator alice".to_owned(),
                event: "plan-approved".to_owned(),
                plan: None,
                detail: format!("entry {seq}"),
                previous: link(lines.last().map(String::as_str)),
            };
            lines.push(serde_json::to_string(&entry).unwrap());
        }
        lines
    }

    fn check(lines: &[String]) -> Result<(u64, Digest), Broken> {
        verify(lines.iter().map(String::as_str))
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(1000))]

        /// Whatever is done to lines before the last breaks the chain; done to the last, its digest is another than the one that a
        /// copy kept elsewhere ends in.
        #[test]
        fn a_thousand_edits_are_found(
            line in 0usize..40,
            other in 0usize..40,
            at in proptest::prelude::any::<proptest::sample::Index>(),
            byte in 0x20u8..0x7f,
            how in 0u8..7,
        ) {
            let lines = chain(40);
            let whole = check(&lines).unwrap();
            let mut edited = lines.clone();
            let position = at.index(edited[line].len());
            match how {
                0 => edited[line].replace_range(position..=position, std::str::from_utf8(&[byte]).unwrap()),
                1 => drop(edited[line].remove(position)),
                2 => edited[line].insert(position, char::from(byte)),
                3 => drop(edited.remove(line)),
                4 => edited.insert(line, lines[other].clone()),
                5 => edited.swap(line, other),
                _ => edited.truncate(line),
            }
            proptest::prop_assume!(edited != lines);
            let found = check(&edited);
            proptest::prop_assert_ne!(found.as_ref().ok(), Some(&whole));
            // The end alone can be cut off, or its last line changed, without breaking the chain itself.
            let kept = edited.iter().zip(&lines).take_while(|(a, b)| a == b).count();
            proptest::prop_assert!(found.is_err() || edited.len() <= kept + 1, "{how} at {line} was not found");
        }
    }

    #[test]
    fn an_untouched_chain_holds() {
        let lines = chain(20);
        assert_eq!(check(&lines), Ok((20, Digest::of(lines[19].as_bytes()))));
        assert_eq!(check(&[]).unwrap().0, 0);
    }

    #[test]
    fn every_edit_changes_what_the_chain_ends_in_or_breaks_it() {
        let lines = chain(8);
        let whole = check(&lines).unwrap();
        for at in 0..lines.len() {
            for byte in 0..lines[at].len() {
                let mut edited = lines.clone();
                let mut bytes = edited[at].clone().into_bytes();
                bytes[byte] ^= 1;
                edited[at] = String::from_utf8(bytes).unwrap();
                assert_ne!(check(&edited).ok(), Some(whole.clone()), "entry {at} byte {byte}");
            }
            let mut shorter = lines.clone();
            shorter.remove(at);
            assert_ne!(check(&shorter).ok(), Some(whole.clone()));
            let mut doubled = lines.clone();
            doubled.insert(at, lines[at].clone());
            assert!(check(&doubled).is_err());
        }
        let mut swapped = lines;
        swapped.swap(2, 3);
        assert_eq!(check(&swapped).unwrap_err().seq, 3);
    }
}
