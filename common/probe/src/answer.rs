//! What the bytes that answered a GET are: pure, for any bytes.

use common_model::probe::{HttpAnswer, HttpSeen, Product};
use serde_json::Value;

/// At most this much of an answer is shown.
const EXCERPT_BYTES: usize = 512;

/// How the reading of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The peer closed, or enough was read.
    Closed,
    /// The peer reset the connection.
    Reset,
    /// The time was up.
    Silence,
}

/// Reads an answer. `ending` decides only when there are no bytes.
pub(crate) fn read(bytes: &[u8], ending: Ending, over_tls: bool) -> HttpSeen {
    let excerpt = excerpt(bytes);
    let shape = |answer| HttpSeen {
        over_tls,
        status: None,
        answer,
        product: None,
        version: None,
        cluster_name: None,
        node_name: None,
        excerpt: excerpt.clone(),
    };
    if bytes.is_empty() {
        return shape(match ending {
            Ending::Closed => HttpAnswer::Empty,
            Ending::Reset => HttpAnswer::Reset,
            Ending::Silence => HttpAnswer::Silence,
        });
    }
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.split("\r\n");
    let Some(status) = lines.next().and_then(status) else { return shape(HttpAnswer::NotHttp) };
    let banner = banner(body);
    HttpSeen {
        status: Some(status),
        product: product(lines, body, &banner),
        version: field(&banner, "/version/number"),
        cluster_name: field(&banner, "/cluster_name"),
        node_name: field(&banner, "/name"),
        ..shape(HttpAnswer::Http)
    }
}

/// True for what the engines' transport port says to an HTTP client.
pub(crate) fn is_transport_port(seen: &HttpSeen) -> bool {
    seen.answer == HttpAnswer::NotHttp && seen.excerpt.starts_with("This is not a")
}

fn status(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("HTTP/1.")?;
    let code = rest.split(' ').nth(1)?;
    (code.len() == 3).then(|| code.parse().ok()).flatten().filter(|code| (100..600).contains(code))
}

/// The JSON object of the body. A chunked body has its sizes around the object, never inside one as short as a banner.
fn banner(body: &str) -> Value {
    let object = body.find('{').zip(body.rfind('}')).and_then(|(start, end)| body.get(start..=end));
    object.and_then(|object| serde_json::from_str(object).ok()).unwrap_or(Value::Null)
}

fn field(banner: &Value, pointer: &str) -> Option<String> {
    banner.pointer(pointer).and_then(Value::as_str).map(|text| text.chars().take(256).collect())
}

/// Who answered. Elasticsearch says so in a header since 7.14; before, in the tagline of its banner or the shape of its
/// errors. OpenSearch has `version.distribution`, its own realm, and one sentence when its security index is missing.
fn product<'a>(headers: impl Iterator<Item = &'a str>, body: &str, banner: &Value) -> Option<Product> {
    let mut realm = String::new();
    for (name, value) in headers.filter_map(|line| line.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "x-elastic-product" if value.trim() == "Elasticsearch" => return Some(Product::Elasticsearch),
            "www-authenticate" => realm.push_str(value),
            _ => {}
        }
    }
    let at = |pointer| banner.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let opensearch = at("/version/distribution") == "opensearch"
        || at("/tagline").starts_with("The OpenSearch Project")
        || realm.contains("OpenSearch")
        || body.starts_with("OpenSearch Security not initialized");
    if opensearch {
        return Some(Product::Opensearch);
    }
    let elasticsearch = at("/tagline") == "You Know, for Search"
        || at("/error/type") == "security_exception"
        || realm.contains("realm=\"security\"");
    elasticsearch.then_some(Product::Elasticsearch)
}

fn excerpt(bytes: &[u8]) -> String {
    let cut = bytes.get(..EXCERPT_BYTES).unwrap_or(bytes);
    match std::str::from_utf8(cut) {
        Ok(text) => text.to_owned(),
        // Only the cut went through a character.
        Err(error) if error.error_len().is_none() => {
            String::from_utf8_lossy(cut).trim_end_matches('\u{fffd}').to_owned()
        }
        Err(_) => cut.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELASTICSEARCH: &str = "HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\ncontent-type: application/json\r\n\r\n\
        {\"name\":\"es-1\",\"cluster_name\":\"prod\",\"version\":{\"number\":\"8.18.0\"},\"tagline\":\"You Know, for Search\"}";

    fn seen(text: &str) -> HttpSeen {
        read(text.as_bytes(), Ending::Closed, false)
    }

    #[test]
    fn reads_the_banners() {
        let es = seen(ELASTICSEARCH);
        assert_eq!((es.status, es.answer, es.product), (Some(200), HttpAnswer::Http, Some(Product::Elasticsearch)));
        assert_eq!(es.version.as_deref(), Some("8.18.0"));
        assert_eq!((es.cluster_name.as_deref(), es.node_name.as_deref()), (Some("prod"), Some("es-1")));
        let os = seen(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4e\r\n\
             {\"name\":\"o\",\"version\":{\"distribution\":\"opensearch\",\"number\":\"2.19.1\"}}\r\n0\r\n\r\n",
        );
        assert_eq!((os.product, os.version.as_deref()), (Some(Product::Opensearch), Some("2.19.1")));
    }

    #[test]
    fn knows_the_engines_by_their_refusals() {
        let es7 =
            seen("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"security\" charset=\"UTF-8\"\r\n\r\n");
        assert_eq!(es7.product, Some(Product::Elasticsearch));
        let os = seen(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"OpenSearch Security\"\r\n\r\nUnauthorized",
        );
        assert_eq!(os.product, Some(Product::Opensearch));
        let starting = seen("HTTP/1.1 503 Service Unavailable\r\n\r\nOpenSearch Security not initialized.");
        assert_eq!((starting.status, starting.product), (Some(503), Some(Product::Opensearch)));
        assert_eq!(seen("HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n<html>").product, None);
    }

    #[test]
    fn what_is_not_http_is_not_called_http() {
        let transport = seen("This is not an HTTP port");
        assert_eq!(transport.answer, HttpAnswer::NotHttp);
        assert!(is_transport_port(&transport));
        let alert = read(b"\x15\x03\x01\x00\x02\x02\x46\xff", Ending::Closed, false);
        assert_eq!((alert.answer, alert.excerpt.as_str()), (HttpAnswer::NotHttp, r"\x15\x03\x01\x00\x02\x02F\xff"));
        assert_eq!(seen("HTTP/1.1 9 x\r\n").answer, HttpAnswer::NotHttp);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        for cut in 0..ELASTICSEARCH.len() {
            seen(&ELASTICSEARCH[..cut]);
        }
        let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", "é".repeat(4000));
        assert!(seen(&long).excerpt.len() <= EXCERPT_BYTES);
        read(&[b'{'; 16384], Ending::Reset, true);
        read(&[0xff; 16384], Ending::Silence, true);
    }
}
