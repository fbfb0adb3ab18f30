//! Proves that the program's other commands work on the data of a real server, running or not.

use serde_json::{Value, json};

use crate::harness::{Device, Installation, done, eventually};

#[tokio::test]
async fn a_refused_request_can_be_explained_while_the_server_runs_and_after() {
    let mut installation = Installation::start().await;
    installation.admin().set(json!({ "enforcement": "enforce" })).await;
    let device = Device::enrol(&installation, "ws-01").await;
    let refused = device.heartbeat(&mut installation.connect().await).await;
    let id = refused.json()["requestId"].as_str().unwrap().to_owned();
    assert_eq!(refused.header("x-request-id"), id);

    let patience = std::time::Duration::from_secs(10);
    let text = eventually(patience, "it is written down", async || {
        let ran = installation.run(&["explain", &id]);
        (ran.code == 0).then_some(ran.stdout)
    })
    .await;
    assert!(text.contains("MTLS_REQUIRED: no certificate was shown, and one is needed"), "{text}");
    assert!(text.contains("127.0.0.1"), "{text}");
    assert!(installation.terminate().await.success());
    let ran = installation.run(&["explain", "--json", &id]);
    let explained: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&explained["requestId"], &explained["code"]), (&json!(id), &json!("MTLS_REQUIRED")));
    assert_eq!(installation.run(&["explain", "00000000-0000-4000-8000-000000000000"]).code, 3);
}

#[tokio::test]
async fn health_the_audit_log_and_the_database_are_in_order_after_a_devices_whole_life() {
    let mut installation = Installation::start().await;
    let admin = installation.admin();
    let device = Device::enrol(&installation, "ws-01").await;
    done(&admin.quarantine(device.id, "lost").await);
    done(&admin.approve(device.id).await);
    done(&admin.deny(device.id).await);
    let healthy = installation.run(&["healthcheck", "--ports-file", "ports.json"]);
    assert_eq!((healthy.code, healthy.stdout.as_str()), (0, "ready\n"), "{}", healthy.stderr);

    let events: Vec<String> =
        admin.audit("tenant=default").await.into_iter().rev().map(|entry| entry.event).collect();
    let expected = [
        "enrollment_key.created",
        "certificate.intended",
        "device.enrolled",
        "certificate.issued",
        "device.quarantined",
        "device.approved",
        "certificate.revoked",
        "device.denied",
    ];
    let told: Vec<&str> =
        events.iter().map(String::as_str).filter(|event| expected.contains(event)).collect();
    assert_eq!(told, expected, "{events:?}");

    assert!(installation.terminate().await.success());
    assert_eq!(installation.run(&["healthcheck", "--ports-file", "ports.json"]).code, 1);
    let verified = installation.run(&["audit", "verify", "--json"]);
    let report: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!((verified.code, &report["intact"]), (0, &json!(true)), "{report}");
    let migrated = installation.run(&["migrate"]);
    assert!(migrated.stdout.starts_with("The database is up to date (version "), "{}", migrated.stdout);
}
