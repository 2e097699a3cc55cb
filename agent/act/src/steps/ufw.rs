//! ufw: first a rule in the chain that ufw keeps its users' rules in, then a note in ufw's own file, which is all that `ufw allow`
//! does. ufw itself would do both at once, and it does not replace its files whole.

use std::fs::File;

use common_plan::{Place, RulesFile};
use rustix::fs::{FlockOperation, fcntl_lock};

use super::firewall::Rules;
use super::iptables::Chain;
use crate::places::Places;

/// Held by ufw while it writes.
const LOCK: &str = "/run/ufw.lock";

fn name(rules: Rules<'_>) -> (&'static str, RulesFile) {
    if rules.step.source.address().is_ipv4() {
        ("ufw-user-input", RulesFile::Ufw)
    } else {
        ("ufw6-user-input", RulesFile::Ufw6)
    }
}

/// ufw's chain and the place in it, provided the kernel has as many rules there as ufw's file says.
pub(super) fn chain<'a>(before: Option<&Place>, rules: Rules<'_>) -> Result<Chain<'a>, String> {
    let (chain, file) = name(rules);
    let content = super::read(file.path(), rules.places)?.unwrap_or_default();
    let loaded = |content: &str| {
        let begin = format!("-A {chain} ");
        // A rule of this plan that is noted already need not be loaded.
        content.lines().filter(|line| line.starts_with(&begin) && !line.contains(&rules.mark())).count()
    };
    let found = Chain { table: "filter", chain, before: None, reply: false };
    if found.others(rules)? != loaded(&content) {
        return Err("the rules of ufw in the kernel are others than in its file: reload it first".to_owned());
    }
    let Some(place) = before else { return Ok(found) };
    let note = format!("### tuple ### {}\n", place.rule);
    let Some((head, _)) = content.split_once(&note) else {
        return Err(format!("rule {} of ufw is another", place.number));
    };
    Ok(Chain { before: Some((loaded(head) as u64 + 1, None)), ..found })
}

/// Takes the rule out of the kernel. ufw loads its rules anew without their comments when anybody changes one of them; ours is
/// then known by the note in its file, and by what it does.
pub(super) fn close(rules: Rules<'_>) -> Result<(), String> {
    let (chain, file) = name(rules);
    let chain = Chain { table: "filter", chain, before: None, reply: false };
    let content = super::read(file.path(), rules.places)?.unwrap_or_default();
    let is_noted = common_plan::rules_file::remove(&content, file, &rules.mark()) != content;
    match chain.is_open(rules)? {
        false if is_noted => chain.close_unmarked(rules),
        _ => chain.close(rules),
    }
}

pub(super) fn is_open(rules: Rules<'_>) -> Result<bool, String> {
    Chain { table: "filter", chain: name(rules).0, before: None, reply: false }.is_open(rules)
}

/// Keeps ufw from writing its files for as long as it is held; nothing for the files of others.
pub(super) fn lock(file: RulesFile, places: &Places) -> Result<Option<File>, String> {
    if !matches!(file, RulesFile::Ufw | RulesFile::Ufw6) {
        return Ok(None);
    }
    let lock = match File::open(places.at(LOCK)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        lock => lock.map_err(|error| format!("{LOCK}: {error}"))?,
    };
    // A lock to read by is enough to keep out who locks to write.
    fcntl_lock(&lock, FlockOperation::NonBlockingLockShared).map_err(|_| "somebody is changing ufw".to_owned())?;
    Ok(Some(lock))
}
