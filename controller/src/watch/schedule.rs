//! When to look at which endpoint. Pure: milliseconds of a clock that only goes forward come in.

use std::collections::BTreeMap;

use common_model::{Endpoint, Probe, Symptom, Timestamp};

/// What a probe of all addresses of an endpoint showed, as far as another has to differ for a diagnosis to be worth its while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glance(Vec<(String, Symptom)>);

impl Glance {
    /// Of these probes.
    pub(super) fn of(probes: &[Probe]) -> Self {
        let mut seen: Vec<_> =
            probes.iter().map(|probe| (format!("{:?} {:?}", probe.address, probe.errno), probe.outcome)).collect();
        seen.sort();
        Self(seen)
    }

    /// Whether every address answers.
    pub(super) fn answers(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(_, outcome)| *outcome == Symptom::Ok)
    }
}

/// An endpoint that is to be looked at now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Task {
    pub(super) endpoint: Endpoint,
    /// What the last look showed.
    last: Option<Glance>,
    /// It is the endpoint of an open incident.
    incident: bool,
    /// It was long enough since the last diagnosis.
    judge: bool,
    /// When it was last seen to answer.
    pub(super) answered: Option<Timestamp>,
}

impl Task {
    /// Whether what was seen at a glance asks for a diagnosis: something is new, or it was long since the last. Of what answers
    /// and has no incident there is nothing to say.
    pub(super) fn asks_for_diagnosis(&self, glance: &Glance) -> bool {
        let nothing_to_say = glance.answers() && !self.incident;
        !nothing_to_say && (self.judge || self.last.as_ref() != Some(glance))
    }
}

/// All endpoints that are looked at.
#[derive(Debug)]
pub(super) struct Schedule {
    probe_every: u64,
    judge_every: u64,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    endpoint: Endpoint,
    incident: bool,
    due: u64,
    judge_at: u64,
    rounds: u32,
    looking: bool,
    last: Option<Glance>,
    answered: Option<Timestamp>,
}

impl Schedule {
    /// With these times between two probes and two diagnoses, in milliseconds.
    pub(super) fn new(probe_every: u64, judge_every: u64) -> Self {
        Self { probe_every, judge_every, entries: BTreeMap::new() }
    }

    /// From now on, looks at these and no others; true marks an endpoint of an open incident.
    pub(super) fn follow(&mut self, wanted: impl IntoIterator<Item = (Endpoint, bool)>, now: u64) {
        let mut named: BTreeMap<String, (Endpoint, bool)> = BTreeMap::new();
        for (endpoint, incident) in wanted {
            named.entry(endpoint.to_string()).or_insert((endpoint, false)).1 |= incident;
        }
        self.entries.retain(|name, _| named.contains_key(name));
        for (name, (endpoint, incident)) in named {
            let (due, judge_at) = (now, now);
            let entry = self.entries.entry(name).or_insert(Entry {
                endpoint,
                incident,
                due,
                judge_at,
                rounds: 0,
                looking: false,
                last: None,
                answered: None,
            });
            if incident && !entry.incident {
                entry.judge_at = now;
            }
            entry.incident = incident;
        }
    }

    /// The next ones to look at, at most `room`; those due longest first.
    pub(super) fn due(&mut self, now: u64, room: usize) -> Vec<Task> {
        let mut due: Vec<&mut Entry> =
            self.entries.values_mut().filter(|entry| !entry.looking && entry.due <= now).collect();
        due.sort_by_key(|entry| entry.due);
        let task = |entry: &mut Entry| {
            entry.looking = true;
            Task {
                endpoint: entry.endpoint.clone(),
                last: entry.last.clone(),
                incident: entry.incident,
                judge: entry.incident && entry.judge_at <= now,
                answered: entry.answered,
            }
        };
        due.into_iter().take(room).map(task).collect()
    }

    /// A look is over; what it showed, and whether it was judged. None: it failed, and shows nothing.
    pub(super) fn done(&mut self, endpoint: &Endpoint, looked: Option<(Glance, bool)>, at: Timestamp, now: u64) {
        let (probe_every, judge_every) = (self.probe_every, self.judge_every);
        let name = endpoint.to_string();
        let Some(entry) = self.entries.get_mut(&name) else { return };
        (entry.looking, entry.rounds) = (false, entry.rounds.wrapping_add(1));
        entry.due = now + spread(&name, entry.rounds, probe_every);
        let Some((glance, judged)) = looked else { return };
        if judged {
            entry.judge_at = now + spread(&name, entry.rounds, judge_every);
        }
        if glance.answers() {
            entry.answered = Some(at);
        }
        entry.last = Some(glance);
    }
}

/// Up to a fifth more or less, different for each endpoint and round, so that many do not come at once.
fn spread(name: &str, round: u32, period: u64) -> u64 {
    let mut hasher = crc32fast::Hasher::new_with_initial(round);
    hasher.update(name.as_bytes());
    period * 4 / 5 + u64::from(hasher.finalize()) * (period * 2 / 5) / u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(n: usize) -> Endpoint {
        format!("http://es-{n}:9200").parse().unwrap()
    }

    fn glance(outcome: Symptom) -> Glance {
        Glance(vec![("10.0.0.5".to_owned(), outcome)])
    }

    const AT: Timestamp = Timestamp(7);

    #[test]
    fn looks_are_spread_around_their_period() {
        let times: Vec<u64> = (0..1000).map(|round| spread("http://es-1:9200", round, 5000)).collect();
        assert!(times.iter().all(|time| (4000..=6000).contains(time)));
        let mean = times.iter().sum::<u64>() / 1000;
        assert!((4900..=5100).contains(&mean), "{mean}");
    }

    #[test]
    fn each_is_looked_at_by_one_at_a_time_and_not_before_it_is_due() {
        let mut schedule = Schedule::new(5000, 60_000);
        schedule.follow((0..3).map(|n| (endpoint(n), false)), 0);
        assert_eq!(schedule.due(0, 2).len(), 2);
        assert_eq!(schedule.due(0, 2).len(), 1);
        assert!(schedule.due(100_000, 9).is_empty());
        schedule.done(&endpoint(0), Some((glance(Symptom::Ok), false)), AT, 0);
        assert!(schedule.due(3999, 9).is_empty());
        let again = schedule.due(6000, 9);
        assert_eq!((again.len(), again[0].answered), (1, Some(AT)));
    }

    #[test]
    fn only_what_is_new_or_long_ago_is_diagnosed() {
        let mut schedule = Schedule::new(5000, 60_000);
        schedule.follow([(endpoint(1), false)], 0);
        let task = schedule.due(0, 1).remove(0);
        assert!(!task.asks_for_diagnosis(&glance(Symptom::Ok)));
        assert!(task.asks_for_diagnosis(&glance(Symptom::Refused)));
        schedule.done(&endpoint(1), Some((glance(Symptom::Refused), true)), AT, 0);
        // It has become an incident: judged as one once, then only when it is time or something is new.
        schedule.follow([(endpoint(1), true)], 10);
        let task = schedule.due(6000, 1).remove(0);
        assert!(task.asks_for_diagnosis(&glance(Symptom::Refused)));
        schedule.done(&endpoint(1), Some((glance(Symptom::Refused), true)), AT, 6000);
        let task = schedule.due(12_000, 1).remove(0);
        assert!(!task.asks_for_diagnosis(&glance(Symptom::Refused)));
        assert!(task.asks_for_diagnosis(&glance(Symptom::Timeout)) && task.asks_for_diagnosis(&glance(Symptom::Ok)));
        schedule.done(&endpoint(1), Some((glance(Symptom::Refused), false)), AT, 12_000);
        assert!(schedule.due(80_000, 1).remove(0).asks_for_diagnosis(&glance(Symptom::Refused)));
    }

    #[test]
    fn what_is_no_longer_wanted_is_forgotten() {
        let mut schedule = Schedule::new(5000, 60_000);
        schedule.follow([(endpoint(1), true), (endpoint(2), false), (endpoint(1), false)], 0);
        let tasks = schedule.due(0, 9);
        assert_eq!(tasks.iter().map(|task| task.incident).collect::<Vec<_>>(), [true, false]);
        schedule.follow([(endpoint(2), false)], 1);
        schedule.done(&endpoint(1), None, AT, 2);
        schedule.done(&endpoint(2), None, AT, 2);
        assert_eq!(schedule.due(10_000, 9).len(), 1);
    }
}
