//! What is read when, and what is told of it.

use common_model::probe::Product;

use super::*;

fn engine(pids: &[u32]) -> EngineRef {
    EngineRef {
        name: "elasticsearch".into(),
        product: Some(Product::Elasticsearch),
        unit: Some("elasticsearch.service".into()),
        config_dir: "/etc/elasticsearch".into(),
        pids: pids.to_vec(),
        ..EngineRef::default()
    }
}

/// Reads and appends everything that is due, until nothing is.
fn settle(jobs: &mut Jobs, now: Instant) -> Vec<Key> {
    let mut read = Vec::new();
    loop {
        let tasks = jobs.start_due(now);
        if tasks.is_empty() {
            return read;
        }
        for task in tasks {
            assert!(jobs.finish(&task.key, None, now));
            jobs.appended(&task.key, 1, 100, now);
            read.push(task.key);
        }
    }
}

fn kinds(tasks: &[Task]) -> BTreeSet<&'static str> {
    tasks.iter().map(|task| task.key.0).collect()
}

fn settled() -> (Jobs, Instant) {
    let mut jobs = Jobs::default();
    let now = Instant::now();
    assert_eq!(jobs.sync(&[engine(&[1])], now), Vec::new());
    assert!(!jobs.is_settled());
    settle(&mut jobs, now);
    assert!(jobs.is_settled());
    (jobs, now)
}

#[test]
fn everything_is_read_once_at_the_start_the_deciding_kinds_first() {
    let mut jobs = Jobs::default();
    let now = Instant::now();
    jobs.sync(&[engine(&[1])], now);
    let tasks = jobs.start_due(now);
    assert_eq!(tasks[0].key.0, "sockets");
    let every: BTreeSet<&str> = ALL.iter().map(|collector| collector.kind).collect();
    let missing: Vec<_> = every.difference(&kinds(&tasks)).copied().filter(|kind| *kind != "engine-log").collect();
    assert_eq!(missing, Vec::<&str>::new());
    assert!(jobs.start_due(now).is_empty(), "nothing is read twice at once");
}

#[test]
fn a_notice_during_a_read_has_it_read_once_more() {
    let (mut jobs, now) = settled();
    let directory = Trigger::Directory("/etc/elasticsearch".into());
    jobs.trigger(&directory, Cause::Notice, now);
    assert!(!jobs.is_settled());
    assert!(jobs.start_due(now).is_empty(), "it may still be changing");
    let later = now + SETTLE;
    let tasks = jobs.start_due(later);
    assert!(kinds(&tasks).contains("engine-config"), "{tasks:?}");
    jobs.trigger(&directory, Cause::Notice, later);
    for task in &tasks {
        assert!(jobs.finish(&task.key, None, later));
        jobs.appended(&task.key, 1, 100, now);
    }
    assert!(!jobs.is_settled());
    let again = settle(&mut jobs, later + SETTLE);
    assert!(again.iter().any(|key| key.0 == "engine-config"));
    assert!(jobs.is_settled());
}

#[test]
fn a_refresh_waits_for_reads_that_began_after_it() {
    let (mut jobs, now) = settled();
    let asked = BTreeSet::from([7]);
    let poll = now + SLOW_POLL;
    let under_way = jobs.start_due(poll);
    jobs.refresh(7, poll);
    assert_eq!(jobs.refreshed(&asked), Vec::<u64>::new());
    for task in under_way {
        jobs.finish(&task.key, None, poll);
    }
    assert_eq!(jobs.refreshed(&asked), Vec::<u64>::new(), "those began before the refresh");
    settle(&mut jobs, poll);
    assert_eq!(jobs.refreshed(&asked), vec![7]);
}

#[test]
fn a_refresh_includes_the_reads_of_an_engine_that_it_finds() {
    let mut jobs = Jobs::default();
    let now = Instant::now();
    jobs.sync(&[], now);
    settle(&mut jobs, now);
    jobs.refresh(1, now);
    for task in jobs.start_due(now) {
        jobs.finish(&task.key, None, now);
        jobs.appended(&task.key, 1, 100, now);
        if task.key.0 == "engines" {
            jobs.sync(&[engine(&[1])], now);
        }
    }
    assert_eq!(jobs.refreshed(&BTreeSet::from([1])), Vec::<u64>::new());
    settle(&mut jobs, now);
    assert_eq!(jobs.refreshed(&BTreeSet::from([1])), vec![1]);
}

#[test]
fn a_refresh_includes_the_reads_of_an_engine_that_turns_out_to_be_another_process() {
    let (mut jobs, now) = settled();
    let asked = BTreeSet::from([1]);
    jobs.refresh(1, now);
    let (engines, others): (Vec<Task>, Vec<Task>) = jobs.start_due(now).into_iter().partition(|t| t.key.0 == "engines");
    for task in others {
        jobs.finish(&task.key, None, now);
    }
    assert_eq!(jobs.refreshed(&asked), Vec::<u64>::new());
    jobs.finish(&engines[0].key, None, now);
    jobs.sync(&[engine(&[2])], now);
    assert_eq!(jobs.refreshed(&asked), Vec::<u64>::new(), "the processes that were read are not the engine's");
    assert!(settle(&mut jobs, now).iter().any(|key| key.0 == "processes"));
    assert_eq!(jobs.refreshed(&asked), vec![1]);
}

#[test]
fn an_engine_that_writes_all_the_time_holds_up_no_refresh() {
    let (mut jobs, now) = settled();
    jobs.refresh(1, now);
    let tasks = jobs.start_due(now);
    jobs.trigger(&Trigger::UnitJournal, Cause::Chatter, now);
    for task in tasks {
        jobs.finish(&task.key, None, now);
    }
    assert!(!jobs.is_settled());
    assert_eq!(jobs.refreshed(&BTreeSet::from([1])), vec![1], "everything was read after it was asked for");
}

#[test]
fn what_cannot_be_appended_is_read_again_and_nothing_is_confirmed_meanwhile() {
    let (mut jobs, now) = settled();
    jobs.refresh(1, now);
    let tasks = jobs.start_due(now);
    for task in &tasks {
        jobs.finish(&task.key, None, now);
        assert!(jobs.is_news(&task.key, 2));
        jobs.refused(&task.key, now);
    }
    assert!(!jobs.is_settled());
    assert_eq!(jobs.refreshed(&BTreeSet::from([1])), Vec::<u64>::new());
    assert_eq!(jobs.next_due(), Some(now + RETRY));
    settle(&mut jobs, now + RETRY);
    assert_eq!(jobs.refreshed(&BTreeSet::from([1])), vec![1]);
}

#[test]
fn a_changed_engine_replaces_its_reads_and_a_vanished_one_is_told() {
    let (mut jobs, now) = settled();
    assert_eq!(jobs.sync(&[engine(&[2])], now), Vec::new());
    let tasks = jobs.start_due(now);
    assert_eq!(kinds(&tasks), BTreeSet::from(["processes"]));
    jobs.sync(&[engine(&[3])], now);
    assert!(!jobs.finish(&tasks[0].key, None, now), "it read the processes of before");
    let again = jobs.start_due(now);
    assert!(matches!(&again[0].source, Source::Processes(engine) if engine.pids == [3]));
    let gone = jobs.sync(&[], now);
    let gone: BTreeSet<&str> = gone.iter().map(|key| key.0).collect();
    assert_eq!(gone, BTreeSet::from(["engine-config", "processes", "unit"]));
    assert!(!jobs.finish(&again[0].key, None, now));
}

#[test]
fn what_was_forgotten_is_news_even_if_a_read_of_before_ends() {
    let (mut jobs, now) = settled();
    let poll = now + SLOW_POLL;
    let under_way = jobs.start_due(poll);
    jobs.forget(poll);
    for task in under_way {
        assert!(!jobs.finish(&task.key, task.known, poll));
        assert!(jobs.is_news(&task.key, 1));
    }
    let tasks = jobs.start_due(poll);
    assert!(tasks.iter().all(|task| task.known.is_none()));
    assert!(!tasks.is_empty());
}

#[test]
fn chatter_is_read_seldom_and_unit_changes_soon() {
    let (mut jobs, now) = settled();
    let soon = now + UNIT_PAUSE;
    jobs.trigger(&Trigger::UnitJournal, Cause::Chatter, soon);
    assert!(!kinds(&jobs.start_due(soon)).contains("unit"));
    jobs.trigger(&Trigger::UnitJournal, Cause::Unit, soon);
    assert!(kinds(&jobs.start_due(soon)).contains("unit"));
}

#[test]
fn what_changes_all_the_time_is_read_less_often_until_somebody_asks() {
    let mut allowance = Allowance { left: ALLOWANCE_BYTES, at: Instant::now(), free_at: Instant::now() };
    let now = allowance.at;
    for _ in 0..8 {
        allowance.spend(64 * 1024, now);
        assert!(allowance.free_at <= now, "a few changes in a row are sent at once");
    }
    allowance.spend(64 * 1024, now);
    assert_eq!(allowance.free_at, now + Duration::from_secs(32));
    allowance.spend(1024 * 1024, now);
    assert_eq!(allowance.free_at, now + LONGEST_PAUSE);
    let later = now + Duration::from_secs(3600);
    allowance.spend(64 * 1024, later);
    assert_eq!(allowance.free_at, later);

    let (mut jobs, now) = settled();
    jobs.appended(&("sockets", String::new()), 2, 1024 * 1024, now);
    let second = now + Duration::from_secs(1);
    assert!(!kinds(&jobs.start_due(second)).contains("sockets"));
    jobs.refresh(1, second);
    assert!(kinds(&jobs.start_due(second)).contains("sockets"));
}
