//! Proves that settings, suspended tenants and revoked enrolment keys do what they say, once, and are
//! written down.

use http::{Method, header};
use serde_json::{Value, json};

use crate::in_process::{ANOTHER, Answer, Call, Device, OWN, Plane};

const SETTINGS: &str = "/api/v1/agents/org/acme/settings/mtls";

async fn change(plane: &Plane, change: &Value, if_match: Option<&str>) -> Answer {
    let call = Call::new(Method::PATCH, SETTINGS).json(change).bearer(&plane.owner);
    plane
        .admin(match if_match {
            Some(tag) => call.header("if-match", tag),
            None => call,
        })
        .await
}

async fn settings(plane: &Plane) -> (Value, String) {
    let answer = plane.as_owner(Call::get(SETTINGS)).await;
    (answer.json(), answer.header(&header::ETAG).to_owned())
}

/// The newest entries of the tenant's audit with this event.
async fn audited(plane: &Plane, event: &str) -> Vec<Value> {
    let page = plane.as_owner(Call::get(format!("/api/v1/audit?tenant={OWN}&event={event}"))).await;
    page.json()["entries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_change_of_settings_changes_only_what_it_names() {
    let plane = Plane::start().await;
    let (before, _) = settings(&plane).await;
    let changed = change(&plane, &json!({ "certLifetimeDays": 30, "enforcement": "enforce" }), None).await;
    let mut expected = before;
    expected["certLifetimeDays"] = json!(30);
    expected["enforcement"] = json!("enforce");
    // Absent, it follows the lifetime.
    expected["recoveryWindowDays"] = json!(30);
    assert_eq!(changed.json(), expected);
    assert_eq!(settings(&plane).await.0, expected);
    let details = audited(&plane, "settings.changed").await[0]["details"].clone();
    assert_eq!(details, json!({ "certLifetimeDays": "90 -> 30", "enforcement": "observe -> enforce" }));
}

#[tokio::test]
async fn the_recovery_window_is_set_and_left_to_the_lifetime_again() {
    let plane = Plane::start().await;
    for (wanted, shown) in [(json!(7), 7), (Value::Null, 90), (json!(90), 90)] {
        let answer = change(&plane, &json!({ "recoveryWindowDays": wanted }), None).await;
        assert_eq!(answer.json()["recoveryWindowDays"], shown, "{wanted}");
    }
    // What looks the same and is not has another tag.
    let (_, fixed) = settings(&plane).await;
    change(&plane, &json!({ "recoveryWindowDays": null }), None).await;
    assert_ne!(settings(&plane).await.1, fixed);
}

#[tokio::test]
async fn a_change_of_settings_that_nobody_has_seen_is_refused() {
    let plane = Plane::start().await;
    let (_, seen) = settings(&plane).await;
    let first = change(&plane, &json!({ "certLifetimeDays": 30 }), Some(&seen)).await;
    assert_eq!(first.status, 200, "{first:?}");
    let (now, tag) = settings(&plane).await;
    assert_eq!(first.header(&header::ETAG), tag);
    for stale in [&*seen, "\"x\"", &format!("W/{tag}"), tag.trim_matches('"'), "", "\u{e9}"] {
        let answer = change(&plane, &json!({ "certLifetimeDays": 40 }), Some(stale)).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (412, "SETTINGS_CHANGED".to_owned()), "{stale}");
    }
    assert_eq!(settings(&plane).await.0, now);
    for fresh in [format!("{seen}, {tag}"), "*".to_owned()] {
        assert_eq!(change(&plane, &json!({}), Some(&fresh)).await.status, 200, "{fresh}");
    }
}

#[tokio::test]
async fn of_two_changes_of_what_both_have_seen_one_wins() {
    let plane = Plane::start().await;
    let (_, seen) = settings(&plane).await;
    let one = json!({ "certLifetimeDays": 30 });
    let other = json!({ "certLifetimeDays": 60 });
    let (one, other) = tokio::join!(change(&plane, &one, Some(&seen)), change(&plane, &other, Some(&seen)));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}

async fn heartbeat(plane: &Plane, device: &Device) -> Answer {
    let path = format!("/api/v1/agents/{}/heartbeat", device.agent);
    plane.through_door(Call::post(path, &json!({})).bearer(&device.token)).await
}

async fn set_service(plane: &Plane, verb: &str) -> Answer {
    let path = format!("/api/v1/tenants/{OWN}/{verb}");
    plane.admin(Call::new(Method::POST, path).bearer(&plane.owner)).await
}

#[tokio::test]
async fn a_suspended_tenant_is_served_nowhere_until_it_is_resumed() {
    let plane = Plane::start().await;
    let (own, other) = (plane.device(OWN).await, plane.device(ANOTHER).await);
    let key = new_key(&plane).await;
    assert_eq!(set_service(&plane, "resume").await.code(), "TENANT_STATE");
    assert_eq!(set_service(&plane, "suspend").await.json()["success"], true);
    assert_eq!(set_service(&plane, "suspend").await.code(), "TENANT_STATE");

    let refused = heartbeat(&plane, &own).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "TENANT_SUSPENDED".to_owned()));
    assert_eq!(heartbeat(&plane, &other).await.status, 200);
    assert_eq!(enrol(&plane, &key.field("key")).await.code(), "TENANT_SUSPENDED");
    let tenants = plane.as_owner(Call::get("/api/v1/tenants")).await.json();
    let shown = tenants["tenants"].as_array().unwrap().iter().find(|tenant| tenant["slug"] == OWN).unwrap();
    assert!(shown["suspendedAt"].is_string(), "{shown}");

    assert_eq!(set_service(&plane, "resume").await.status, 200);
    assert_eq!(heartbeat(&plane, &own).await.status, 200);
    assert_eq!(enrol(&plane, &key.field("key")).await.status, 201);
    for event in ["tenant.suspended", "tenant.resumed"] {
        assert_eq!(audited(&plane, event).await.len(), 1, "{event}");
    }
}

async fn new_key(plane: &Plane) -> Answer {
    plane.as_owner(Call::post("/api/v1/enrollment-keys", &json!({ "tenant": OWN }))).await
}

async fn enrol(plane: &Plane, key: &str) -> Answer {
    let body = json!({ "enrollmentKey": key, "hostname": "late", "osType": "linux" });
    plane.through_door(Call::post("/api/v1/agents/enroll", &body)).await
}

#[tokio::test]
async fn a_revoked_enrolment_key_enrols_nobody() {
    let plane = Plane::start().await;
    let key = new_key(&plane).await;
    let revoke = || {
        let path = format!("/api/v1/enrollment-keys/{}/revoke", key.field("id"));
        plane.admin(Call::new(Method::POST, path).bearer(&plane.owner))
    };
    let revoked = revoke().await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    assert!(revoked.json()["revokedAt"].is_string(), "{revoked:?}");
    assert_eq!(revoke().await.code(), "ALREADY_REVOKED");
    let refused = enrol(&plane, &key.field("key")).await;
    assert_eq!(refused.code(), "ENROLLMENT_KEY_REFUSED");
    assert_eq!(refused.field("reason"), "enrollment_key_revoked");
    assert_eq!(audited(&plane, "enrollment_key.revoked").await.len(), 1);
}

#[tokio::test]
async fn a_key_without_a_tenant_is_for_that_of_its_device_or_of_its_maker() {
    let plane = Plane::start().await;
    let device = plane.device(OWN).await;
    let operator = plane.people.token(countersign_store::Role::Operator, crate::in_process::Whose::Another);
    let keys = async |tenant: &str| {
        let list = plane.as_owner(Call::get(format!("/api/v1/enrollment-keys?tenant={tenant}"))).await;
        list.json()["enrollmentKeys"].as_array().unwrap().len()
    };
    let (own, another) = (keys(OWN).await, keys(ANOTHER).await);
    plane.as_owner(Call::post("/api/v1/enrollment-keys", &json!({ "deviceId": device.id }))).await;
    assert_eq!(keys(OWN).await, own + 1);
    let made = plane.admin(Call::post("/api/v1/enrollment-keys", &json!({})).bearer(operator)).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(keys(ANOTHER).await, another + 1);
    let foreign = json!({ "deviceId": device.id });
    let refused = plane.admin(Call::post("/api/v1/enrollment-keys", &foreign).bearer(operator)).await;
    assert_eq!(refused.status, 403, "{refused:?}");
}
