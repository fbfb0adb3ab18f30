//! Proves that the seeds' rule expressions, pasted into the configuration as they stand, block and
//! let through at the door what they should.

use countersign_testkit::{Answer, Connection, KeyKind, TestKey};
use serde_json::json;

use crate::harness::{Device, Installation, Time, done, enrolment, until};
use crate::program::run;
use crate::upstream::Upstream;

/// From the setup guide, phase 5, rule 2.
const AGENT_ROUTES: &str = r#"
[[rule]]
name = "agents show a certificate"
expression = '''
(http.request.uri.path matches "^/api/v1/agents/[a-f0-9]+/"
 and not http.request.uri.path contains "/enroll"
 and not http.request.uri.path contains "/renew-cert"
 and not cf.tls_client_auth.cert_verified)
'''
"#;

/// From the API Shield guide.
const API: &str = r#"
[[rule]]
name = "Require mTLS for API endpoints"
expression = '(http.request.uri.path contains "/api/") and not cf.tls_client_auth.cert_verified'
"#;

async fn get(connection: &mut Connection, path: &str) -> Answer {
    connection.request("GET", path, &[], "").await.unwrap()
}

#[tokio::test]
async fn the_setup_guides_rule_blocks_agent_routes_without_a_certificate_and_no_others() {
    let installation = Installation::configured(AGENT_ROUTES, Time::Real).await;
    installation.admin().set(json!({ "enforcement": "off" })).await;
    // To enrol without a certificate is not blocked.
    let device = Device::enrol(&installation, "ruled").await;
    let mut without = installation.connect().await;
    let blocked = device.heartbeat(&mut without).await;
    assert_eq!((blocked.status, blocked.code().as_str()), (403, "RULE_BLOCKED"));
    assert_eq!(blocked.json()["requestId"], blocked.header("x-request-id"));
    let csr = TestKey::generate(KeyKind::P256).signing_request_pem("ruled");
    assert_eq!(device.renew(&mut without, &csr, None).await.code(), "PROOF_REQUIRED", "not blocked");
    assert_eq!(device.challenge(&mut without).await.status, 200);
    assert_eq!(get(&mut without, "/health").await.status, 200);
    let mut with = device.connect(&installation).await;
    assert_eq!(device.heartbeat(&mut with).await.status, 200);
    // The rule alone lets a revoked certificate through, which stays "verified": the floor does not.
    done(&installation.admin().quarantine(device.id, "lost").await);
    let mut with = device.connect(&installation).await;
    assert_eq!(device.heartbeat(&mut with).await.code(), "DEVICE_QUARANTINED");
}

#[tokio::test]
async fn the_api_shield_rule_blocks_every_api_path_without_a_certificate() {
    let upstream = Upstream::start().await;
    let installation = Installation::configured(&(upstream.routes() + API), Time::Real).await;
    let body = enrolment("any", "ruled", None);
    let mut without = installation.connect().await;
    let enrol = without.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await.unwrap();
    assert_eq!((enrol.status, enrol.code().as_str()), (403, "RULE_BLOCKED"), "as the rule says");
    for path in ["/open/api/orders", "/open/api/", "/open//%61pi/orders"] {
        assert_eq!(get(&mut without, path).await.code(), "RULE_BLOCKED", "{path}");
    }
    assert_eq!(upstream.received().len(), 0);
    for path in ["/open/orders", "/open/apix", "/open/x?q=/api/"] {
        assert_eq!(get(&mut without, path).await.status, 200, "{path}");
    }
    let lints = run(installation.folder(), &[], &["config", "check", "--config", "countersign.toml"]);
    assert_eq!(lints.code, 0, "{}", lints.stderr);
    assert!(lints.stderr.contains("cert_revoked"), "a doubt is said: {}", lints.stderr);
}

#[tokio::test]
async fn with_a_certificate_the_api_shield_rule_lets_through() {
    let upstream = Upstream::start().await;
    let mut installation = Installation::configured(&upstream.routes(), Time::Real).await;
    let device = Device::enrol(&installation, "shielded").await;
    assert!(installation.terminate().await.success());
    installation.reconfigure(&(upstream.routes() + API));
    installation.start_again().await;
    let mut with = device.connect(&installation).await;
    assert_eq!(get(&mut with, "/open/api/orders").await.status, 200);
    assert_eq!(device.heartbeat(&mut with).await.status, 200);
    assert_eq!(get(&mut installation.connect().await, "/open/api/orders").await.code(), "RULE_BLOCKED");
}

#[tokio::test]
async fn observed_rules_block_nothing_and_are_written_down() {
    let config = format!("[http_door]\nrules = \"observe\"\n{AGENT_ROUTES}");
    let installation = Installation::configured(&config, Time::Real).await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "off" })).await;
    let device = Device::enrol(&installation, "observed").await;
    let mut without = installation.connect().await;
    let answer = device.heartbeat(&mut without).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let entries = async || admin.audit("event=access.would_refuse").await;
    until("the observation is in the audit", async || !entries().await.is_empty()).await;
    let entries = entries().await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    let details = serde_json::to_value(&entries[0]).unwrap()["details"].clone();
    assert_eq!(details["code"], "RULE_BLOCKED");
    assert_eq!(details["rule"], "agents show a certificate");
    assert_eq!(details["requestId"], answer.header("x-request-id"));
    assert!(admin.audit("event=access.refused").await.is_empty());

    // The rollout report has the device, by its token here and by its certificate below.
    let listed = async || done(&admin.get("/rollout/blocked?code=RULE_BLOCKED").await);
    let report = listed().await;
    assert_eq!(report["devices"].as_array().unwrap().len(), 1, "{report}");
    let blocked = &report["devices"][0];
    assert_eq!(
        (&blocked["name"], &blocked["rule"]),
        (&json!("observed"), &json!("agents show a certificate"))
    );
    let rollout = done(&admin.get("/rollout").await);
    assert_eq!(rollout["tenants"][0]["wouldBeBlocked"]["last24h"]["RULE_BLOCKED"], 1, "{rollout}");
}

#[tokio::test]
async fn whom_observed_rules_would_block_at_an_upstream_is_listed_by_its_certificate() {
    let upstream = Upstream::start().await;
    let rule = "[[rule]]\nname = \"closed\"\nexpression = 'http.request.uri.path eq \"/open/closed\"'\n";
    let config = format!("[http_door]\nrules = \"observe\"\n{}{rule}", upstream.routes());
    let installation = Installation::configured(&config, Time::Real).await;
    let device = Device::enrol(&installation, "visitor").await;
    let mut with = device.connect(&installation).await;
    assert_eq!(get(&mut with, "/open/other").await.status, 200);
    assert_eq!(get(&mut with, "/open/closed").await.status, 200, "nothing is blocked");
    assert_eq!(get(&mut installation.connect().await, "/open/closed").await.status, 200, "nobody known");
    let admin = installation.admin();
    let listed = async || done(&admin.get("/rollout/blocked?code=RULE_BLOCKED").await);
    until("the device is listed", async || !listed().await["devices"].as_array().unwrap().is_empty()).await;
    let report = listed().await;
    let blocked: Vec<_> = report["devices"].as_array().unwrap().iter().map(|one| &one["rule"]).collect();
    assert_eq!(blocked, ["closed"], "{report}");
}

#[test]
fn a_wrong_expression_is_shown_with_its_code_and_its_place_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[[rule]]\nname = \"typo\"\nexpression = 'not cf.tls_client_auth.cert_verifed'\n";
    fs_err::write(folder.path().join("c.toml"), config).unwrap();
    let arguments = ["--config", "c.toml", "--listen-admin", "127.0.0.1:0", "--listen-http", "127.0.0.1:0"];
    let serve = run(folder.path(), &[], &[&["serve"], &arguments[..]].concat());
    let check = run(folder.path(), &[], &[&["config", "check"], &arguments[..]].concat());
    for ran in [&serve, &check] {
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        assert!(ran.stderr.contains("RULE_UNKNOWN_FIELD"), "{}", ran.stderr);
        assert!(ran.stderr.contains("cf.tls_client_auth.cert_verified"), "a suggestion: {}", ran.stderr);
        let lines: Vec<&str> = ran.stderr.lines().collect();
        let at = lines.iter().position(|line| line.trim_start().starts_with('^')).expect("a caret");
        let (shown, caret) = (lines[at - 1], lines[at]);
        assert_eq!(caret.find('^'), shown.find("cf.tls_client_auth"), "{}", ran.stderr);
    }
    assert_eq!(serve.stderr, check.stderr);
    assert!(!folder.path().join("countersign-data").exists(), "nothing was made");
}
