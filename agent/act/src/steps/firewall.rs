//! `firewall-allow`: rules where they take effect, which let one network reach one port and nothing else; and `firewall-revoke`,
//! which takes exactly those away. In the kernel first; in the file that is loaded at boot once confirmed.

use common_plan::{FirewallAllow, FirewallRevoke, Opening, PlanId, Refusal, RulesFile, rules_file};
use serde::{Deserialize, Serialize};

use super::firewalld::RichRule;
use super::{iptables, nftables, ufw};
use crate::places::Places;

/// The rules of one plan on this host.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) step: &'a FirewallAllow,
    pub(super) id: &'a PlanId,
    pub(super) places: &'a Places,
}

/// Where a rule is before it is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// In the kernel.
    live: bool,
    /// In the file that is loaded at boot.
    kept: bool,
}

impl<'a> Rules<'a> {
    /// Those of a plan that opens.
    pub(super) fn new(step: &'a FirewallAllow, id: &'a PlanId, places: &'a Places) -> Self {
        Self { step, id, places }
    }

    /// Those that a plan takes away which another made.
    pub(super) fn made(revoke: &'a FirewallRevoke, places: &'a Places) -> Self {
        Self { step: &revoke.made, id: &revoke.plan, places }
    }

    /// The word in the comment of each.
    pub(super) fn mark(&self) -> String {
        rules_file::mark(self.id)
    }

    /// Whether every place is as the plan says, and free.
    pub(super) fn observe(self) -> Result<(), Refusal> {
        self.step.openings.iter().try_for_each(|opening| {
            match Owner::of(opening, self.step).map_err(Refusal::Impossible)? {
                Owner::Nftables(chain) => chain.observe(self)?,
                Owner::Iptables(chain) => chain.observe(self)?,
                Owner::Ufw(before) => ufw::chain(before, self).map_err(Refusal::Changed)?.observe(self)?,
                Owner::Firewalld(rule) => rule.observe(self.places)?,
            }
            let Some(file) = self.file(opening) else { return Ok(()) };
            self.with_rule(opening, file).map(|_| ()).map_err(Refusal::Changed)
        })
    }

    /// Opens every place in the kernel.
    pub(super) fn open(self) -> Result<(), String> {
        self.step.openings.iter().try_for_each(|opening| self.open_one(opening))
    }

    fn open_one(self, opening: &Opening) -> Result<(), String> {
        match Owner::of(opening, self.step)? {
            Owner::Nftables(chain) => chain.open(self),
            Owner::Iptables(chain) => chain.open(self),
            Owner::Ufw(before) => ufw::chain(before, self)?.open(self),
            Owner::Firewalld(rule) => rule.open(self.places),
        }
    }

    /// The file that is to keep an opening; none for one that is for a limited time, which a boot may end, too.
    fn file(self, opening: &Opening) -> Option<RulesFile> {
        opening.file(self.step.source).filter(|_| self.step.for_s.is_none())
    }

    /// Makes every place last that has a file.
    pub(super) fn keep(self) -> Result<(), String> {
        if self.step.for_s.is_some() {
            return Ok(());
        }
        self.step.openings.iter().try_for_each(|opening| self.keep_one(opening))
    }

    fn keep_one(self, opening: &Opening) -> Result<(), String> {
        if let Owner::Firewalld(rule) = Owner::of(opening, self.step)? {
            return rule.keep(self.places);
        }
        let Some(file) = opening.file(self.step.source) else { return Ok(()) };
        let _lock = ufw::lock(file, self.places)?;
        let (content, changed) = self.with_rule(opening, file)?;
        if matches!(file, RulesFile::Nftables | RulesFile::NftablesSysconfig) {
            nftables::check(&changed, self)?;
        }
        super::replace(file.path(), Some(&content), Some(&changed), self.places)
    }

    /// The file's content, and the same with the rule in it.
    fn with_rule(self, opening: &Opening, file: RulesFile) -> Result<(String, String), String> {
        let content = super::read(file.path(), self.places)?.ok_or_else(|| format!("{} is not there", file.path()))?;
        let changed = rules_file::insert(&content, opening, &rules_file::Rule::of(self.step, self.id));
        let changed = changed.ok_or_else(|| format!("the rule has no place in {} as it is", file.path()))?;
        Ok((content, changed))
    }

    /// Takes every rule away in the kernel; goes through all, also when one fails.
    pub(super) fn close(self) -> Result<(), String> {
        let closed = self.step.openings.iter().rev().map(|opening| match Owner::of(opening, self.step)? {
            Owner::Nftables(chain) => chain.close(self),
            Owner::Iptables(chain) => chain.close(self),
            Owner::Ufw(_) => ufw::close(self),
            Owner::Firewalld(rule) => rule.close(self.places),
        });
        closed.fold(Ok(()), super::both)
    }

    /// Takes every rule out of its file; goes through all, also when one fails.
    pub(super) fn forget(self) -> Result<(), String> {
        let forgotten = self.step.openings.iter().map(|opening| {
            if let Owner::Firewalld(rule) = Owner::of(opening, self.step)? {
                return rule.forget(self.places);
            }
            let Some(file) = opening.file(self.step.source) else { return Ok(()) };
            let _lock = ufw::lock(file, self.places)?;
            let Some(content) = super::read(file.path(), self.places)? else { return Ok(()) };
            let without = rules_file::remove(&content, file, &self.mark());
            if without == content {
                Ok(())
            } else {
                super::replace(file.path(), Some(&content), Some(&without), self.places)
            }
        });
        forgotten.fold(Ok(()), super::both)
    }

    /// Where each rule is; refuses when there is none of them.
    pub(super) fn present(self) -> Result<Vec<Presence>, Refusal> {
        let present = self.step.openings.iter().map(|opening| self.presence(opening)).collect::<Result<Vec<_>, _>>();
        let present = present.map_err(Refusal::Impossible)?;
        if present.iter().any(|rule| rule.live || rule.kept) {
            return Ok(present);
        }
        Err(Refusal::Changed(format!("the rules of plan {} are not there any more", self.id)))
    }

    fn presence(self, opening: &Opening) -> Result<Presence, String> {
        let kept = match opening.file(self.step.source) {
            Some(file) => {
                let content = super::read(file.path(), self.places)?.unwrap_or_default();
                rules_file::remove(&content, file, &self.mark()) != content
            }
            None => false,
        };
        Ok(match Owner::of(opening, self.step)? {
            Owner::Nftables(chain) => Presence { live: chain.is_open(self)?, kept },
            Owner::Iptables(chain) => Presence { live: chain.is_open(self)?, kept },
            // What ufw's file notes it has loaded.
            Owner::Ufw(_) => Presence { live: kept || ufw::is_open(self)?, kept },
            Owner::Firewalld(rule) => Presence { live: rule.is_open(self.places)?, kept: rule.is_kept(self.places)? },
        })
    }

    /// Puts back what was taken away, as far as it is not there.
    pub(super) fn put_back(self, before: &[Presence]) -> Result<(), String> {
        if self.step.for_s.is_some() {
            return Err("what was open for a limited time is not opened again".to_owned());
        }
        let put_back = self.step.openings.iter().zip(before).map(|(opening, before)| {
            // In the file first: that tells where ufw had it.
            let kept = if before.kept { self.keep_one(opening) } else { Ok(()) };
            let is_live = !before.live || self.presence_in_kernel(opening)?;
            super::both(kept, if is_live { Ok(()) } else { self.open_one(opening) })
        });
        put_back.fold(Ok(()), super::both)
    }

    fn presence_in_kernel(self, opening: &Opening) -> Result<bool, String> {
        match Owner::of(opening, self.step)? {
            Owner::Nftables(chain) => chain.is_open(self),
            Owner::Iptables(chain) => chain.is_open(self),
            Owner::Ufw(_) => ufw::is_open(self),
            Owner::Firewalld(rule) => rule.is_open(self.places),
        }
    }
}

/// Who is asked to open a place.
enum Owner<'a> {
    Nftables(nftables::Chain<'a>),
    Iptables(iptables::Chain<'a>),
    Ufw(Option<&'a common_plan::Place>),
    Firewalld(RichRule),
}

impl<'a> Owner<'a> {
    fn of(opening: &'a Opening, step: &FirewallAllow) -> Result<Self, String> {
        Ok(match opening {
            Opening::Nftables { family, table, chain, before, reply, .. } => {
                Owner::Nftables(nftables::Chain { family, table, chain, before: before.as_ref(), reply: *reply })
            }
            Opening::Iptables { legacy: false, table, chain, before, reply, .. } => Owner::Iptables(iptables::Chain {
                table: table.as_str(),
                chain: chain.as_str(),
                before: before.as_ref().map(|place| (place.number, Some(place.rule.as_str()))),
                reply: *reply,
            }),
            // It is set through a raw socket, which the actuator must not open.
            Opening::Iptables { legacy: true, .. } => {
                return Err("iptables-legacy is set through a raw socket, which the actuator may not open: do it by hand, as the remedy says".to_owned());
            }
            Opening::Ufw { before } => Owner::Ufw(before.as_ref()),
            Opening::Firewalld { zone, policy, priority } => {
                Owner::Firewalld(RichRule::new(zone.as_ref(), policy.as_ref(), *priority, step))
            }
        })
    }
}
