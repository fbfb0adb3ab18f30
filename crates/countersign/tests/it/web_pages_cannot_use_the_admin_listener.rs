//! Proves that the admin listener answers to its own names alone (DNS rebinding) and to no page of
//! another origin, and that the setup page can load and call nothing but its own server.

use http::{StatusCode, header};
use serde_json::json;

use crate::in_process::{Answer, Call, OWN, Plane};

#[tokio::test]
async fn only_hosts_of_the_list_are_answered() {
    let plane = Plane::start().await;
    for host in ["localhost:8080", "127.0.0.1", "[::1]:9", "ADMIN.example.com", "admin.example.com:80"] {
        let answer = plane.admin(Call::get("/health").header("host", host)).await;
        assert_eq!(answer.status, StatusCode::OK, "{host} {answer:?}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8080", "", "@localhost"] {
        for path in ["/health", "/setup", "/api/v1/devices", "/nothing"] {
            let call = Call::get(path).header("host", host).bearer(&plane.owner);
            let answer = plane.admin(call).await;
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host} {answer:?}");
            assert_eq!(answer.code(), "HOST_NOT_ALLOWED");
        }
    }
}

#[tokio::test]
async fn the_host_of_an_absolute_target_counts() {
    let plane = Plane::start_empty().await;
    let answer = plane.admin(Call::get("http://evil.example/health")).await;
    assert_eq!(answer.code(), "HOST_NOT_ALLOWED");
}

#[tokio::test]
async fn pages_of_another_origin_are_refused() {
    let plane = Plane::start().await;
    let from = |origin: &str| {
        let call = Call::get("/api/v1/devices").header("host", "localhost:8080").bearer(&plane.owner);
        call.header("origin", origin)
    };
    assert_eq!(plane.admin(from("http://localhost:8080")).await.status, StatusCode::OK);
    for origin in ["null", "http://localhost:8081", "https://evil.example", "localhost:8080", "", "\u{e9}"] {
        let answer = plane.admin(from(origin)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin} {answer:?}");
        assert_eq!(answer.code(), "ORIGIN_NOT_ALLOWED");
    }
}

#[tokio::test]
async fn the_setup_page_may_load_and_call_nothing_but_its_server() {
    let plane = Plane::start_empty().await;
    let page = plane.admin(Call::get("/setup")).await;
    assert_eq!(page.header(&header::CONTENT_TYPE), "text/html; charset=utf-8");
    let policy = page.header(&header::CONTENT_SECURITY_POLICY);
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.split("; ").any(|part| part == rule), "{rule} is not in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header(&header::REFERRER_POLICY), "no-referrer");
    for what in ["<script>", "<style", " style=", " onclick=", " onload=", "javascript:", "//", "action="] {
        let without_addresses = page.text.replace("http://127.0.0.1:8080/", "");
        assert!(!without_addresses.contains(what), "the page has {what}");
    }
    let script = asset(&plane, &page, "src=\"", "text/javascript; charset=utf-8").await;
    let style = asset(&plane, &page, "stylesheet\" href=\"", "text/css; charset=utf-8").await;
    for what in
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Storage", "cookie"]
    {
        assert!(!script.contains(what), "the script uses {what}");
    }
    for what in ["@import", "url("] {
        assert!(!style.contains(what), "the style uses {what}");
    }
}

/// The one file that the page loads in this way.
async fn asset(plane: &Plane, page: &Answer, before: &str, kind: &str) -> String {
    let mut paths = page.text.split(before).skip(1).map(|rest| rest.split('"').next().unwrap());
    let file = plane.admin(Call::get(paths.next().unwrap())).await;
    assert_eq!(paths.next(), None);
    assert_eq!(file.header(&header::CONTENT_TYPE), kind);
    file.text
}

/// The part of the page that is shown.
async fn state_of_page(plane: &Plane) -> String {
    let page = plane.admin(Call::get("/setup")).await;
    let (_, rest) = page.text.split_once("data-state=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_setup_token_works_once() {
    let plane = Plane::start_empty().await;
    let token = plane.authority.take_setup_token().unwrap();
    assert_eq!(state_of_page(&plane).await, "open");
    let set_up = |token: &str| {
        let owner =
            json!({ "token": token, "email": "You@Example.com", "password": "correct horse battery" });
        plane.admin(Call::post("/api/v1/setup", &owner))
    };
    let wrong = set_up("csetup_wrong").await;
    assert_eq!((wrong.status.as_u16(), wrong.code()), (401, "SETUP_TOKEN_REFUSED".to_owned()));
    let made = set_up(&token).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.json()["user"]["role"], "owner");
    assert_eq!(state_of_page(&plane).await, "done");
    let again = set_up(&token).await;
    assert_eq!((again.status.as_u16(), again.code()), (409, "SETUP_DONE".to_owned()));
    let me = plane.admin(Call::get("/api/v1/auth/me").bearer(&made.field("token"))).await;
    assert_eq!(me.field("email"), "you@example.com");
}

#[tokio::test]
async fn the_setup_token_works_for_an_hour() {
    let plane = Plane::start_empty().await;
    let token = plane.authority.take_setup_token().unwrap();
    plane.clock.advance(std::time::Duration::from_secs(3601));
    assert_eq!(state_of_page(&plane).await, "over");
    let late = json!({ "token": *token, "email": "you@example.com", "password": "correct horse battery" });
    assert_eq!(plane.admin(Call::post("/api/v1/setup", &late)).await.code(), "SETUP_TOKEN_REFUSED");
}

#[tokio::test]
async fn signing_in_never_says_what_was_wrong_and_is_throttled() {
    let plane = Plane::start().await;
    let attempt = |email: &str| {
        plane.admin(Call::post("/api/v1/auth/login", &json!({ "email": email, "password": "wrong" })))
    };
    let (known, unknown) = (attempt("owner@example.com").await, attempt("nobody@example.com").await);
    assert_eq!(known.status, StatusCode::UNAUTHORIZED);
    assert_eq!((known.code(), known.field("error")), (unknown.code(), unknown.field("error")));
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(attempt("nobody@example.com").await.status.as_u16());
    }
    assert_eq!(answers.last(), Some(&429), "{answers:?}");
    // Somebody else is not locked out by it.
    assert_eq!(attempt(&format!("{OWN}@example.com")).await.status, StatusCode::UNAUTHORIZED);
}
