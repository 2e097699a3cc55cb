//! What the store promises.

use std::fs;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use crate::record::CHUNK_BYTES;
use crate::{Batch, Order, SledStore, Store, StoreError, export, import, scan_prefix};

fn open(directory: &Path) -> SledStore {
    SledStore::open(directory).unwrap().0
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).commit("es-1", &Batch::default().put("a", "1").put("b", "2")).unwrap();
    let store = open(directory.path());
    assert_eq!(store.get("es-1", "b").unwrap().unwrap().value, b"2");
    assert_eq!(store.get("es-2", "b").unwrap(), None);
    assert_eq!(store.partitions().unwrap(), ["es-1"]);
}

#[test]
fn a_batch_is_all_or_nothing_and_versions_never_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.commit("n", &Batch::default().expect("k", None).put("k", "1")).unwrap();
    let first = store.get("n", "k").unwrap().unwrap().version;
    let stale = Batch::default().expect("k", None).put("k", "2").put("other", "2");
    assert!(matches!(store.commit("n", &stale), Err(StoreError::Conflict { key }) if key == "k"));
    assert_eq!(store.get("n", "other").unwrap(), None);
    store.commit("n", &Batch::default().delete("k")).unwrap();
    store.commit("n", &Batch::default().put("k", "1")).unwrap();
    assert!(store.commit("n", &Batch::default().expect("k", Some(first)).put("k", "3")).is_err());
}

#[test]
fn of_many_who_expect_the_same_version_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()));
    let threads: Vec<_> = (0..8)
        .map(|n| {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                store.commit("n", &Batch::default().expect("token", None).put("token", format!("{n}"))).is_ok()
            })
        })
        .collect();
    let won: Vec<bool> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let winners = won.iter().filter(|won| **won).count();
    assert_eq!(winners, 1);
}

#[test]
fn scans_run_both_ways_within_their_partition() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let batch = (0..20).fold(Batch::default(), |batch, n| batch.put(format!("log/{n:04}"), format!("{n}")));
    store.commit("a", &batch).unwrap();
    store.commit("ab", &Batch::default().put("log/0000", "other")).unwrap();
    let newest = scan_prefix(&store, "a", "log/", Order::Descending, 2).unwrap();
    assert_eq!(newest.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["log/0019", "log/0018"]);
    assert_eq!(scan_prefix(&store, "a", "log/", Order::Ascending, 100).unwrap().len(), 20);
    assert_eq!(store.partitions().unwrap(), ["a", "ab"]);
}

#[test]
fn large_values_are_chunked_and_their_chunks_go_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let large: Vec<u8> = (0..CHUNK_BYTES * 3 + 7).map(|n| u8::try_from(n % 251).unwrap()).collect();
    store.commit("n", &Batch::default().put("k", large.clone())).unwrap();
    assert_eq!(store.get("n", "k").unwrap().unwrap().value, large);
    assert_eq!(scan_prefix(&store, "n", "", Order::Ascending, 10).unwrap().len(), 1);
    store.commit("n", &Batch::default().put("k", "small")).unwrap();
    assert_eq!(store.get("n", "k").unwrap().unwrap().value, b"small");
    let too_large = Batch::default().put("k", vec![0; crate::MAX_VALUE_BYTES + 1]);
    assert!(matches!(store.commit("n", &too_large), Err(StoreError::Limit(_))));
}

#[test]
fn a_torn_snapshot_does_not_keep_the_store_from_opening() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).commit("n", &Batch::default().put("k", "v")).unwrap();
    let torn = directory.path().join("snap.0000000000000042.generating");
    fs::write(&torn, b"torn").unwrap();
    let (store, report) = SledStore::open(directory.path()).unwrap();
    assert_eq!(report.removed_snapshots, [torn]);
    assert_eq!(store.get("n", "k").unwrap().unwrap().value, b"v");
}

#[test]
fn a_store_that_cannot_be_opened_is_moved_aside_whole() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("store");
    open(&directory).commit("n", &Batch::default().put("k", "v")).unwrap();
    fs::write(directory.join("conf"), b"not a configuration").unwrap();
    let (store, report) = SledStore::open(&directory).unwrap();
    let quarantined = report.quarantined.unwrap();
    assert_eq!(quarantined, parent.path().join("store.damaged-1"));
    assert!(quarantined.join("db").exists());
    assert_eq!(store.get("n", "k").unwrap(), None);
    store.commit("n", &Batch::default().put("k", "new")).unwrap();
}

#[test]
fn a_second_process_is_told_that_the_store_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let _held = open(directory.path());
    assert!(matches!(SledStore::open(directory.path()), Err(StoreError::InUse { .. })));
}

#[test]
fn a_flipped_bit_never_gives_a_wrong_value() {
    let directory = tempfile::tempdir().unwrap();
    let value = vec![0x5a; 4096];
    open(directory.path()).commit("n", &Batch::default().put("k", value.clone())).unwrap();
    let database = directory.path().join("db");
    let whole = fs::read(&database).unwrap();
    let at = whole.windows(64).position(|window| window.iter().all(|byte| *byte == 0x5a)).unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(&database).unwrap();
    file.seek(SeekFrom::Start(u64::try_from(at + 32).unwrap())).unwrap();
    file.write_all(&[0x5b]).unwrap();
    drop(file);
    let (store, _) = SledStore::open(directory.path()).unwrap();
    let read = store.get("n", "k").unwrap();
    assert!(read.as_ref().is_none_or(|stored| stored.value == value));
    // What cannot be read can be replaced by whoever expects what was read.
    let version = read.map(|stored| stored.version);
    store.commit("n", &Batch::default().expect("k", version).put("k", "new")).unwrap();
    assert_eq!(store.get("n", "k").unwrap().unwrap().value, b"new");
}

#[test]
fn export_and_import_give_the_same_records() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(from.path());
    store.commit("a", &Batch::default().put("k", "1").put("l", vec![7; CHUNK_BYTES * 2])).unwrap();
    store.commit("b", &Batch::default().put("k", "2")).unwrap();
    let mut text = Vec::new();
    assert_eq!(export(&store, &mut text).unwrap(), 3);
    let copy = open(to.path());
    assert_eq!(import(&copy, &mut text.as_slice()).unwrap(), 3);
    assert_eq!(copy.get("a", "l").unwrap().unwrap().value, vec![7; CHUNK_BYTES * 2]);
    assert!(import(&copy, &mut &b"{}"[..]).unwrap_err().to_string().contains("line 1"));
}

#[test]
fn an_import_leaves_what_is_there_and_takes_keys_that_begin_like_others() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(from.path());
    let many = (0..2500).fold(Batch::default(), |batch, n| batch.put(format!("event/{n:04}"), "1"));
    store.commit("a", &many.put("state/x", "1").put("state/x/y", "1")).unwrap();
    let mut text = Vec::new();
    export(&store, &mut text).unwrap();
    let copy = open(to.path());
    copy.commit("a", &Batch::default().put("state/x/y", "here before")).unwrap();
    assert_eq!(import(&copy, &mut text.as_slice()).unwrap(), 2501);
    assert_eq!(copy.get("a", "state/x").unwrap().unwrap().value, b"1");
    assert_eq!(copy.get("a", "state/x/y").unwrap().unwrap().value, b"here before");
    assert_eq!(scan_prefix(&copy, "a", "event/", Order::Ascending, usize::MAX).unwrap().len(), 2500);
}

const KILLED_WRITER: &str = "DIALTONE_STORE_KILLED_WRITER";

/// The child of the test below: commits for ever and says which commits were acknowledged. Does nothing as a test of its own.
#[test]
fn killed_writer() {
    let Some(directory) = std::env::var_os(KILLED_WRITER) else { return };
    let store = open(Path::new(&directory));
    for n in 0u64.. {
        store.commit("n", &Batch::default().put(format!("log/{n:08}"), format!("{n}"))).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {n}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_killed_writer_loses_nothing_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::killed_writer", "--nocapture"])
            .env(KILLED_WRITER, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let last = lines.filter(|line| line.starts_with("acknowledged")).nth(40 * round).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let last: usize = last.split(' ').nth(1).unwrap().parse().unwrap();
        let (store, report) = SledStore::open(directory.path()).unwrap();
        assert_eq!(report.quarantined, None);
        let kept = scan_prefix(&store, "n", "log/", Order::Ascending, usize::MAX).unwrap();
        assert!(kept.len() > last, "{} records kept, {last} acknowledged", kept.len());
        assert_eq!(store.damaged(), 0);
    }
}

const FULL_DISK: &str = "DIALTONE_STORE_FULL_DISK";

/// The child of the test below, on a file system of a few megabytes. Does nothing as a test of its own.
#[test]
fn full_disk() {
    let Some(directory) = std::env::var_os(FULL_DISK) else { return };
    let (directory, filler) = (Path::new(&directory).join("store"), Path::new(&directory).join("filler"));
    fs::write(&filler, vec![0; 2 * 1024 * 1024]).unwrap();
    let store = open(&directory);
    let put = |n: u32| store.commit("n", &Batch::default().put(format!("log/{n:08}"), vec![7; 8000]));
    let refused = (0u32..10_000).find(|n| put(*n).is_err()).unwrap();
    for _ in 0..3 {
        let error = put(refused).unwrap_err();
        assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    }
    fs::remove_file(&filler).unwrap();
    put(refused).unwrap();
    drop(store);
    let kept = scan_prefix(&open(&directory), "n", "log/", Order::Ascending, usize::MAX).unwrap();
    assert_eq!(kept.len(), usize::try_from(refused).unwrap() + 1);
}

const FULL_AT_START: &str = "DIALTONE_STORE_FULL_AT_START";

/// The child of the test below, on a file system of a few megabytes. Does nothing as a test of its own.
#[test]
fn full_at_start() {
    let Some(disk) = std::env::var_os(FULL_AT_START) else { return };
    let (directory, filler) = (Path::new(&disk).join("store"), Path::new(&disk).join("filler"));
    let put =
        |store: &SledStore, n: u32| store.commit("n", &Batch::default().put(format!("log/{n:08}"), vec![7; 8000]));
    let store = open(&directory);
    (0..100).for_each(|n| put(&store, n).unwrap());
    drop(store);
    // More than once: what the first start took of the disk does not keep the next one from starting.
    for _ in 0..3 {
        fs::OpenOptions::new().create(true).append(true).open(&filler).unwrap().write_all(&[0; 64 << 20]).unwrap_err();
        let (store, report) = SledStore::open(&directory).unwrap();
        assert_eq!((report.full, report.quarantined), (true, None));
        let kept = scan_prefix(&store, "n", "log/", Order::Ascending, usize::MAX).unwrap();
        assert_eq!((kept.len(), store.damaged()), (100, 0));
    }
    let (store, _) = SledStore::open(&directory).unwrap();
    let refused = (100..1000).find_map(|n| put(&store, n).err()).unwrap();
    assert!(matches!(refused, StoreError::DiskFull { .. }), "{refused:?}");
    assert!(refused.to_string().contains(directory.to_str().unwrap()), "{refused}");
    let before = scan_prefix(&store, "n", "log/", Order::Ascending, usize::MAX).unwrap().len();
    assert!(before >= 100, "{before} are there while nothing can be written");
    fs::remove_file(&filler).unwrap();
    put(&store, 5000).unwrap();
    drop(store);
    let (store, report) = SledStore::open(&directory).unwrap();
    assert!(!report.full);
    assert!(store.get("n", "log/00005000").unwrap().is_some() && store.get("n", "log/00000099").unwrap().is_some());
}

#[test]
fn a_store_opens_on_a_full_disk_and_serves_what_it_has() {
    on_small_disk("tests::full_at_start", FULL_AT_START, "12m");
}

/// Runs one of the tests here as root of a namespace of its own, with a file system of this size that the variable names.
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
fn a_full_disk_confirms_nothing_and_is_got_over_without_a_restart() {
    on_small_disk("tests::full_disk", FULL_DISK, "9m");
}
