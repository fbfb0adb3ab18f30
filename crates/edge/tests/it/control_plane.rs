//! The control plane in the same process hears of a client through the handshake alone.

use countersign_edge::EdgeReport;
use http::Method;

use crate::site::{Plan, Release, Site};

#[tokio::test]
async fn an_arrival_names_the_device_and_survives_resumption() {
    let site = Site::usual().await;
    let certificate = site.device("d1");
    let visitor = site.visitor(Some(&certificate));
    let first = visitor.get("/api/v1/agents/x/heartbeat").await;
    assert_eq!(first.told("device"), "spiffe://countersign.internal/tenant/acme/device/d1");
    assert_eq!(first.told("resumed"), false);
    assert_eq!(first.told("address"), "127.0.0.1");
    let second = visitor.get("/api/v1/agents/x/heartbeat").await;
    assert_eq!(second.told("device"), first.told("device"));
    assert_eq!(second.told("resumed"), true);
    assert!(first.headers.contains_key("strict-transport-security"));
    assert_eq!(site.visitor(None).get("/api/v1/agents/enroll").await.told("device"), serde_json::Value::Null);
}

#[tokio::test]
async fn what_is_not_served_is_a_404_or_a_421() {
    let mut plan = Plan::usual().await;
    plan.config.hosts = vec!["Door.test".to_owned()];
    let site = plan.open();
    let nothing = site.visitor(None).get("/api/v1/devices").await;
    assert_eq!((nothing.status.as_u16(), nothing.code().as_str()), (404, "NOT_FOUND"));
    let head = "GET /health HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n";
    let elsewhere = site.visitor(None).raw(head).await;
    assert!(
        elsewhere.starts_with("HTTP/1.1 421") && elsewhere.contains("MISDIRECTED_REQUEST"),
        "{elsewhere}"
    );
    assert_eq!(site.visitor(None).get("/health").await.status, 200);
}

#[tokio::test]
async fn the_first_use_of_a_pending_certificate_is_reported_once() {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    site.apply(|snapshot| snapshot.pending.insert(certificate.reference.clone())).await;
    let mut line = site.visitor(Some(&certificate)).http1().await;
    for _ in 0..3 {
        assert_eq!(line.get("/required/x").await.unwrap().status, 200);
    }
    let EdgeReport::FirstUse(reference) = site.next_report().await else { panic!("a first use") };
    assert_eq!(reference, certificate.reference);
    assert!(site.reports.try_recv().is_err());
}

#[tokio::test]
async fn refusals_are_reported_with_their_facts() {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    site.apply(|snapshot| snapshot.denied.insert(certificate.reference.clone())).await;
    let answer = site.visitor(Some(&certificate)).get("/required/x").await;
    let EdgeReport::Refused(facts) = site.next_report().await else { panic!("a refusal") };
    assert_eq!(facts.code, "CERTIFICATE_REVOKED");
    assert_eq!(answer.json().get("requestId").unwrap(), &facts.request_id.to_string());
    assert_eq!(facts.certificate.unwrap().reference, certificate.reference);
    assert_eq!((facts.host.as_str(), facts.path.as_str()), ("door.test", "/required/x"));
    assert_eq!(facts.route.as_deref(), Some("/required"));
}

#[tokio::test]
async fn a_report_keeps_the_beginning_of_what_a_stranger_wrote() {
    let mut site = Site::usual().await;
    let long = "x".repeat(20_000);
    for head in [
        format!("{long} /required/{long} HTTP/1.1\r\nHost: {}\r\n", "h".repeat(250)),
        format!("GET /required/%zz{long} HTTP/1.1\r\nHost: {long}\r\n"),
    ] {
        let heard = site.visitor(None).raw(format!("{head}Connection: close\r\n\r\n")).await;
        assert!(heard.starts_with("HTTP/1.1 4"), "{heard}");
        let EdgeReport::Refused(facts) = site.next_report().await else { panic!("a refusal") };
        for text in [&facts.method, &facts.host, &facts.path] {
            assert!(text.len() <= 200, "{}", text.len());
        }
        assert!(facts.path.starts_with("/required/"), "{facts:?}");
    }
}

#[tokio::test]
async fn one_connection_cannot_take_the_control_plane_even_by_giving_requests_up() {
    const SHARE: usize = 32;
    let mut plan = Plan::usual().await;
    let release = Release::of(&mut plan);
    let site = plan.open();
    let certificate = site.device("d1");
    let visitor = site.visitor(Some(&certificate));
    let mut greedy = visitor.http2().await;
    for begun in 1..=SHARE {
        let request = greedy.request(Method::POST, "/api/v1/agents/renew-cert");
        let sent = greedy.begin(request);
        release.until_waiting(begun).await;
        // Resets the stream; the control plane goes on.
        drop(sent);
    }
    let refused = greedy.get("/api/v1/agents/x/heartbeat").await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "OVERLOADED"));
    assert_eq!(refused.headers.get("retry-after").unwrap(), "5");
    assert_eq!(visitor.get("/api/v1/agents/x/heartbeat").await.status, 200, "others have room");
    release.all();
    assert_eq!(greedy.get("/api/v1/agents/x/heartbeat").await.unwrap().status, 200);
}

#[tokio::test]
async fn observation_lets_through_and_tells() {
    let mut site = Site::usual().await;
    assert_eq!(site.visitor(None).get("/observed/x").await.status, 200);
    let EdgeReport::WouldRefuse(facts) = site.next_report().await else { panic!("an observation") };
    assert_eq!(facts.code, "MTLS_REQUIRED");
}
