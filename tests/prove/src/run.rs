//! Runs trials: many at a time, each with its own random numbers, and none that fails stops the others.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;

use crate::network::Network;

/// How often an invariant is tried, and what came of it so far.
#[derive(Debug)]
pub struct Run {
    /// All randomness comes from it and the number of the trial.
    pub seed: u64,
    /// Trials, unless [`Run::only`] picks one.
    pub trials: u64,
    /// The only trial to make, to have one again that failed.
    pub only: Option<u64>,
    /// Whether what comes late has failed: with other work on the machine it says little.
    pub strict: bool,
    seen: Mutex<Seen>,
}

/// What a run has seen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) made: u64,
    pub(crate) failures: Vec<(u64, String)>,
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) samples: BTreeMap<String, Vec<u64>>,
}

/// One trial.
#[derive(Debug)]
pub struct Trial<'a> {
    /// From 0.
    pub number: u64,
    /// Its random numbers.
    pub rng: Rng,
    run: &'a Run,
}

impl Run {
    /// This many trials with this seed.
    pub fn new(seed: u64, trials: u64, only: Option<u64>, strict: bool) -> Self {
        Self { seed, trials, only, strict, seen: Mutex::default() }
    }

    /// Makes these trials, this many at a time, each of these lanes in a network namespace of its own. A trial that panics has
    /// failed.
    pub fn each(&self, numbers: Range<u64>, lanes: usize, make: impl Fn(&mut Trial<'_>) + Sync) {
        self.each_with(numbers, lanes, || (), |(), trial| make(trial));
    }

    /// As [`Run::each`], with something that every lane keeps from trial to trial; after one that failed it is made anew.
    pub fn each_with<L>(
        &self,
        numbers: Range<u64>,
        lanes: usize,
        open: impl Fn() -> L + Sync,
        make: impl Fn(&mut L, &mut Trial<'_>) + Sync,
    ) {
        let next = AtomicU64::new(numbers.start);
        let lane = || {
            let _network = Network::enter();
            let mut kept = None;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= numbers.end {
                    return;
                }
                if self.only.is_some_and(|only| only != number) {
                    continue;
                }
                let passed = self.try_one(number, |trial| make(kept.get_or_insert_with(&open), trial));
                if !passed {
                    kept = None;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..lanes {
                scope.spawn(lane);
            }
        });
    }

    /// Makes one trial here, with the number it has in the run; whether it passed.
    pub fn try_one(&self, number: u64, make: impl FnOnce(&mut Trial<'_>)) -> bool {
        // Neighbouring seeds must not make neighbouring streams: fastrand mixes the seed itself.
        let rng = Rng::with_seed(self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let mut trial = Trial { number, rng, run: self };
        let result = catch_unwind(AssertUnwindSafe(|| make(&mut trial)));
        let mut seen = self.seen.lock().unwrap();
        seen.made += 1;
        if let Err(panic) = &result {
            seen.failures.push((number, said(&**panic)));
        }
        result.is_ok()
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// So many more of a sort.
    pub fn add(&self, sort: &str, count: u64) {
        *self.seen.lock().unwrap().counts.entry(sort.to_owned()).or_default() += count;
    }

    /// Something measured, in the unit that its name says.
    pub fn sample(&self, what: &str, value: u64) {
        self.seen.lock().unwrap().samples.entry(what.to_owned()).or_default().push(value);
    }
}

impl Trial<'_> {
    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.usize(..of.len())]
    }

    /// [`Run::strict`].
    pub fn is_strict(&self) -> bool {
        self.run.strict
    }

    /// One more of a sort.
    pub fn count(&self, sort: &str) {
        self.add(sort, 1);
    }

    /// [`Run::add`].
    pub fn add(&self, sort: &str, count: u64) {
        self.run.add(sort, count);
    }

    /// [`Run::sample`].
    pub fn sample(&self, what: &str, value: u64) {
        self.run.sample(what, value);
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
