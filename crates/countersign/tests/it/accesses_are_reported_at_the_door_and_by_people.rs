//! Proves that seed 003's audit route takes reports from devices by their certificate and from people by
//! their session, keeps them as the word of whoever proved to be there, and refuses everybody else.

use serde_json::{Value, json};

use crate::harness::{Device, done};

fn report() -> Value {
    json!({ "timestamp": "2026-02-11T10:00:00Z", "action": "read", "dataType": "tickets",
        "userId": "user:the-boss", "certificateUsed": true, "additionalData": { "rows": 3 } })
}

#[tokio::test]
async fn a_device_reports_by_its_certificate_and_nobody_without_one() {
    let installation = super::start().await;
    let device = Device::enrol(&installation, "ws-01").await;
    let mut own = device.connect(&installation).await;
    let answer = own.json("POST", "/api/audit", None, Some(&report())).await.unwrap();
    assert_eq!(done(&answer)["success"], true);
    let recent = done(&own.json("GET", "/api/audit/recent", None, None).await.unwrap());
    let [only] = recent.as_array().unwrap().as_slice() else { panic!("{recent}") };
    assert!(only["reportedBy"].as_str().unwrap().ends_with("/device/ws-01"), "{only}");
    assert_eq!((&only["userId"], &only["additionalData"]["rows"]), (&json!("user:the-boss"), &json!(3)));
    let none = own.json("GET", "/api/audit/recent?hours=1&user_id=somebody", None, None).await.unwrap();
    assert_eq!(done(&none), json!([]));

    let mut nobody = installation.connect().await;
    for token in [None, Some(installation.admin().token().to_owned())] {
        let answer = nobody.json("POST", "/api/audit", token.as_deref(), Some(&report())).await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (403, "MTLS_REQUIRED"), "{}", answer.text());
    }
    done(&installation.admin().quarantine(device.id, "lost").await);
    let mut fallen = device.connect(&installation).await;
    let answer = fallen.json("POST", "/api/audit", None, Some(&report())).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "DEVICE_QUARANTINED"), "{}", answer.text());
    let entries = installation.admin().audit("event=audit.reported").await;
    assert_eq!((entries.len(), entries[0].actor.clone()), (1, format!("device:{}", device.id)));
}

#[tokio::test]
async fn a_person_reports_by_session_and_bad_reports_name_their_fields() {
    let installation = super::start().await;
    let mut admin = countersign_testkit::Connection::plain(installation.admin_address()).await.unwrap();
    let token = installation.admin().token().to_owned();
    let answer = admin.json("POST", "/api/audit", Some(&token), Some(&report())).await.unwrap();
    assert_eq!(done(&answer)["success"], true);
    let bad = json!({ "timestamp": "yesterday", "action": "", "additionalData": [1], "typo": 1 });
    let answer = admin.json("POST", "/api/audit", Some(&token), Some(&bad)).await.unwrap();
    assert_eq!(answer.status, 400, "{}", answer.text());
    let fields = answer.json()["fields"].as_object().unwrap().clone();
    let named: Vec<&str> = fields.keys().map(String::as_str).collect();
    let expected = ["action", "additionalData", "certificateUsed", "dataType", "timestamp", "typo", "userId"];
    assert_eq!(named, expected);
    let nobody = admin.json("POST", "/api/audit", None, Some(&report())).await.unwrap();
    assert_eq!(nobody.status, 401);
    let recent = admin.json("GET", "/api/audit/recent?hours=0", Some(&token), None).await.unwrap();
    assert_eq!(recent.status, 400);
}
