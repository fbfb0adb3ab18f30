//! Proves that `[access_log]` writes a line for each request, and that SIGHUP opens the file anew.

use rustix::process::Signal;

use crate::harness::{Edge, Installation, Time, until};

#[tokio::test]
async fn as_logrotate_needs_it() {
    let config = "[access_log]\nfile = \"access.log\"\n[http_door]\nrate_limit_per_ip = \"3/h\"\n";
    let installation = Installation::configured(config, Time::Real).await;
    let folder = installation.edge().map_or_else(|| installation.folder(), Edge::folder);
    let (log, moved) = (folder.join("access.log"), folder.join("access.log.1"));
    let mut connection = installation.connect().await;
    let read = |path| fs_err::read_to_string(path).unwrap_or_default();
    assert_eq!(connection.json("GET", "/health?secret", None, None).await.unwrap().status, 200);
    until("the first line is there", async || read(&log).ends_with('\n')).await;
    fs_err::rename(&log, &moved).unwrap();
    match installation.edge() {
        Some(edge) => edge.signal(Signal::HUP),
        None => installation.signal(Signal::HUP),
    }
    until("the file is there again", async || log.exists()).await;
    let answers = [200, 200, 429];
    for status in answers {
        assert_eq!(connection.json("GET", "/health", None, None).await.unwrap().status, status);
    }
    until("three more lines are there", async || read(&log).lines().count() == answers.len()).await;
    assert_eq!(read(&moved).lines().count(), 1);
    assert!(!read(&moved).contains("secret"));
    let last: serde_json::Value = serde_json::from_str(read(&log).lines().last().unwrap()).unwrap();
    assert_eq!((&last["code"], &last["status"]), (&"RATE_LIMITED".into(), &429.into()));
}
