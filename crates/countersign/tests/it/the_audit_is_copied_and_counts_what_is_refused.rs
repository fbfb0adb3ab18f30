//! Proves that the audit can be taken away as a file that verifies by itself, and that a flood of refusals
//! is one entry at once and a true count when the server ends.

use countersign_testkit::Connection;
use serde_json::{Value, json};

use crate::harness::{Device, done, eventually};

#[tokio::test]
async fn a_copy_over_http_and_by_the_command_verify_without_the_database() {
    let mut installation = super::start().await;
    Device::enrol(&installation, "ws-01").await;
    let token = installation.admin().token().to_owned();
    let anchor = done(&installation.admin().post("/audit/anchors", &json!({})).await);
    fs_err::write(installation.folder().join("anchor.json"), anchor.to_string()).unwrap();

    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let mut admin = Connection::plain(installation.admin_address()).await.unwrap();
    let copied = admin.request("GET", "/api/v1/audit/export", &headers, String::new()).await.unwrap();
    assert_eq!((copied.status, copied.header("content-type")), (200, "application/x-ndjson"));
    assert!(copied.header("content-disposition").starts_with("attachment; filename=\"countersign-audit-"));
    fs_err::write(installation.folder().join("http.jsonl"), copied.text()).unwrap();
    let of_tenant = "/api/v1/audit/export?tenant=default&format=csv";
    let csv = admin.request("GET", of_tenant, &headers, String::new()).await.unwrap();
    assert_eq!((csv.status, csv.header("content-type")), (200, "text/csv; charset=utf-8"));
    assert!(csv.text().lines().skip(1).all(|row| row.starts_with("\"default\",")), "{}", csv.text());
    let bad = admin.request("GET", "/api/v1/audit/export?format=xml&from=x", &headers, String::new()).await;
    assert_eq!(bad.unwrap().status, 400);

    let ran = installation.run(&["audit", "export", "--output", "command.jsonl"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(installation.terminate().await.success());
    for name in ["http.jsonl", "command.jsonl"] {
        let verify = ["audit", "verify", "--export", name, "--anchor", "anchor.json", "--json"];
        let ran = installation.run(&verify);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.code, &report["intact"]), (0, &json!(true)), "{name}: {report}");
    }
    let text = fs_err::read_to_string(installation.folder().join("http.jsonl")).unwrap();
    let cut: String =
        text.lines().filter(|line| !line.contains("certificate.intended")).collect::<Vec<_>>().join("\n");
    fs_err::write(installation.folder().join("cut.jsonl"), cut).unwrap();
    let ran = installation.run(&["audit", "verify", "--export", "cut.jsonl"]);
    assert_eq!(ran.code, 3, "{}", ran.stdout);
    assert!(ran.stderr.contains("the entry before it is missing"), "{}", ran.stderr);
}

#[tokio::test]
async fn many_refusals_of_one_peer_are_one_entry_and_a_count() {
    let mut installation = super::start().await;
    let stranger = installation.stranger();
    for _ in 0..90 {
        assert_eq!(stranger.get("/devices").await.status, 401);
    }
    let patience = std::time::Duration::from_secs(30);
    let admin = installation.admin();
    let first = eventually(patience, "the first is in the audit", async || {
        admin.audit("event=access.refused").await.into_iter().next_back()
    })
    .await;
    let found = admin.audit(&format!("requestId={}", first.details["requestId"])).await;
    assert!(found.iter().any(|entry| entry.event == "access.refused"));
    assert!(installation.terminate().await.success());
    installation.start_again().await;
    let admin = installation.admin();
    let counts = admin.audit("event=access.counted").await;
    let single = admin.audit("event=access.refused").await.len();
    let counted: usize = counts.iter().map(|entry| entry.details["count"].parse::<usize>().unwrap()).sum();
    // A minute may have ended in between; one that had a single refusal has no count.
    let singles = single - counts.len();
    assert_eq!(counted + singles, 90, "{counts:?}");
}
