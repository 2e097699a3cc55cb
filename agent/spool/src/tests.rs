//! The spool through crashes, damage and full disks.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common_model::Class;
use proptest::prelude::*;

use crate::record::encode;
use crate::spool::Limits;
use crate::{Dropped, Item, MAX_RECORD_BYTES, New, Recovery, Spool, SpoolError, segment};

const SMALL: Limits = Limits { quota: 1024 * 1024, segment: 4096, reserve: 16 * 1024 };

/// A program that another test starts holds, until it has been executed, every lock there was when it was forked.
fn open(dir: &Path) -> (Spool, Recovery) {
    let begun = Instant::now();
    loop {
        match Spool::open_within(dir, SMALL) {
            Err(SpoolError::InUse(_)) if begun.elapsed() < Duration::from_secs(10) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

fn event(text: &str) -> New {
    New { class: Class::Event, payload: text.as_bytes().to_vec() }
}

fn state(len: usize) -> New {
    New { class: Class::State, payload: vec![b's'; len] }
}

/// Everything unacknowledged: the delivered records, and how many numbers gaps report. Checks that numbers come in order and none is left out.
fn drain(spool: &mut Spool, batch: usize) -> (BTreeMap<u64, Vec<u8>>, u64) {
    let mut delivered = BTreeMap::new();
    let mut lost = 0;
    let mut after = spool.acked();
    while after < spool.last() {
        let items = spool.read(after, batch);
        assert!(!items.is_empty(), "nothing after {after} of {}", spool.last());
        for item in items {
            match item {
                Item::Record { seq, payload } => {
                    assert_eq!(seq, after + 1);
                    delivered.insert(seq, payload);
                    after = seq;
                }
                Item::Gap { first, last } => {
                    assert_eq!(first, after + 1);
                    assert!(last >= first);
                    lost += last - first + 1;
                    after = last;
                }
            }
        }
    }
    (delivered, lost)
}

#[test]
fn what_was_appended_is_read_again_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path());
    let incarnation = spool.incarnation();
    assert_eq!(spool.append(&[event("a"), event("b")]).unwrap().last, 2);
    assert!(matches!(Spool::open(dir.path(), 0), Err(SpoolError::InUse(_))));
    drop(spool);
    let (mut spool, recovery) = open(dir.path());
    assert_eq!((recovery, spool.incarnation()), (Recovery::default(), incarnation));
    assert_eq!(spool.append(&[event("c")]).unwrap().last, 3);
    spool.ack(1).unwrap();
    let (delivered, lost) = drain(&mut spool, 1);
    assert_eq!(delivered, BTreeMap::from([(2, b"b".to_vec()), (3, b"c".to_vec())]));
    assert_eq!(lost, 0);
}

#[test]
fn acknowledged_segments_are_deleted_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path());
    for _ in 0..100 {
        spool.append(&[state(1000)]).unwrap();
    }
    let full = spool.bytes();
    spool.ack(100).unwrap();
    assert!(spool.bytes() < full / 10, "{} of {full}", spool.bytes());
    drop(spool);
    let (mut spool, recovery) = open(dir.path());
    assert_eq!((recovery.missing, spool.last(), spool.acked()), (0, 100, 100));
    assert_eq!(spool.append(&[event("x")]).unwrap().last, 101);
    assert!(matches!(spool.ack(102), Err(SpoolError::Ahead { acked: 102, last: 101 })));
}

#[test]
fn the_quota_takes_states_first_and_reports_every_number() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { quota: 64 * 1024, ..SMALL };
    let (mut spool, _) = Spool::open_within(dir.path(), limits).unwrap();
    let (mut states, mut events) = (0, 0);
    for n in 0..400 {
        let record = if n % 2 == 0 { state(400) } else { event(&format!("event {n} {}", "x".repeat(100))) };
        if let Some(dropped) = spool.append(&[record]).unwrap().dropped {
            states += dropped.states;
            events += dropped.events;
        }
        assert!(spool.bytes() <= limits.quota);
    }
    assert!(states > 100);
    assert_eq!((events, spool.dropped_events()), (0, 0));
    let (delivered, lost) = drain(&mut spool, 10_000);
    assert_eq!(lost, states);
    assert_eq!(delivered.values().filter(|payload| payload.starts_with(b"event")).count(), 200);

    for n in 0..1000 {
        if let Some(dropped) = spool.append(&[event(&format!("more {n} {}", "x".repeat(100)))]).unwrap().dropped {
            states += dropped.states;
            events += dropped.events;
        }
    }
    assert!(events > 0);
    assert_eq!(spool.dropped_events(), events);
    assert_eq!(drain(&mut spool, 10_000).1, states + events);
    drop(spool);
    assert_eq!(open(dir.path()).0.dropped_events(), events);
}

#[test]
fn a_restored_directory_gets_a_new_incarnation_and_keeps_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path());
    spool.append(&[event("a"), event("b"), event("c")]).unwrap();
    spool.ack(1).unwrap();
    let before = spool.incarnation();
    spool.restart().unwrap();
    assert_ne!(spool.incarnation(), before);
    let kept = BTreeMap::from([(2, b"b".to_vec()), (3, b"c".to_vec())]);
    assert_eq!(drain(&mut spool, 100), (kept.clone(), 0));
    let after = spool.incarnation();
    drop(spool);
    let (mut spool, _) = open(dir.path());
    assert_eq!(spool.incarnation(), after);
    assert_eq!(drain(&mut spool, 100), (kept, 0));
}

#[test]
fn a_write_cut_short_by_a_crash_is_not_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path());
    spool.append(&[event("confirmed")]).unwrap();
    let segment = segment::path(dir.path(), spool.segments().last().unwrap().id);
    drop(spool);
    let mut torn = Vec::new();
    encode(&mut torn, 0, 2, Class::Event, b"never confirmed");
    let file = fs::OpenOptions::new().append(true).open(segment).unwrap();
    file.write_all_at(&torn[..20], 0).unwrap();
    let (spool, recovery) = open(dir.path());
    assert_eq!(recovery, Recovery { torn_bytes: 20, damaged_bytes: 0, missing: 0 });
    assert_eq!(spool.last(), 1);
}

#[test]
fn a_record_that_is_too_long_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path());
    let long = New { class: Class::State, payload: vec![0; MAX_RECORD_BYTES + 1] };
    assert!(matches!(spool.append(&[event("a"), long]), Err(SpoolError::TooLong(_))));
    assert_eq!(spool.last(), 0);
}

const FULL_DISK: &str = "DIALTONE_SPOOL_FULL_DISK";

/// Appends the same kind of event until nothing more fits on the disk, and notes what was confirmed.
fn fill(spool: &mut Spool, confirmed: &mut BTreeMap<u64, Vec<u8>>) {
    for _ in 0..10_000 {
        let payload = format!("event {} {}", spool.last() + 1, "x".repeat(700)).into_bytes();
        match spool.append(&[New { class: Class::Event, payload: payload.clone() }]) {
            Ok(appended) => drop(confirmed.insert(appended.last, payload)),
            Err(SpoolError::DiskFull(_)) => return,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the disk does not get full");
}

/// The child of the test below, on a file system of one megabyte. Does nothing as a test of its own.
#[test]
fn full_disk() {
    let Some(disk) = std::env::var_os(FULL_DISK) else { return };
    let (dir, others) = (Path::new(&disk).join("spool"), Path::new(&disk).join("others"));
    fs::write(&others, vec![0; 512 * 1024]).unwrap();
    let mut confirmed = BTreeMap::new();
    let (mut spool, _) = open(&dir);
    fill(&mut spool, &mut confirmed);
    let last = spool.last();
    let refused = spool.append(&[event(&"y".repeat(4096)), event("z")]).unwrap_err().to_string();
    assert!(refused.contains("no space left") && refused.contains(dir.to_str().unwrap()), "{refused}");
    assert_eq!(spool.last(), last, "no number is used up by what was refused");
    assert_eq!(drain(&mut spool, 2000), (confirmed.clone(), 0));

    // An agent that is started now has all of it.
    drop(spool);
    let (mut spool, recovery) = open(&dir);
    assert_eq!((recovery, spool.last()), (Recovery::default(), last));
    assert_eq!(drain(&mut spool, 2000), (confirmed.clone(), 0));

    // What is acknowledged makes room for what comes.
    let acked = last / 2;
    spool.ack(acked).unwrap();
    confirmed = confirmed.split_off(&(acked + 1));
    fill(&mut spool, &mut confirmed);
    assert!(spool.last() > last + 10, "{} after {last}", spool.last());
    assert_eq!(drain(&mut spool, 2000), (confirmed.clone(), 0));

    // So does whoever else took the space.
    let before = spool.last();
    fs::remove_file(&others).unwrap();
    let after = spool.append(&[event("after")]).unwrap().last;
    assert_eq!(after, before + 1);
    confirmed.insert(after, b"after".to_vec());
    drop(spool);
    let (mut spool, recovery) = open(&dir);
    assert_eq!((recovery, drain(&mut spool, 2000)), (Recovery::default(), (confirmed, 0)));
}

const CONNECTED: &str = "DIALTONE_SPOOL_CONNECTED";

/// The child of the test below. Does nothing as a test of its own.
#[test]
fn connected() {
    let Some(disk) = std::env::var_os(CONNECTED) else { return };
    let (dir, others) = (Path::new(&disk).join("spool"), Path::new(&disk).join("others"));
    let (mut spool, _) = open(&dir);
    for n in 0..200 {
        // Whatever gets free, others take at once.
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&others)
            .unwrap()
            .write_all(&[0; 1024 * 1024])
            .unwrap_err();
        let payload = format!("event {n} {}", "x".repeat(700)).into_bytes();
        let seq = spool.append(&[New { class: Class::Event, payload: payload.clone() }]).unwrap().last;
        assert_eq!(drain(&mut spool, 2000), (BTreeMap::from([(seq, payload)]), 0));
        spool.ack(seq).unwrap();
        if n % 50 == 7 {
            drop(spool);
            let recovery;
            (spool, recovery) = open(&dir);
            assert_eq!((recovery, spool.last()), (Recovery::default(), seq));
            // As the controller's welcome does.
            spool.ack(seq).unwrap();
        }
    }
}

#[test]
fn a_full_disk_does_not_stop_what_is_acknowledged_at_once() {
    on_small_disk("tests::connected", CONNECTED, "128k");
}

const NO_ROOM: &str = "DIALTONE_SPOOL_NO_ROOM";

/// The child of the test below: the disk gets full while room is made. Does nothing as a test of its own.
#[test]
fn no_room() {
    let Some(disk) = std::env::var_os(NO_ROOM) else { return };
    let (dir, others) = (Path::new(&disk).join("spool"), Path::new(&disk).join("others"));
    let limits = Limits { quota: 46_000, reserve: 0, ..SMALL };
    let (mut spool, _) = Spool::open_within(&dir, limits).unwrap();
    // A segment of a state alone, and one of which more is to be kept than the first takes.
    spool.append(&[state(4096)]).unwrap();
    spool.append(&[state(10_000), event(&"x".repeat(30_000))]).unwrap();
    fs::write(&others, vec![0; 1024 * 1024]).unwrap_err();
    let wanted = [event(&"y".repeat(6500))];
    assert!(matches!(spool.append(&wanted), Err(SpoolError::DiskFull(_))));
    fs::remove_file(&others).unwrap();
    let dropped = spool.append(&wanted).unwrap().dropped.unwrap();
    assert_eq!(dropped, Dropped { first: 1, last: 2, states: 2, events: 0 }, "the one of the first try is told, too");
    assert_eq!(drain(&mut spool, 100_000), (BTreeMap::from([(3, vec![b'x'; 30_000]), (4, vec![b'y'; 6500])]), 2));
}

#[test]
fn what_was_dropped_is_told_even_if_the_disk_got_full_over_it() {
    on_small_disk("tests::no_room", NO_ROOM, "128k");
}

/// Runs one of the tests here as root of a namespace of its own, with `size` of a file system that the variable names.
fn on_small_disk(test: &str, variable: &str, size: &str) {
    let disk = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=\"$2\" tmpfs \"$0\" && exec \"$1\" --exact \"$3\" --nocapture";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .args([disk.path(), &std::env::current_exe().unwrap()])
        .args([size, test])
        .env(variable, disk.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_full_disk_loses_nothing_that_was_confirmed_and_is_got_over_without_a_restart() {
    on_small_disk("tests::full_disk", FULL_DISK, "1m");
}

/// Thousands of syncs on a busy disk take minutes, and this test is not about them.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// What can happen to a file; positions are taken modulo its length.
#[derive(Debug, Clone)]
enum Fault {
    Flip { byte: usize, bit: u8 },
    Truncate { to: usize },
    Zero { from: usize },
    Append { bytes: Vec<u8> },
    Swap { other: usize },
    Delete,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (any::<usize>(), 0..8u8).prop_map(|(byte, bit)| Fault::Flip { byte, bit }),
        any::<usize>().prop_map(|to| Fault::Truncate { to }),
        any::<usize>().prop_map(|from| Fault::Zero { from }),
        prop::collection::vec(any::<u8>(), 1..200).prop_map(|bytes| Fault::Append { bytes }),
        any::<usize>().prop_map(|other| Fault::Swap { other }),
        Just(Fault::Delete),
    ]
}

fn strike(dir: &Path, which: usize, fault: &Fault) {
    let segments = segment::list(dir).unwrap();
    let path = segment::path(dir, segments[which % segments.len()]);
    let mut bytes = fs::read(&path).unwrap();
    let len = bytes.len();
    match fault {
        Fault::Flip { byte, bit } => bytes[byte % len] ^= 1 << bit,
        Fault::Truncate { to } => bytes.truncate(to % len),
        Fault::Zero { from } => {
            let from = from % len;
            bytes[from..len.min(from + 4096)].fill(0);
        }
        Fault::Append { bytes: more } => bytes.extend(more),
        Fault::Swap { other } => {
            let other = segment::path(dir, segments[other % segments.len()]);
            let theirs = fs::read(&other).unwrap();
            fs::write(&other, &bytes).unwrap();
            bytes = theirs;
        }
        Fault::Delete => return fs::remove_file(path).unwrap(),
    }
    fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damage_never_stops_the_spool_and_every_number_is_accounted_for(
        lens in prop::collection::vec(0..900usize, 1..60),
        acked in 0..20u64,
        faults in prop::collection::vec((any::<usize>(), fault()), 1..4),
        head_lost in prop::bool::weighted(0.1),
    ) {
        let dir = in_memory();
        let mut written = BTreeMap::new();
        let (mut spool, _) = open(dir.path());
        for (n, len) in lens.iter().enumerate() {
            let payload = vec![n as u8; *len];
            let seq = spool.append(&[New { class: Class::Event, payload: payload.clone() }]).unwrap().last;
            written.insert(seq, payload);
        }
        let acked = acked.min(spool.last());
        spool.ack(acked).unwrap();
        let (incarnation, last) = (spool.incarnation(), spool.last());
        drop(spool);
        if head_lost {
            fs::remove_file(dir.path().join("head")).unwrap();
            if segment::list(dir.path()).unwrap().is_empty() {
                // Everything was acknowledged and nothing on disk knows the old life: the numbers begin anew in another.
                prop_assert_ne!(open(dir.path()).0.incarnation(), incarnation);
                return Ok(());
            }
        } else {
            for (which, fault) in &faults {
                if !segment::list(dir.path()).unwrap().is_empty() {
                    strike(dir.path(), *which, fault);
                }
            }
        }

        let (mut spool, recovery) = open(dir.path());
        prop_assert_eq!(spool.incarnation(), incarnation);
        // The controller's welcome repeats what it has; the spool notes it on disk only when it deletes a segment.
        spool.ack(acked).unwrap();
        let appended = spool.append(&[event("after")]).unwrap().last;
        prop_assert_eq!(appended, last + 1, "numbers are neither used again nor skipped");
        let (mut delivered, lost) = drain(&mut spool, 2000);
        prop_assert_eq!(delivered.remove(&appended), Some(b"after".to_vec()));
        prop_assert!(lost <= recovery.missing);
        let wanted = written.range(acked + 1..).count() as u64;
        let fresh = delivered.range(acked + 1..).count() as u64;
        prop_assert_eq!(fresh + lost, wanted);
        for (seq, payload) in &delivered {
            prop_assert_eq!(Some(payload), written.get(seq));
        }
    }
}
