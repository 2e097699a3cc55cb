//! Names that may stand in a plan. Each is of a shape that no program takes for anything but a name.

use common_model::text_id;

text_id!(
    /// A service unit of systemd, for example `elasticsearch.service`; never a path, an option or a pattern.
    UnitName,
    "name of a service unit",
    "up to 128 letters, digits, '-', '_', '.', '@' and ':', ending in .service",
    |text| {
        text.len() <= 128
            && text.strip_suffix(".service").is_some_and(|stem| !stem.is_empty())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':'))
            && !text.contains("..")
    }
);

text_id!(
    /// The name of a firewall's table, chain, zone or policy. Names with other characters exist; they are left to people.
    Label,
    "plain name of a table, chain, zone or policy",
    "1 to 128 letters, digits, '-', '_' and '.', not beginning with '-' or '.'",
    |text| {
        (1..=128).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    }
);

text_id!(
    /// The path of a file below a repository's root, for example `es/prod/elasticsearch.yml`. No part of it begins with a dot, so
    /// that it names neither git's own files nor those that tell a forge what to run.
    RepoPath,
    "path of a file in a repository",
    "parts of letters, digits, '-', '_' and '.', none beginning with '-' or '.'",
    |text| text.len() <= 300 && text.split('/').all(is_plain_part)
);

text_id!(
    /// The name of a branch, for example `main`.
    Branch,
    "plain name of a branch",
    "parts of letters, digits, '-', '_' and '.', none beginning with '-' or '.'",
    |text| text.len() <= 200 && text.split('/').all(|part| is_plain_part(part) && !part.ends_with(".lock"))
);

text_id!(
    /// Random text that a node's actuator makes at every boot, 32 hex digits. A plan made for another boot, or for a disk that
    /// was put back, carries another one.
    SessionId,
    "session id",
    "32 hex digits",
    |text| is_hex(text, 32)
);

text_id!(
    /// SHA-256 of a file's content, 64 hex digits.
    Digest,
    "SHA-256 in hex",
    "64 hex digits",
    |text| is_hex(text, 64)
);

text_id!(
    /// The file an engine reads its settings from: `elasticsearch.yml` or `opensearch.yml` in a directory below `/etc` of plain names.
    ConfigFile,
    "settings file of an engine below /etc",
    "elasticsearch.yml or opensearch.yml in up to three plain directories",
    |text| {
        let plain = |part: &str| {
            (1..=64).contains(&part.len())
                && part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@'))
        };
        let folder = text.strip_prefix("/etc/").and_then(|rest| {
            rest.strip_suffix("/elasticsearch.yml").or_else(|| rest.strip_suffix("/opensearch.yml"))
        });
        folder.is_some_and(|folder| folder.split('/').count() <= 3 && folder.split('/').all(plain))
    }
);

text_id!(
    /// A security group of AWS, `sg-` and hex digits.
    GroupId,
    "id of a security group",
    "'sg-' and 8 to 32 hex digits",
    |text| resource(text, "sg-")
);

text_id!(
    /// A network interface of AWS, `eni-` and hex digits.
    InterfaceId,
    "id of a network interface",
    "'eni-' and 8 to 32 hex digits",
    |text| resource(text, "eni-")
);

text_id!(
    /// A region of AWS, for example `eu-central-1`.
    Region,
    "name of a region",
    "4 to 32 of a-z, 0-9 and '-'",
    |text| {
        (4..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    }
);

fn resource(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix);
    digits.is_some_and(|rest| (8..=32).contains(&rest.len()) && rest.bytes().all(|c| c.is_ascii_hexdigit()))
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref()))
    }
}

fn is_plain_part(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !part.contains("..")
        && !part.ends_with('.')
}

/// Whether a text is this many lower-case hex digits.
pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_an_option_a_path_or_a_pattern() {
        for good in ["elasticsearch.service", "es@data-1.service"] {
            assert!(good.parse::<UnitName>().is_ok(), "{good}");
        }
        for bad in
            ["elasticsearch", ".service", "-a.service", "../x.service", "a/b.service", "a*.service", "a b.service"]
        {
            assert!(bad.parse::<UnitName>().is_err(), "{bad}");
        }
        for bad in ["", "-A", "a b", "a;reboot", "a\n", "ü"] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_in_a_repository_leads_to_a_plain_file_below_its_root() {
        for good in ["elasticsearch.yml", "roles/es_1/files/es-1.example/elasticsearch.yml"] {
            assert!(good.parse::<RepoPath>().is_ok(), "{good}");
        }
        let bad =
            ["", "/etc/passwd", "a//b", "../a", "a/../b", ".git/config", ".github/workflows/x.yml", "-a", "a b", "a\n"];
        for bad in bad {
            assert!(bad.parse::<RepoPath>().is_err(), "{bad:?}");
            assert!(bad.parse::<Branch>().is_err(), "{bad:?}");
        }
        assert!("a.lock".parse::<Branch>().is_err() && "release/7.x".parse::<Branch>().is_ok());
    }

    #[test]
    fn an_engines_file_is_one_of_two_names_below_etc() {
        for good in [
            "/etc/elasticsearch/elasticsearch.yml",
            "/etc/opensearch/opensearch.yml",
            "/etc/es/data-1/elasticsearch.yml",
        ] {
            assert!(good.parse::<ConfigFile>().is_ok(), "{good}");
        }
        for bad in [
            "/etc/elasticsearch.yml",
            "/etc/elasticsearch/../shadow/elasticsearch.yml",
            "/etc//elasticsearch.yml",
            "/etc/elasticsearch/jvm.options",
            "/etc/dialtone/.x/elasticsearch.yml",
            "/var/elasticsearch/elasticsearch.yml",
            "/etc/a b/elasticsearch.yml",
        ] {
            assert!(bad.parse::<ConfigFile>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_digest_is_sha_256() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").as_str(), empty);
    }
}
