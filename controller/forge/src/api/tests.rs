//! The requests' shapes, as each forge documents them, and what is read of its answers.

use super::*;
use crate::config::tests::config;

fn of(forge: Kind, url: &str) -> RepositoryConfig {
    RepositoryConfig { forge, url: url.to_owned(), ..config() }
}

const ASK: Ask<'static> = Ask { branch: "dialtone/0123456789abcdef", title: "Edit", body: "why" };

#[test]
fn the_api_is_where_each_forge_has_it() {
    for (kind, url, api) in [
        (Kind::GitHub, "https://github.com/ops/config.git", "https://api.github.com/"),
        (Kind::GitHub, "https://ghe.example/ops/config", "https://ghe.example/api/v3/"),
        (Kind::GitLab, "https://gitlab.example/ops/es/config.git", "https://gitlab.example/api/v4/"),
        (Kind::Gitea, "http://127.0.0.1:3000/ops/config.git", "http://127.0.0.1:3000/api/v1/"),
    ] {
        assert_eq!(api_root(&of(kind, url)).unwrap().unwrap().as_str(), api);
    }
    assert!(api_root(&of(Kind::Git, "file:///srv/a.git")).unwrap().is_none());
    assert!(api_root(&of(Kind::GitHub, "https://github.com/config")).is_err());
    let other = RepositoryConfig { api: Some("https://api.example/v1".to_owned()), ..config() };
    assert_eq!(api_root(&other).unwrap().unwrap().as_str(), "https://api.example/v1");
}

#[test]
fn a_request_is_asked_for_as_each_forge_documents_it() {
    let (path, body) = open_request(&of(Kind::GitHub, "https://github.com/ops/config.git"), &ASK).unwrap();
    assert_eq!(path, "/repos/ops/config/pulls");
    assert_eq!(body, json!({"head": ASK.branch, "base": "main", "title": "Edit", "body": "why"}));
    let (path, body) = open_request(&of(Kind::GitLab, "https://gitlab.example/ops/es/config.git"), &ASK).unwrap();
    assert_eq!(path, "/projects/ops%2Fes%2Fconfig/merge_requests");
    assert_eq!((&body["source_branch"], &body["target_branch"]), (&json!(ASK.branch), &json!("main")));
    assert_eq!(body["description"], "why");
}

#[test]
fn a_request_is_found_by_its_branch_in_any_state() {
    let (path, query) = find_request(&of(Kind::GitHub, "https://github.com/ops/config.git"), ASK.branch).unwrap();
    assert_eq!(path, "/repos/ops/config/pulls");
    assert!(query.contains(&("head", format!("ops:{}", ASK.branch))) && query.contains(&("state", "all".to_owned())));
    let (path, query) = find_request(&of(Kind::GitLab, "https://gitlab.example/ops/config"), ASK.branch).unwrap();
    assert_eq!(path, "/projects/ops%2Fconfig/merge_requests");
    assert!(query.contains(&("source_branch", ASK.branch.to_owned())));
}

#[test]
fn the_token_is_in_a_header_that_is_not_printed() {
    let token = Token::new("s3cret");
    assert_eq!(format!("{token:?}"), "Token");
    for (kind, name, value) in [
        (Kind::GitHub, "authorization", "Bearer s3cret"),
        (Kind::Gitea, "authorization", "token s3cret"),
        (Kind::GitLab, "private-token", "s3cret"),
    ] {
        let (header, sent) = authorization(kind, &token).unwrap();
        assert_eq!((header.as_str(), sent.to_str().unwrap()), (name, value));
        assert!(!format!("{sent:?}").contains("s3cret"));
    }
    assert!(authorization(Kind::GitHub, &Token::new("a\nb")).is_err());
}

#[test]
fn each_answer_is_read_as_it_is_meant() {
    let read = |answer: Value| serde_json::from_value::<Answer>(answer).unwrap().read();
    let standing = |answer: Value| read(answer).unwrap().standing;
    assert_eq!(standing(json!({"html_url": "https://f/1", "state": "open", "merged": false})), Standing::Open);
    assert_eq!(standing(json!({"html_url": "https://f/1", "state": "closed", "merged": true})), Standing::Merged);
    assert_eq!(standing(json!({"html_url": "https://f/1", "state": "closed", "merged_at": null})), Standing::Closed);
    // GitHub's lists have no `merged`.
    let listed = json!({"html_url": "https://f/1", "state": "closed", "merged_at": "2026-01-01T00:00:00Z"});
    assert_eq!(standing(listed), Standing::Merged);
    for (state, expected) in [
        ("opened", Standing::Open),
        ("locked", Standing::Open),
        ("merged", Standing::Merged),
        ("closed", Standing::Closed),
    ] {
        assert_eq!(standing(json!({"web_url": "https://l/1", "state": state})), expected);
    }
    assert_eq!(read(json!({"web_url": "https://l/1", "state": "strange"})), None);
    for bad in ["javascript:alert(1)", "file:///etc/passwd", "x"] {
        assert!(!is_link(bad), "{bad}");
    }
}

#[test]
fn what_a_forge_says_is_shown_as_text() {
    let said = |text: &str| said(StatusCode::CONFLICT, text.as_bytes());
    assert_eq!(said(r#"{"message": "a\u001b[2Jb"}"#), "a\\u{1b}[2Jb");
    assert_eq!(said(r#"{"message": ["one", "two"]}"#), r#"["one","two"]"#);
    assert_eq!(said("<html>"), "Conflict");
}

#[test]
fn a_forge_that_is_busy_is_left_alone_for_as_long_as_it_says() {
    let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
    let busy = |status: u16, headers: &[(&'static str, &'static str)]| {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        busy_for(StatusCode::from_u16(status).unwrap(), &headers.collect(), now).map(|wait| wait.as_secs())
    };
    assert_eq!(busy(429, &[("retry-after", "7")]), Some(7));
    assert_eq!(busy(429, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]), Some(60));
    assert_eq!(busy(429, &[("retry-after", "86400")]), Some(3600));
    assert_eq!(busy(503, &[("retry-after", "0")]), Some(1));
    // GitHub, https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
    let used_up = ("x-ratelimit-remaining", "0");
    assert_eq!(busy(403, &[used_up, ("x-ratelimit-reset", "1000090")]), Some(90));
    assert_eq!(busy(403, &[used_up, ("x-ratelimit-reset", "1")]), Some(1));
    for (status, headers) in
        [(403, &[][..]), (403, &[("x-ratelimit-remaining", "3")]), (503, &[]), (500, &[]), (200, &[used_up])]
    {
        assert_eq!(busy(status, headers), None, "{status} {headers:?}");
    }
}
