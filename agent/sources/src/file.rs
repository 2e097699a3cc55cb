//! Files, the ends of files, and directories of files.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use common_evidence::source::FileRead;
use common_model::Failure;

use crate::failure::{json, of_io, other};
use crate::names;
use crate::root::{Root, read_capped};

/// Files read of one source at most.
const MAX_FILES: usize = 256;

/// The body of `Source::File`.
pub(crate) fn whole(root: &Root, path: &str, cap: usize) -> Result<Vec<u8>, Failure> {
    json(&read(root, path, cap, false).map_err(|error| of_io(path, &error))?)
}

/// The body of `Source::FileTail`.
pub(crate) fn tail(root: &Root, path: &str, cap: usize) -> Result<Vec<u8>, Failure> {
    json(&read(root, path, cap, true).map_err(|error| of_io(path, &error))?)
}

/// The body of `Source::Files`. A place that is missing is left out; one that cannot be searched fails the whole source,
/// since nobody could tell what is not there.
pub(crate) fn all(root: &Root, places: &[String], suffix: &str, cap: usize) -> Result<Vec<u8>, Failure> {
    let paths = paths(root, places, suffix)?;
    let files: Vec<FileRead> = paths
        .into_iter()
        .map(|path| match read(root, &path, cap, false) {
            Ok(file) => file,
            Err(_) if is_masked(root, &path) => FileRead { path, ..FileRead::default() },
            Err(error) => FileRead { error: Some(error.to_string()), path, ..FileRead::default() },
        })
        .collect();
    json(&files)
}

/// Whether a file is there to have one of its name in a later place not count: a link to `/dev/null`, as sysctl.d(5) says. To
/// whoever reads the settings it is empty.
fn is_masked(root: &Root, path: &str) -> bool {
    fs::read_link(root.at(path)).is_ok_and(|target| target == Path::new("/dev/null"))
}

/// The files that the places hold now.
pub(crate) fn paths(root: &Root, places: &[String], suffix: &str) -> Result<Vec<String>, Failure> {
    let mut paths = Vec::new();
    let mut seen = BTreeSet::new();
    for place in places {
        match root.at(place).metadata() {
            Ok(metadata) if metadata.is_dir() => {
                let names = root.names(place).map_err(|error| of_io(place, &error))?;
                paths.extend(names.iter().filter(|name| name.ends_with(suffix)).map(|name| format!("{place}/{name}")));
            }
            Ok(_) => paths.push(place.clone()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(of_io(place, &error)),
        }
    }
    paths.retain(|path| seen.insert(path.clone()) && !root.at(path).is_dir());
    if paths.len() > MAX_FILES {
        return Err(other(format!("{} files in {}: more than {MAX_FILES}", paths.len(), places.join(", "))));
    }
    Ok(paths)
}

fn read(root: &Root, path: &str, cap: usize, end: bool) -> io::Result<FileRead> {
    let (mut file, metadata) = root.open(path)?;
    let from = if end { metadata.len().saturating_sub(cap as u64) } else { 0 };
    // One byte earlier, to see whether the part begins at a line.
    file.seek(SeekFrom::Start(from.saturating_sub(1)))?;
    let (bytes, more) = read_capped(file, cap + usize::from(from > 0))?;
    let bytes = if from == 0 { &bytes[..] } else { after_first_line(&bytes) };
    Ok(FileRead {
        path: path.to_owned(),
        text: String::from_utf8_lossy(bytes).into_owned(),
        size: metadata.len(),
        cut: from > 0 || (more && !end),
        modified_ms: modified_ms(path, &metadata),
        owner: names::owner(root, metadata.uid(), metadata.gid()),
        mode: format!("{:04o}", metadata.permissions().mode() & 0o7777),
        error: None,
    })
}

/// The kernel makes the files of /proc when they are looked at, and gives that time: sent, it would be news at every look.
fn modified_ms(path: &str, metadata: &Metadata) -> i64 {
    if path.starts_with("/proc/") { 0 } else { metadata.mtime() * 1000 + metadata.mtime_nsec() / 1_000_000 }
}

fn after_first_line(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|byte| *byte == b'\n').map_or(&[], |newline| &bytes[newline + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use common_model::FailureReason;
    use std::os::unix::fs::symlink;

    fn host() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["etc/a.d", "etc/b.d"] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        fs::write(
            dir.path().join("etc/passwd"),
            format!("me:x:{}:0::/:/bin/sh\n", fs::metadata(dir.path()).unwrap().uid()),
        )
        .unwrap();
        fs::write(dir.path().join("etc/a.d/2.conf"), "two\n").unwrap();
        fs::write(dir.path().join("etc/a.d/1.conf"), "one\n").unwrap();
        fs::write(dir.path().join("etc/a.d/readme"), "no\n").unwrap();
        let root = Root::new(dir.path().to_owned());
        (dir, root)
    }

    fn parsed<T: serde::de::DeserializeOwned>(body: Result<Vec<u8>, Failure>) -> T {
        serde_json::from_slice(&body.unwrap()).unwrap()
    }

    #[test]
    fn a_file_comes_with_owner_mode_and_whether_it_was_cut() {
        let (_dir, root) = host();
        let file: FileRead = parsed(whole(&root, "/etc/a.d/1.conf", 100));
        assert_eq!((file.text.as_str(), file.size, file.cut), ("one\n", 4, false));
        assert!(file.owner.starts_with("me:"), "{}", file.owner);
        assert_eq!(file.mode.len(), 4);
        assert!(file.modified_ms > 1_600_000_000_000);
        let file: FileRead = parsed(whole(&root, "/etc/a.d/1.conf", 2));
        assert_eq!((file.text.as_str(), file.cut), ("on", true));
    }

    #[test]
    fn of_a_huge_file_only_the_cap_is_read() {
        let (dir, root) = host();
        // Without blocks on the disk, and more than any reader could hold.
        fs::File::create(dir.path().join("huge")).unwrap().set_len(1 << 40).unwrap();
        for read in [whole(&root, "/huge", 100), tail(&root, "/huge", 100)] {
            let file: FileRead = parsed(read);
            assert_eq!((file.size, file.cut), (1 << 40, true));
            assert!(file.text.len() <= 100);
        }
    }

    #[test]
    fn a_file_of_the_kernel_that_says_the_same_reads_the_same() {
        let root = Root::new("/".into());
        let places = ["/proc/sys/kernel/ostype".to_owned()];
        let read = || all(&root, &places, "", 100).unwrap();
        let first = read();
        let file = &serde_json::from_slice::<Vec<FileRead>>(&first).unwrap()[0];
        assert_eq!((file.text.as_str(), file.modified_ms), ("Linux\n", 0));
        assert_eq!(read(), first);
    }

    #[test]
    fn a_tail_begins_at_a_line() {
        let (dir, root) = host();
        fs::write(dir.path().join("log"), "first\nsecond\nthird\n").unwrap();
        for (cap, text) in
            [(5, ""), (6, "third\n"), (7, "third\n"), (13, "second\nthird\n"), (100, "first\nsecond\nthird\n")]
        {
            let file: FileRead = parsed(tail(&root, "/log", cap));
            assert_eq!((file.text.as_str(), file.cut), (text, cap < 19), "cap {cap}");
        }
    }

    #[test]
    fn directories_give_their_files_in_order_and_missing_ones_nothing() {
        let (_dir, root) = host();
        let places = ["/etc/missing.d", "/etc/a.d", "/etc/b.d", "/etc/passwd"].map(str::to_owned);
        let files: Vec<FileRead> = parsed(all(&root, &places, ".conf", 100));
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["/etc/a.d/1.conf", "/etc/a.d/2.conf", "/etc/passwd"]);
    }

    #[test]
    fn a_file_that_masks_another_one_is_empty_and_no_other_link_to_a_device_is() {
        let (dir, root) = host();
        symlink("/dev/null", dir.path().join("etc/b.d/1.conf")).unwrap();
        symlink("/dev/zero", dir.path().join("etc/b.d/2.conf")).unwrap();
        let files: Vec<FileRead> = parsed(all(&root, &["/etc/b.d".to_owned()], ".conf", 100));
        let errors: Vec<(&str, bool)> = files.iter().map(|file| (file.path.as_str(), file.error.is_some())).collect();
        assert_eq!(errors, [("/etc/b.d/1.conf", false), ("/etc/b.d/2.conf", true)]);
        assert_eq!(files[0].text, "");
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_without_waiting() {
        let (dir, root) = host();
        std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap();
        assert!(whole(&root, "/pipe", 10).unwrap_err().message.contains("not a regular file"));
        assert!(whole(&root, "/socket", 10).is_err());
        assert_eq!(whole(&root, "/none", 10).unwrap_err().reason, FailureReason::Missing);
    }
}
