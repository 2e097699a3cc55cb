//! Kernel settings as they are now.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use common_model::Failure;

use crate::failure::{json, of_io};
use crate::root::Root;

/// The body of `Source::Sysctls`; a name the kernel does not have is left out.
pub(crate) fn body(root: &Root, names: &[&str]) -> Result<Vec<u8>, Failure> {
    let mut values = BTreeMap::new();
    for name in names {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        match root.text(&path) {
            Ok(text) => {
                values.insert(*name, text.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(of_io(&path, &error)),
        }
    }
    json(&values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_collapsed_and_unknown_names_are_absent() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/sys/net/ipv4")).unwrap();
        std::fs::write(dir.path().join("proc/sys/net/ipv4/ip_local_port_range"), "32768\t60999\n").unwrap();
        let root = Root::new(dir.path().to_owned());
        let body = body(&root, &["net.ipv4.ip_local_port_range", "vm.none"]).unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), r#"{"net.ipv4.ip_local_port_range":"32768 60999"}"#);
    }
}
