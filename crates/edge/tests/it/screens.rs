//! A door and its routes turn away who asks too often, from elsewhere, or from another web page.

use countersign_edge::{EdgeReport, RequestRates, RouteScreen, SecurityHeaders};
use http::Method;

use crate::site::{Plan, REQUIRED, Site};
use crate::visitor::{Answer, Line};

const PAGE: &str = "https://app.example.com";

/// A door whose required upstream has this screen.
async fn behind(screen: RouteScreen) -> Site {
    let mut plan = Plan::usual().await;
    let route = plan.config.routes.iter_mut().find(|route| route.path_prefix == REQUIRED).unwrap();
    route.screen = screen;
    plan.open()
}

fn rates(per_address: Option<&str>, per_identity: Option<&str>) -> RequestRates {
    let rate = |text: &str| text.parse().unwrap();
    RequestRates { per_address: per_address.map(rate), per_identity: per_identity.map(rate) }
}

async fn asked(line: &mut Line, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = line.request(method, path);
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    line.call(request).await.unwrap()
}

async fn reported_code(site: &mut Site) -> String {
    let EdgeReport::Refused(facts) = site.next_report().await else { panic!("a refusal") };
    facts.code
}

#[tokio::test]
async fn an_address_that_asks_too_often_waits_and_is_reported() {
    let mut plan = Plan::usual().await;
    plan.config.rates = rates(Some("2/h"), None);
    let mut site = plan.open();
    let mut line = site.visitor(None).http1().await;
    for _ in 0..2 {
        assert_eq!(line.get("/open/x").await.unwrap().status, 200);
    }
    let refused = line.get("/open/x").await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "RATE_LIMITED"));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=1800).contains(&wait), "{wait}");
    assert_eq!(reported_code(&mut site).await, "RATE_LIMITED");
    let other = site.visitor(Some(&site.device("d1"))).get("/required/x").await;
    assert_eq!(other.code(), "RATE_LIMITED", "it is the address that counts");
}

#[tokio::test]
async fn an_identity_that_asks_too_often_takes_nothing_from_its_neighbour() {
    let screen = RouteScreen { rates: rates(None, Some("2/h")), ..RouteScreen::default() };
    let site = behind(screen).await;
    let (greedy, modest) = (site.device("d1"), site.device("d2"));
    for _ in 0..2 {
        // A new connection does not help.
        assert_eq!(site.visitor(Some(&greedy)).get("/required/x").await.status, 200);
    }
    assert_eq!(site.visitor(Some(&greedy)).get("/required/x").await.code(), "RATE_LIMITED");
    assert_eq!(site.visitor(Some(&modest)).get("/required/x").await.status, 200);
    assert_eq!(site.visitor(Some(&greedy)).get("/open/x").await.status, 200, "another route");
}

#[tokio::test]
async fn a_route_can_be_for_some_networks_only() {
    for (network, code) in [("127.0.0.0/8", ""), ("192.0.2.0/24", "ADDRESS_NOT_ALLOWED")] {
        let screen = RouteScreen { allow_from: vec![network.parse().unwrap()], ..RouteScreen::default() };
        let mut site = behind(screen).await;
        let device = site.device("d1");
        let answer = site.visitor(Some(&device)).get("/required/x").await;
        assert_eq!(answer.code(), code);
        if !code.is_empty() {
            assert_eq!(answer.status, 403);
            assert_eq!(reported_code(&mut site).await, code);
        }
        assert_eq!(site.visitor(None).get("/open/x").await.status, 200);
    }
}

#[tokio::test]
async fn a_listed_page_may_use_a_route_and_read_what_is_refused() {
    let screen = RouteScreen { cors_origins: vec![PAGE.parse().unwrap()], ..RouteScreen::default() };
    let site = behind(screen).await;
    let mut line = site.visitor(Some(&site.device("d1"))).http2().await;
    let answer = asked(&mut line, Method::POST, "/required/x", &[("origin", PAGE)]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["access-control-allow-origin"], PAGE);
    assert_eq!(answer.headers["vary"], "Origin");
    let mut stranger = site.visitor(None).http1().await;
    let refused = asked(&mut stranger, Method::POST, "/required/x", &[("origin", PAGE)]).await;
    assert_eq!(refused.code(), "MTLS_REQUIRED");
    assert_eq!(refused.headers["access-control-allow-origin"], PAGE);
}

#[tokio::test]
async fn a_browsers_first_question_is_answered_by_the_door_and_forwarded_nowhere() {
    let screen = RouteScreen { cors_origins: vec![PAGE.parse().unwrap()], ..RouteScreen::default() };
    let mut site = behind(screen).await;
    let mut line = site.visitor(None).http1().await;
    let question = [("origin", PAGE), ("access-control-request-method", "PUT")];
    let answer = asked(&mut line, Method::OPTIONS, "/required/x", &question).await;
    assert_eq!(answer.status, 204, "without a certificate, as browsers ask");
    assert_eq!(answer.headers["access-control-allow-methods"], "PUT");
    assert!(answer.body.is_empty());
    // What looks like one and is none does not pass without a certificate.
    for headers in [&question[..1], &question[1..]] {
        assert_eq!(asked(&mut line, Method::OPTIONS, "/required/x", headers).await.code(), "MTLS_REQUIRED");
    }
    let evil = [("origin", "https://evil.example"), question[1]];
    assert_eq!(asked(&mut line, Method::OPTIONS, "/required/x", &evil).await.code(), "ORIGIN_NOT_ALLOWED");
    for code in ["MTLS_REQUIRED", "MTLS_REQUIRED", "ORIGIN_NOT_ALLOWED"] {
        assert_eq!(reported_code(&mut site).await, code, "the question itself is no refusal");
    }
}

#[tokio::test]
async fn a_page_that_is_not_listed_borrows_nobodys_certificate() {
    let screen = RouteScreen { cors_origins: vec![PAGE.parse().unwrap()], ..RouteScreen::default() };
    let site = behind(screen).await;
    let mut line = site.visitor(Some(&site.device("d1"))).http1().await;
    for origin in ["https://evil.example", "null"] {
        let refused = asked(&mut line, Method::POST, "/required/x", &[("origin", origin)]).await;
        assert_eq!(refused.code(), "ORIGIN_NOT_ALLOWED");
        assert!(refused.headers.get("access-control-allow-origin").is_none());
    }
    let own = asked(&mut line, Method::POST, "/required/x", &[("origin", "https://door.test")]).await;
    assert_eq!(own.status, 200, "the page that is served here");
}

#[tokio::test]
async fn an_upstreams_answers_get_security_headers_where_that_is_wanted() {
    let screen = RouteScreen { security_headers: SecurityHeaders::Added, ..RouteScreen::default() };
    let site = behind(screen).await;
    let visitor = site.visitor(Some(&site.device("d1")));
    let wanted = visitor.get("/required/x").await;
    assert_eq!(wanted.headers["x-frame-options"], "DENY");
    assert_eq!(wanted.headers["x-content-type-options"], "nosniff");
    assert_eq!(wanted.headers["strict-transport-security"], "max-age=31536000; includeSubDomains");
    let plain = visitor.get("/open/x").await;
    assert!(plain.headers.get("x-frame-options").is_none(), "as the upstream sent it");
    let own = visitor.get("/nowhere").await;
    assert_eq!(own.headers["x-frame-options"], "DENY");
    assert!(own.headers.contains_key("content-security-policy"));
}
