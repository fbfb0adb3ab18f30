//! Every request leaves one line in the access log, with what is needed and nothing secret.

use std::path::Path;

use countersign_edge::{AccessLog, AccessLogTarget, QueryStrings};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::site::{Plan, Site};

async fn logging(path: &Path, queries: QueryStrings) -> (Site, AccessLog) {
    let mut plan = Plan::usual().await;
    let log = AccessLog::open(AccessLogTarget::File(path.to_owned()), queries).unwrap();
    plan.config.access_log = Some(log.clone());
    (plan.open(), log)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_line_says_who_asked_for_what_and_what_became_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let (site, log) = logging(&path, QueryStrings::LeftOut).await;
    let device = site.device("d1");
    let answer = site.visitor(Some(&device)).get("/required/%61?token=secret").await;
    let refused = site.visitor(None).http2().await.get("/required/b").await.unwrap();
    site.visitor(None).get("/nowhere").await;
    log.close();
    let lines = lines(&path);
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        assert!(line["durationMs"].is_u64() && line["tls"]["version"].is_string(), "{line}");
        assert!(line.get("query").is_none() && line.get("aborted").is_none(), "{line}");
        assert!(!line.to_string().contains("secret"), "{line}");
    }
    assert_eq!(lines[0]["identity"], "spiffe://countersign.internal/tenant/acme/device/d1");
    assert_eq!(lines[0]["path"], "/required/a");
    assert_eq!(lines[0]["route"], "/required");
    assert_eq!(lines[0]["status"], 200);
    assert_eq!(lines[0]["bytes"], answer.body.len());
    assert_eq!(lines[0]["requestId"], answer.headers["x-request-id"].to_str().unwrap());
    assert_eq!((&lines[1]["code"], &lines[1]["status"]), (&"MTLS_REQUIRED".into(), &403.into()));
    assert_eq!(lines[1]["http"], "HTTP/2.0");
    assert_eq!(lines[1]["requestId"], refused.headers["x-request-id"].to_str().unwrap());
    assert_eq!(lines[2]["code"], "NOT_FOUND");
    assert!(lines[2].get("route").is_none() && lines[2].get("identity").is_none());
}

#[tokio::test]
async fn a_query_string_is_written_only_when_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let (site, log) = logging(&path, QueryStrings::Written).await;
    site.visitor(None).get("/open/x?a=b").await;
    log.close();
    assert_eq!(lines(&path)[0]["query"], "a=b");
}

#[tokio::test]
async fn a_log_that_was_moved_away_is_opened_anew_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let (site, log) = logging(&path, QueryStrings::LeftOut).await;
    let mut line = site.visitor(None).http1().await;
    line.get("/open/1").await.unwrap();
    std::fs::rename(&path, &moved).unwrap();
    log.reopen();
    line.get("/open/2").await.unwrap();
    log.close();
    assert_eq!(lines(&moved)[0]["path"], "/open/1");
    assert_eq!(lines(&path)[0]["path"], "/open/2");
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_written_as_aborted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let (site, log) = logging(&path, QueryStrings::LeftOut).await;
    let mut stream = site.visitor(None).stream().await;
    let begun = b"POST /open/echo HTTP/1.1\r\nHost: door.test\r\nContent-Length: 100\r\n\r\nhello";
    stream.write_all(begun).await.unwrap();
    assert_ne!(stream.read(&mut [0; 64]).await.unwrap(), 0, "the answer has begun");
    drop(stream);
    while std::fs::read_to_string(&path).unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    log.close();
    assert_eq!(lines(&path)[0]["aborted"], true);
}
