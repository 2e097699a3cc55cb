//! Files that are whole or not there, whatever happens, and files that only root can have written.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::OFlags;

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
    let (folder, name) = split(path)?;
    let draft = folder.join(format!(".{name}.dialtone"));
    remove_if_there(&draft)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    match fs::symlink_metadata(path) {
        Ok(old) => {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
            file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => file.set_permissions(Permissions::from_mode(mode))?,
        Err(error) => return Err(error),
    }
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync(folder)
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
    fn a_file_that_is_replaced_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("60-es.conf");
        write(&path, b"a", 0o640).unwrap();
        write(&path, b"b", 0o644).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"b");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read(&path).unwrap(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
