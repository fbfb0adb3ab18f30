//! Proves that an installation lives on PostgreSQL as on SQLite, and moves there with everything it has.

use countersign_testkit::PostgresServer;
use serde_json::{Value, json};

use crate::harness::{Device, Installation, Time, done};

fn on(url: &str) -> String {
    format!("database_url = \"{url}\"\n")
}

#[tokio::test]
async fn a_device_and_its_certificates_move_from_sqlite() {
    let mut installation = Installation::start().await;
    installation.admin().set(json!({ "enforcement": "enforce" })).await;
    let (kept, revoked) =
        (Device::enrol(&installation, "kept").await, Device::enrol(&installation, "revoked").await);
    let certificate = installation.admin().active(revoked.id).await.unwrap().id;
    done(&installation.admin().revoke(certificate, "keyCompromise").await);
    let url = PostgresServer::shared().create_database();
    let copy = ["store", "copy", "--from", "sqlite:data/countersign.db", "--to", &url, "--json"];

    let running = installation.run(&copy);
    assert_eq!(running.code, 1);
    assert!(running.stderr.contains("open in another process"), "{}", running.stderr);
    assert!(installation.terminate().await.success());
    let ran = installation.run(&copy);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let rows = |name: &str| {
        let tables = report["tables"].as_array().unwrap();
        tables.iter().find(|table| table["name"] == name).unwrap()["rows"].as_u64().unwrap()
    };
    assert_eq!((rows("devices"), rows("issued_certificates"), rows("issuers")), (2, 2, 3));
    assert!(ran.stderr.contains("copying devices: "), "how far it is goes to stderr: {}", ran.stderr);
    let again = installation.run(&copy);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("the target is not empty"), "{}", again.stderr);

    installation.reconfigure(&on(&url));
    installation.start_again().await;
    let answer = kept.heartbeat(&mut kept.connect(&installation).await).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = revoked.heartbeat(&mut revoked.connect(&installation).await).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let fresh = Device::enrol(&installation, "fresh").await;
    assert_eq!(installation.admin().devices().await.len(), 3);
    done(&installation.admin().deny(fresh.id).await);
    assert!(installation.terminate().await.success());
    let verified = installation.run(&["audit", "verify"]);
    assert_eq!(verified.code, 0, "{}", verified.stderr);
}

#[tokio::test]
async fn a_first_start_on_postgresql_makes_everything_and_migrate_then_nothing() {
    let url = PostgresServer::shared().create_database();
    let mut installation = Installation::configured(&on(&url), Time::Real).await;
    let device = Device::enrol(&installation, "ws-01").await;
    let answer = device.heartbeat(&mut device.connect(&installation).await).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!installation.data().join("countersign.db").exists());
    let migrated = installation.run(&["migrate", "--config", "countersign.toml"]);
    assert_eq!(migrated.code, 0, "{}", migrated.stderr);
    assert!(migrated.stdout.contains("up to date"), "{}", migrated.stdout);

    let query = format!("SELECT status FROM device_certificates WHERE device_id = '{}'", device.name);
    assert_eq!(PostgresServer::shared().query(&url, &query), "ACTIVE");
    assert!(installation.terminate().await.success());
}

#[tokio::test]
async fn a_password_is_not_shown_when_the_url_is_wrong() {
    let installation = Installation::unstarted("", Time::Real);
    for arguments in [
        ["store", "copy", "--from", "sqlite:a.db", "--to", "postgres://u:s3cret@h/d?bogus=1"],
        ["store", "copy", "--from", "postgres://u:s3cret@h/d", "--to", "postgres://u:s3cret@h/d"],
    ] {
        let ran = installation.run(&arguments);
        assert_ne!(ran.code, 0);
        assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    }
}
