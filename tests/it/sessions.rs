//! Sessions of the web page: what signs in, what a cookie is good for, and what other sites cannot do with it.

use reqwest::header::{COOKIE, HeaderMap, SET_COOKIE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormhook_tests::up::{Up, read};

const SESSION: &str = "/v1-webhooks/session";
const RECEIVERS: &str = "/v1-webhooks/receivers?projectId=1a5";

/// Signs in. Returns the status, the headers and the answer.
async fn sign_in(up: &Up, secret_key: &str) -> (StatusCode, HeaderMap, Value) {
    let (access_key, _) = up.admin_key();
    let body = json!({"accessKey": access_key, "secretKey": secret_key});
    let answer = up.request(Method::POST, SESSION).json(&body).send();
    let answer = answer.await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, answer.json().await.unwrap())
}

fn cookie(headers: &HeaderMap) -> String {
    let set = headers[SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

fn receiver() -> Value {
    json!({
        "name": "by-session", "driver": "scaleService",
        "scaleServiceConfig": {"serviceId": "1s5", "action": "up", "amount": 1, "min": 1, "max": 4},
    })
}

#[tokio::test]
async fn a_session_reads_with_its_cookie_and_changes_only_with_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let (_, secret) = up.admin_key();
    let (status, _, error) = sign_in(&up, "wrong").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{error}");
    let (status, headers, session) = sign_in(&up, secret).await;
    assert_eq!(status, StatusCode::OK, "{session}");
    assert_eq!(session["role"], "admin");
    assert_eq!(session["projects"][0]["id"], "1a5");
    let set = headers[SET_COOKIE].to_str().unwrap();
    for flag in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] {
        assert!(set.contains(flag), "{set}");
    }
    assert!(!set.contains("Secure"), "this is plain HTTP: {set}");

    let cookie = cookie(&headers);
    let token = session["csrfToken"].as_str().unwrap();
    let call = |method: Method, path: &'static str| {
        up.request(method, path).header(COOKIE, cookie.clone())
    };
    assert_eq!(read(call(Method::GET, RECEIVERS)).await.0, StatusCode::OK);
    let create = || call(Method::POST, RECEIVERS).json(&receiver());
    for (request, why) in [
        (create(), "no token"),
        (create().header("x-csrf-token", "x"), "a wrong token"),
        (
            create()
                .header("x-csrf-token", token)
                .header("origin", "https://evil.example"),
            "another origin",
        ),
        (
            create()
                .header("x-csrf-token", token)
                .header("sec-fetch-site", "cross-site"),
            "another site",
        ),
    ] {
        let (status, error) = read(request).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{why}: {error}");
    }
    let own = create()
        .header("x-csrf-token", token)
        .header("origin", up.address.as_str())
        .header("sec-fetch-site", "same-origin");
    let (status, created) = read(own).await;
    assert_eq!(status, StatusCode::OK, "{created}");

    let forged = up
        .request(Method::GET, RECEIVERS)
        .header(COOKIE, cookie.replace("session=A", "session=B"));
    assert_eq!(read(forged).await.0, StatusCode::UNAUTHORIZED);
    let login = up.request(Method::POST, SESSION);
    let foreign = login
        .header("origin", "https://evil.example")
        .json(&json!({}));
    assert_eq!(read(foreign).await.0, StatusCode::FORBIDDEN);
    let renewed = call(Method::GET, SESSION).send().await.unwrap();
    assert!(renewed.headers().contains_key(SET_COOKIE), "it is renewed");
    let ended = call(Method::DELETE, SESSION).send().await.unwrap();
    assert!(
        ended.headers()[SET_COOKIE]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    up.stop().await;
}

#[tokio::test]
async fn behind_https_the_cookie_is_secure() {
    let folder = tempfile::tempdir().unwrap();
    let address = ["--public-url", "https://hooks.example.org"];
    let up = Up::start_with(folder.path(), &address).await;
    let (_, headers, _) = sign_in(&up, up.admin_key().1).await;
    let set = headers[SET_COOKIE].to_str().unwrap();
    assert!(set.contains("Secure"), "{set}");
    up.stop().await;
}

#[tokio::test]
async fn browsers_are_told_to_be_strict() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let page = up.request(Method::GET, "/").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("x-frame-options"), "DENY");
    assert_eq!(header("referrer-policy"), "no-referrer");
    let etag = header("etag");
    let again = up.request(Method::GET, "/").header("if-none-match", etag);
    assert_eq!(
        again.send().await.unwrap().status(),
        StatusCode::NOT_MODIFIED
    );

    let refused = up.request(Method::GET, RECEIVERS).send().await.unwrap();
    assert_eq!(refused.headers()["cache-control"], "no-store");
    assert!(
        refused.headers().contains_key("www-authenticate"),
        "for curl"
    );
    let script = up
        .request(Method::GET, RECEIVERS)
        .header("sec-fetch-mode", "cors");
    let refused = script.send().await.unwrap();
    assert!(
        !refused.headers().contains_key("www-authenticate"),
        "for the page"
    );

    let (status, document) = read(up.request(Method::GET, "/openapi.json")).await;
    assert_eq!(
        (status, &document["openapi"]),
        (StatusCode::OK, &json!("3.1.0"))
    );
    up.stop().await;
}

#[tokio::test]
async fn the_page_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let mut waiting = vec!["/".to_owned(), "/web/icon.svg".to_owned()];
    let mut seen = Vec::new();
    let mut bytes = 0;
    while let Some(path) = waiting.pop() {
        if seen.contains(&path) {
            continue;
        }
        let compressed = up
            .request(Method::GET, &path)
            .header("accept-encoding", "gzip");
        let answer = compressed.send().await.unwrap();
        assert_eq!(answer.headers()["content-encoding"], "gzip", "{path}");
        bytes += answer.bytes().await.unwrap().len();
        let text = up
            .request(Method::GET, &path)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        waiting.extend(references(&path, &text));
        seen.push(path);
    }
    assert!(seen.len() > 20, "{seen:?}");
    assert!(bytes < 150_000, "the page has {bytes} bytes compressed");
    up.stop().await;
}

/// What a file of the page refers to, by the addresses of this server.
fn references(path: &str, text: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let quoted = text.split('"').skip(1).step_by(2);
    let files = quoted.filter(|name| {
        let is_file = [".js", ".css"].iter().any(|end| name.ends_with(end));
        is_file && (name.starts_with("./") || name.starts_with("../") || name.starts_with("/web/"))
    });
    files
        .map(|name| match name.strip_prefix("../") {
            Some(above) => {
                let parent = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
                format!("{parent}/{above}")
            }
            None => match name.strip_prefix("./") {
                Some(beside) => format!("{folder}/{beside}"),
                None => name.to_owned(),
            },
        })
        .collect()
}
