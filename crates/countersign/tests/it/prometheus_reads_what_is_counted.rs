//! Proves that the metrics of a running server say what happened, to tokens that may read them alone; that
//! they name nobody; that the dashboard and the rules of deploy/ ask for what there is; and that Prometheus itself
//! takes all of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use countersign_testkit::vacant_address;
use serde_json::{Value, json};

use crate::harness::{Device, Installation, Running, Time, done, eventually, until};
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
        let output = Command::new("curl").args(["-sS", "--fail", &url]).output().unwrap();
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

fn deployed(name: &str) -> PathBuf {
    repository().join("deploy/prometheus").join(name)
}

fn files_of_deploy_ask_for_what_there_is(there_is: &BTreeSet<String>) {
    let dashboard = fs_err::read_to_string(deployed("grafana-dashboard.json")).unwrap();
    let parsed: Value = serde_json::from_str(&dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() > 10);
    let rules = fs_err::read_to_string(deployed("countersign.rules.yml")).unwrap();
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
        let output = Command::new("curl").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(get(token("metrics:read").await), "200");
    assert_eq!(get(token("devices:read").await), "403");
    assert_eq!(get(String::new()), "401");
    assert_eq!(get(admin.token().to_owned()), "200");
    let at_a_door = installation.connect().await.json("GET", "/metrics", None, None).await.unwrap();
    assert_eq!(at_a_door.status, 404);
}

#[test]
fn every_alert_fires_when_it_is_time_and_not_where_all_is_well() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prometheus/rules.test.yml");
    let ran = Command::new("promtool").args(["test", "rules"]).arg(&tests).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let (rules, tests) = (
        fs_err::read_to_string(deployed("countersign.rules.yml")).unwrap(),
        fs_err::read_to_string(tests).unwrap(),
    );
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert_eq!(tests.matches(&format!("alertname: {alert}\n")).count(), 2, "{alert}");
    }
}

/// A Prometheus that scrapes an installation over both ways; gone with the value.
struct Prometheus {
    address: SocketAddr,
    _process: Running,
}

impl Prometheus {
    fn start(folder: &Path, open: SocketAddr, (admin, token): (SocketAddr, &str)) -> Self {
        let (config, address) = (folder.join("prometheus.yml"), vacant_address());
        fs_err::write(folder.join("prometheus.token"), token).unwrap();
        let text = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [deployed("countersign.rules.yml")],
            "scrape_configs": [
                { "job_name": "countersign", "static_configs": [{ "targets": [open] }] },
                {
                    "job_name": "with-token",
                    "authorization": { "credentials_file": "prometheus.token" },
                    "static_configs": [{ "targets": [admin] }],
                },
            ],
        });
        fs_err::write(&config, text.to_string()).unwrap();
        let log = fs_err::File::create(folder.join("prometheus.log")).unwrap().into_file();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()));
        command.arg(format!("--web.listen-address={address}")).stderr(log);
        Self { address, _process: Running::start(&mut command) }
    }

    /// What it finds for an expression; `None`: it does not answer yet, or does not take it.
    fn finds(&self, expression: &str) -> Option<Vec<Value>> {
        let (query, url) = (format!("query={expression}"), format!("http://{}/api/v1/query", self.address));
        let arguments = ["-sS", "--fail", "--get", "--data-urlencode", &query, &url];
        let output = Command::new("curl").args(arguments).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        answer["data"]["result"].as_array().cloned()
    }
}

/// The expressions of a dashboard.
fn expressions(part: &Value, found: &mut Vec<String>) {
    match part {
        Value::Object(members) => {
            found.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|part| expressions(part, found));
        }
        Value::Array(parts) => parts.iter().for_each(|part| expressions(part, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn a_prometheus_scrapes_both_ways_and_answers_what_the_dashboard_asks() {
    let open = vacant_address();
    let config = format!("[metrics]\nlisten = \"{open}\"\n");
    let mut installation = Installation::configured(&config, Time::Real).await;
    let token = json!({ "name": "prometheus", "scopes": ["metrics:read"], "expiresInDays": 1 });
    let token = done(&installation.admin().post("/api-tokens", &token).await);
    let with_token = (installation.admin_address(), token["token"].as_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(folder.path(), open, with_token);
    let has = |expression: &str| prometheus.finds(expression).is_some_and(|found| !found.is_empty());
    for job in ["countersign", "with-token"] {
        until("it is scraped", async || has(&format!("up{{job=\"{job}\"}} == 1"))).await;
    }
    until("counters have their names", async || has("countersign_audit_events_total")).await;

    let dashboard = fs_err::read(deployed("grafana-dashboard.json")).unwrap();
    let mut asked = Vec::new();
    expressions(&serde_json::from_slice(&dashboard).unwrap(), &mut asked);
    assert!(asked.len() > 15);
    for expression in asked {
        assert!(prometheus.finds(&expression).is_some(), "{expression}");
    }

    installation.kill().await;
    until("it is missed", async || has("ALERTS{alertname=\"CountersignDown\"}")).await;
}
