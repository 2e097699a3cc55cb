//! Secrets in running text: logs and journals.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::HIDDEN;

/// A key or certificate in PEM, whole, cut off, or on one line with escaped breaks.
const PEM: &str = r"(?s)(-----BEGIN [A-Z0-9 ]+-----).*?(?:-----END [A-Z0-9 ]+-----|\z)";

/// The patterns, in the order in which they are applied. What the groups hold stays.
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    const SECRET: &str =
        r"(?:(?i-u:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)|pwd)";
    // Text up to the end of a line or of the JSON string it stands in.
    const REST: &str = r#"(?:[^"\\\n]|\\[^"\n])*"#;
    let patterns = [
        PEM.to_owned(),
        r#"(://)[^\s"'<>]*(@)"#.to_owned(),
        format!(r#"((?i-u:authorization|x-api-key|cookie)[\]"'\\]*\s*[:=]\s*[\\"'\[]*){REST}"#),
        // OpenSearch logs the bytes of a plain request that came to a TLS port, its headers included.
        r"(SSL/TLS record: )[0-9a-fA-F]+".to_owned(),
        r"()\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_.-]+".to_owned(),
        // A generated password stands alone on the line below.
        format!(r"({SECRET}[^\n]*:[ \t]*\n[ \t]*)[^\n]+"),
        r"((?:^|\s)(?i-u:-u|--user)[ =])\S+".to_owned(),
        format!(r"(--?[\w-]*{SECRET}[\w-]*\s+)\S+"),
        // `"password" : "x"`, `password=x`, `-Dx.password=x`, `password: all of it`; also inside a JSON string.
        format!(
            r#"([\w.\[\]-]*{SECRET}[\w.\]-]*[\]"'\\]*\s*(?:=>?|:)\s*)(?:"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|\\"{REST}|\[[^\]\n]*\]?)"#
        ),
        format!(r#"([\w.\[\]-]*{SECRET}[\w.\]-]*[\]"'\\]*\s*:\s*){REST}"#),
        format!(r"([\w.\[\]-]*{SECRET}[\w.\]-]*\s*=>?\s*)\S+"),
        format!(r#"({SECRET}[^\n:="]{{0,120}}\b(?:is|are)\s*:\s*){REST}"#),
    ];
    #[expect(clippy::expect_used, reason = "constant patterns, which every test of this module builds")]
    patterns.iter().map(|pattern| Regex::new(pattern).expect("a valid pattern")).collect()
});

static SCHEME: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, which every test of this module builds")]
    Regex::new(r#"(\b(?i-u:basic|bearer|apikey|negotiate)\s+)([^\s"'\\,\]}]{6,})"#).expect("a valid pattern")
});

/// Removes what is PEM from text, however many lines it takes.
pub(super) fn pem(input: &str) -> Cow<'_, str> {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, which every test of this module builds")]
        Regex::new(PEM).expect("a valid pattern")
    });
    PATTERN.replace_all(input, "${1}[redacted]")
}

/// Removes credentials from text: PEM, authorization headers, raw request bytes, user information of URLs, and the values
/// of everything that is called a password, secret, token or key.
pub fn text(input: &str) -> String {
    let mut out = Cow::Borrowed(input);
    for pattern in PATTERNS.iter() {
        let replaced = pattern.replace_all(&out, |found: &Captures<'_>| {
            let behind = found.get(2).map_or("", |behind| behind.as_str());
            format!("{}{HIDDEN}{behind}", &found[1])
        });
        if let Cow::Owned(replaced) = replaced {
            out = Cow::Owned(replaced);
        }
    }
    let schemes = SCHEME.replace_all(&out, |found: &Captures<'_>| {
        // `basic authentication` is prose, not a credential.
        let prose = found[2].chars().all(|c| c.is_ascii_lowercase() || c == '.');
        if prose { found[0].to_owned() } else { format!("{}{HIDDEN}", &found[1]) }
    });
    schemes.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_and_the_rest_stays() {
        let cases = [
            (
                "x -----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- y",
                "x -----BEGIN PRIVATE KEY-----[redacted] y",
            ),
            ("http://elastic:pa@ss@es-1:9200/x", "http://[redacted]@es-1:9200/x"),
            ("Authorization: Basic ZWxhc3RpYzp4\nnext", "Authorization: [redacted]\nnext"),
            (
                "NotSslRecordException: not an SSL/TLS record: 474554202f",
                "NotSslRecordException: not an SSL/TLS record: [redacted]",
            ),
            ("user=a password=hunter2 port=9200", "user=a password=[redacted] port=9200"),
            (
                "-Djavax.net.ssl.trustStorePassword=changeit, -Xmx1g",
                "-Djavax.net.ssl.trustStorePassword=[redacted] -Xmx1g",
            ),
            (
                "{\"message\":\"x \\\"api_key\\\":\\\"abc\\\" y\"}",
                "{\"message\":\"x \\\"api_key\\\":[redacted]\\\" y\"}",
            ),
            ("     xpack.x.password: two words", "     xpack.x.password: [redacted]"),
            ("curl -u elastic:pw https://x", "curl -u [redacted] https://x"),
            ("--keystore-password pw --quiet", "--keystore-password [redacted] --quiet"),
            (
                "generated password for the elastic built-in superuser is : abc",
                "generated password for the elastic built-in superuser is : [redacted]",
            ),
            ("sent Bearer abc123XYZ to", "sent Bearer [redacted] to"),
        ];
        for (input, output) in cases {
            assert_eq!(text(input), output);
        }
    }

    #[test]
    fn what_the_engines_say_of_themselves_stays() {
        for line in [
            "HTTPS is required in order to use the token service; please enable HTTPS using the [xpack.security.http.ssl.enabled] setting or disable the token service using the [xpack.security.authc.token.enabled] setting",
            "max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]",
            "Provided keystore password was incorrect",
            "cannot read configured [PKCS12] keystore [/x] - this is usually caused by an incorrect password",
            "unknown secure setting [xpack.foo.secure_password] please check",
            "publish_address {127.0.0.1:9200}, bound_addresses {[::1]:9200}, {127.0.0.1:9200}",
            "license mode is [basic] - valid; basic authentication",
        ] {
            assert_eq!(text(line), line);
        }
    }
}
