//! Proves that the metrics of a running server say what happened, to tokens that may read them alone; that
//! they name nobody; and that the dashboard and the rules of deploy/ ask for what there is.

use std::collections::BTreeSet;

use countersign_testkit::vacant_address;
use serde_json::{Value, json};

use crate::harness::{Device, Installation, Time, done, eventually};
use crate::program::repository;

/// The value of a sample by its name and labels; labels are in order.
fn value(text: &str, sample: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

/// The names of the families that a text describes.
fn families(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|rest| rest.split(' ').next().unwrap().to_owned()).collect()
}

/// The metrics of ours that a text asks for.
fn asked_for(text: &str) -> BTreeSet<String> {
    let names = regex::Regex::new("countersign_[a-z_]+").unwrap();
    let families = names.find_iter(text).map(|found| {
        let name = found.as_str();
        ["_total", "_bucket"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    });
    families.collect()
}

#[tokio::test]
async fn what_happened_is_counted_and_names_nobody() {
    let address = vacant_address();
    let config = format!("[metrics]\nlisten = \"{address}\"\n");
    let installation = Installation::configured(&config, Time::Real).await;
    let admin = installation.admin();
    let device = Device::enrol(&installation, "ws-01").await;
    admin.set(json!({ "enforcement": "enforce" })).await;
    assert_eq!(device.heartbeat(&mut installation.connect().await).await.status, 403);
    assert_eq!(device.heartbeat(&mut device.connect(&installation).await).await.status, 200);
    let (name, url) = ("countersign_requests_total", format!("http://{address}/metrics"));
    let within = std::time::Duration::from_secs(60);
    let text = eventually(within, "the listener of its own has them", async || {
        let output = std::process::Command::new("curl").args(["-sS", "--fail", &url]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.success() && text.contains("countersign_devices{")).then_some(text)
    })
    .await;
    let agent = |status| format!("{name}{{door=\"http\",kind=\"http\",route=\"agent\",status=\"{status}\"}}");
    assert_eq!(value(&text, &agent("2xx")), Some(1.0), "{text}");
    assert_eq!(value(&text, &agent("4xx")), Some(1.0), "{text}");
    assert_eq!(
        value(&text, &format!("{name}{{door=\"http\",kind=\"http\",route=\"enroll\",status=\"2xx\"}}")),
        Some(1.0)
    );
    assert_eq!(value(&text, "countersign_audit_events_total{event=\"device.enrolled\"}"), Some(1.0));
    assert_eq!(value(&text, "countersign_certificates{state=\"active\"}"), Some(1.0));
    assert!(value(&text, "countersign_ca_expires_seconds{ca=\"device\"}").unwrap() > 86_400.0);
    assert!(value(&text, "countersign_crl_due_seconds{ca=\"device\"}").unwrap() > 0.0);
    assert!(value(&text, "countersign_database_commit_seconds_count").unwrap() > 3.0);
    assert!(value(&text, "countersign_handshakes_total{door=\"http\",kind=\"http\"}").unwrap() >= 3.0);
    let serial = device.certificate().serial_number.to_string();
    for secret in ["ws-01", &device.token, &device.id.to_string(), &serial, "127.0.0.1"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.ends_with("# EOF\n"));
    files_of_deploy_ask_for_what_there_is(&families(&text));
}

fn files_of_deploy_ask_for_what_there_is(there_is: &BTreeSet<String>) {
    let folder = repository().join("deploy/prometheus");
    let dashboard = fs_err::read_to_string(folder.join("grafana-dashboard.json")).unwrap();
    let parsed: Value = serde_json::from_str(&dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() > 10);
    let rules = fs_err::read_to_string(folder.join("countersign.rules.yml")).unwrap();
    let parsed: Value = serde_norway::from_str(&rules).unwrap();
    for rule in parsed["groups"][0]["rules"].as_array().unwrap() {
        assert!(rule["alert"].is_string() && rule["annotations"]["summary"].is_string(), "{rule}");
    }
    let guide = fs_err::read_to_string(repository().join("docs/guides/metrics.md")).unwrap();
    for (file, text) in [("dashboard", &dashboard), ("rules", &rules), ("guide", &guide)] {
        let asked = asked_for(text);
        assert!(!asked.is_empty());
        let unknown: Vec<_> = asked.difference(there_is).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
    let untold: Vec<_> = there_is.difference(&asked_for(&guide)).cloned().collect();
    assert!(untold.is_empty(), "not in the guide: {untold:?}");
}

#[tokio::test]
async fn a_token_needs_the_scope_and_a_door_has_no_metrics() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let token = |scope: &str| {
        let body = json!({ "name": scope, "scopes": [scope], "expiresInDays": 1 });
        let admin = installation.admin();
        async move { done(&admin.post("/api-tokens", &body).await)["token"].as_str().unwrap().to_owned() }
    };
    let get = |token: String| {
        let url = format!("http://{}/metrics", installation.admin_address());
        let header = format!("authorization: Bearer {token}");
        let arguments = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", &header, &url];
        let output = std::process::Command::new("curl").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(get(token("metrics:read").await), "200");
    assert_eq!(get(token("devices:read").await), "403");
    assert_eq!(get(String::new()), "401");
    assert_eq!(get(admin.token().to_owned()), "200");
    let at_a_door = installation.connect().await.json("GET", "/metrics", None, None).await.unwrap();
    assert_eq!(at_a_door.status, 404);
}
