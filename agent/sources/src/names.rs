//! Names of users and groups, from `/etc/passwd` and `/etc/group`.

use crate::root::Root;

const CAP: usize = 1024 * 1024;

/// `user:group`, by name where the files have one.
pub(crate) fn owner(root: &Root, uid: u32, gid: u32) -> String {
    let user = name(root, "/etc/passwd", uid).unwrap_or_else(|| uid.to_string());
    let group = name(root, "/etc/group", gid).unwrap_or_else(|| gid.to_string());
    format!("{user}:{group}")
}

/// Both files have the name first and the number third.
fn name(root: &Root, file: &str, id: u32) -> Option<String> {
    let (bytes, _) = root.read(file, CAP).ok()?;
    String::from_utf8_lossy(&bytes).lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}
