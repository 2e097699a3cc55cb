//! Files that are whole or not there, whatever happens, and files that only root can have written.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

/// The most bytes of the names, and of one value, of extended attributes, as the kernel has it (`XATTR_LIST_MAX`).
const MAX_ATTRIBUTES: usize = 65_536;
/// The most that is read of any file.
const MAX: u64 = 1 << 20;

/// The file's content; none: it is not there. A symbolic link, or a file that is too large, is an error.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match open(path) {
        Ok(file) => content(file).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// As [`read`], for text.
pub fn read_text(path: &Path) -> io::Result<Option<String>> {
    let text = read(path)?.map(String::from_utf8).transpose();
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Reads what decides over root's acts: it has to belong to root, as the directory it is in, and nobody else may write to either.
pub fn read_trusted(path: &Path) -> io::Result<String> {
    let file = open(path)?;
    let folder = File::open(path.parent().unwrap_or(path))?;
    for (what, file) in [("it", &file), ("its directory", &folder)] {
        let meta = file.metadata()?;
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other(format!("{what} does not belong to root")));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(io::Error::other(format!(
                "others than root may write to {what}: its mode is {:o}",
                meta.mode() & 0o7777
            )));
        }
    }
    String::from_utf8(content(file)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn content(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large"));
    }
    Ok(content)
}

/// Puts a file in place so that after a power cut either the old one is there or the new one, whole. Owner and mode of the old one
/// stay; a new one gets `mode`.
pub fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    fs::rename(draft(path, content, mode)?, path)?;
    sync(split(path)?.0)
}

/// Puts `to` in the place of `from`, each a whole file or none; false, and nothing is changed, where something else is there. What
/// is there is compared after it was taken away, in one step with putting the new one there (renameat2(2)): nobody can
/// change it between.
pub fn exchange(path: &Path, from: Option<&[u8]>, to: Option<&[u8]>, mode: u32) -> io::Result<bool> {
    let exchanged = match (from, to) {
        (None, None) => return Ok(!fs::exists(path)?),
        (None, Some(to)) => {
            let draft = draft(path, to, mode)?;
            let put = rename(&draft, path, RenameFlags::NOREPLACE)?;
            if !put {
                fs::remove_file(draft)?;
            }
            put
        }
        (Some(from), Some(to)) => {
            let draft = draft(path, to, mode)?;
            let swapped = swap(&draft, path, from, to);
            remove_if_there(&draft)?;
            swapped?
        }
        (Some(from), None) => {
            let aside = beside(path)?;
            remove_if_there(&aside)?;
            if !rename(path, &aside, RenameFlags::NOREPLACE)? {
                return Ok(false);
            }
            let same = is(&aside, from);
            // Somebody else's goes back, unless they have made a newer one.
            if same || !rename(&aside, path, RenameFlags::NOREPLACE)? {
                fs::remove_file(aside)?;
            }
            same
        }
    };
    sync(split(path)?.0)?;
    Ok(exchanged)
}

/// Lets two files change places until the one that was taken away is the one that should have been there: first ours for the
/// expected one, and if that was another, back again, for as long as somebody else puts newer ones there.
fn swap(draft: &Path, path: &Path, from: &[u8], to: &[u8]) -> io::Result<bool> {
    let (mut expected, mut put) = (from.to_vec(), to.to_vec());
    for round in 0.. {
        if !rename(draft, path, RenameFlags::EXCHANGE)? {
            return Ok(false);
        }
        if is(draft, &expected) {
            return Ok(round == 0);
        }
        expected = std::mem::replace(&mut put, read(draft).ok().flatten().unwrap_or_default());
    }
    Ok(false)
}

/// Whether a file can be read and holds this.
fn is(path: &Path, content: &[u8]) -> bool {
    read(path).is_ok_and(|found| found.as_deref() == Some(content))
}

/// False where the target is there and must not be, or either is not there and must be.
fn rename(from: &Path, to: &Path, flags: RenameFlags) -> io::Result<bool> {
    match renameat_with(CWD, from, CWD, to, flags) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST | Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Writes a file's next content beside it, to last.
fn draft(path: &Path, content: &[u8], mode: u32) -> io::Result<PathBuf> {
    let draft = beside(path)?;
    remove_if_there(&draft)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    match fs::symlink_metadata(path) {
        Ok(old) => {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
            file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
            copy_attributes(path, &file)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => file.set_permissions(Permissions::from_mode(mode))?,
        Err(error) => return Err(error),
    }
    file.sync_all()?;
    Ok(draft)
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let (folder, name) = split(path)?;
    Ok(folder.join(format!(".{name}.dialtone")))
}

/// Gives a file the extended attributes of the one at `path`: its SELinux label and its access list. A file system that has none is
/// fine.
fn copy_attributes(path: &Path, to: &File) -> io::Result<()> {
    let from = open(path)?;
    let mut names = Vec::with_capacity(MAX_ATTRIBUTES);
    match rustix::fs::flistxattr(&from, rustix::buffer::spare_capacity(&mut names)) {
        Err(Errno::NOTSUP) => return Ok(()),
        listed => listed?,
    };
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = Vec::with_capacity(MAX_ATTRIBUTES);
        rustix::fs::fgetxattr(&from, name, rustix::buffer::spare_capacity(&mut value))?;
        rustix::fs::fsetxattr(to, name, &value, rustix::fs::XattrFlags::empty())?;
    }
    Ok(())
}

/// Takes a file away, if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    remove_if_there(path)?;
    sync(split(path)?.0)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the names in a directory last.
pub fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a directory, and those above it, and makes their names last.
pub fn make_dir(folder: &Path, mode: u32) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().ok_or_else(|| io::Error::other("a directory needs a parent"))?;
    make_dir(parent, 0o755)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => fs::set_permissions(folder, Permissions::from_mode(mode))?,
    }
    sync(parent)
}

fn split(path: &Path) -> io::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    path.parent().zip(name).ok_or_else(|| io::Error::other("not the path of a file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_may_write_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.yaml");
        write(&path, b"epoch: 1\n", 0o644).unwrap();
        assert_eq!(read_trusted(&path).unwrap(), "epoch: 1\n");
        for mode in [0o664, 0o646] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(read_trusted(&path).unwrap_err().to_string().contains("write to it"));
        }
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(read_trusted(&path).unwrap_err().to_string().contains("its directory"));
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        let link = folder.path().join("link.yaml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read_trusted(&link).is_err());
    }

    #[test]
    fn a_file_that_is_replaced_keeps_its_extended_attributes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("elasticsearch.yml");
        write(&path, b"a", 0o660).unwrap();
        let set = rustix::fs::setxattr(&path, "user.label", b"engine", rustix::fs::XattrFlags::empty());
        // Not every file system that tests run on has them.
        if set == Err(Errno::NOTSUP) {
            return;
        }
        set.unwrap();
        write(&path, b"b", 0o644).unwrap();
        let mut value = Vec::with_capacity(64);
        rustix::fs::getxattr(&path, "user.label", rustix::buffer::spare_capacity(&mut value)).unwrap();
        assert_eq!(value, b"engine");
    }

    #[test]
    fn a_file_that_is_replaced_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("60-es.conf");
        write(&path, b"a", 0o640).unwrap();
        write(&path, b"b", 0o644).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"b");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(exchange(&path, Some(b"b"), Some(b"c"), 0o644).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    }

    #[test]
    fn only_what_was_expected_is_exchanged_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("60-es.conf");
        for there in [None, Some(b"a".as_slice()), Some(b"theirs")] {
            for (from, to) in
                [(None, None), (None, Some(b"b".as_slice())), (Some(b"a".as_slice()), None), (Some(b"a"), Some(b"b"))]
            {
                remove(&path).unwrap();
                if let Some(there) = there {
                    fs::write(&path, there).unwrap();
                }
                assert_eq!(exchange(&path, from, to, 0o644).unwrap(), there == from, "{there:?} {from:?} {to:?}");
                let expected = if there == from { to } else { there };
                assert_eq!(read(&path).unwrap().as_deref(), expected);
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), usize::from(expected.is_some()));
            }
        }
    }
}
