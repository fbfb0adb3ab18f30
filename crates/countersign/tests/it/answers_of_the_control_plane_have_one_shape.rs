//! Proves that whatever goes wrong is answered in one shape, names what was wrong with the request,
//! and tells nothing about the inside. The shape itself is checked on every answer by the harness.

use countersign_authority::refusals::Outcome;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::in_process::{Answer, Call, Document, OWN, Operation, Plane};

const METHODS: [Method; 6] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Asks whoever serves the operation, with credentials that open it.
async fn ask(plane: &Plane, operation: &Operation, token: &str, agent: &str, call: Call) -> Answer {
    let call = Call { path: call.path.replace("{id}", agent).replace("{file}", "x"), ..call };
    if operation.is_behind_door() {
        plane.through_door(call.bearer(token)).await
    } else {
        plane.admin(call.bearer(&plane.owner)).await
    }
}

/// Sends a body to every operation that takes one. Those for edges refuse everybody else before they read
/// it: the tests that run edges are about them.
async fn send_everywhere(body: &[u8], mut check: impl FnMut(&Operation, Answer)) {
    let plane = Plane::start().await;
    let device = plane.device(OWN).await;
    let operations = Document::generated().operations();
    for operation in operations.iter().filter(|operation| operation.takes_body() && !operation.is_for_edges())
    {
        let call = Call::new(operation.method.clone(), operation.path.clone()).body(body.to_vec());
        let target = if operation.path.contains("/org/") {
            OWN
        } else if operation.path.contains("/certificates/") {
            &device.certificate
        } else if operation.tag() == "agents" {
            &device.agent
        } else {
            &device.id
        };
        check(operation, ask(&plane, operation, &device.token, target, call).await);
    }
}

#[tokio::test]
async fn a_body_over_a_mebibyte_is_too_large() {
    let body = format!("{{\"reason\": \"{}\"}}", "x".repeat(2 << 20));
    send_everywhere(body.as_bytes(), |operation, answer| {
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{} {answer:?}", operation.id);
        assert_eq!(answer.code(), "BODY_TOO_LARGE");
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let deep = "[".repeat(200_000);
    for body in ["{", "[]", "null", "\"text\"", "{\"a\": 1} x", "\u{feff}{}", &deep] {
        send_everywhere(body.as_bytes(), |operation, answer| {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{} {answer:?}", operation.id);
            assert_eq!(answer.code(), "INVALID_JSON");
        })
        .await;
    }
}

#[tokio::test]
async fn unknown_fields_are_refused_from_people_and_ignored_from_agents() {
    send_everywhere(b"{\"surprise\": true}", |operation, answer| {
        if operation.tag() == "agents" {
            let named = answer.status == StatusCode::BAD_REQUEST
                && answer.bad_fields().contains(&"surprise".to_owned());
            assert!(!named, "{} {answer:?}", operation.id);
        } else {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{} {answer:?}", operation.id);
            assert_eq!(answer.code(), "INVALID_REQUEST");
            let fields = answer.bad_fields();
            assert!(fields.contains(&"surprise".to_owned()), "{} {fields:?}", operation.id);
        }
    })
    .await;
}

/// A request with every field wrong that can be, and the fields that the answer must name.
async fn assert_bad(plane: &Plane, call: Call, fields: &[&str]) {
    let answer = plane.admin(call.clone().bearer(&plane.owner)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{call:?} {answer:?}");
    assert_eq!(answer.bad_fields(), fields, "{call:?} {answer:?}");
}

#[tokio::test]
async fn every_bad_field_of_a_body_is_named() {
    let plane = Plane::start().await;
    let device = plane.device(OWN).await;
    let (owner_of, certificate) = (&device.id, &device.certificate);
    let settings = Call::new(Method::PATCH, "/api/v1/agents/org/acme/settings/mtls");
    for (call, fields) in [
        (Call::post("/api/v1/setup", &json!({})), &["email", "password", "token"][..]),
        (
            Call::post("/api/v1/setup", &json!({ "token": "t", "email": "a b@c", "password": "short" })),
            &["email", "password"],
        ),
        (Call::post("/api/v1/auth/login", &json!({ "email": 1 })), &["email", "password"]),
        (Call::post("/api/v1/tenants", &json!({ "slug": "Big", "name": "" })), &["name", "slug"]),
        (Call::post("/api/v1/tenants", &json!({ "name": "no slug" })), &["slug"]),
        (
            Call::post(
                "/api/v1/enrollment-keys",
                &json!({
                    "maxUses": 0, "expiresInMinutes": 1e9, "requireApproval": "yes", "deviceId": "x",
                    "spkiSha256": "ab", "networks": ["300.1.2.3/8"], "deviceNamePattern": "", "site": 7,
                }),
            ),
            &[
                "deviceId",
                "deviceNamePattern",
                "expiresInMinutes",
                "maxUses",
                "networks",
                "requireApproval",
                "site",
                "spkiSha256",
            ],
        ),
        (Call::post("/api/v1/enrollment-keys", &json!({ "tenant": "nobody" })), &["tenant"]),
        (Call::post("/api/v1/enrollment-keys", &json!({ "tenant": OWN, "site": "nowhere" })), &["site"]),
        (
            Call::post("/api/v1/enrollment-keys", &json!({ "tenant": "default", "deviceId": device.id })),
            &["deviceId"],
        ),
        (
            settings.clone().json(&every_setting_wrong()),
            &[
                "allowBearerOnlyRenewal",
                "allowServerGeneratedKeys",
                "certLifetimeDays",
                "enforcement",
                "expiredCertPolicy",
                "recoveryWindowDays",
                "renewalOverlapHours",
            ],
        ),
        (Call::new(Method::PATCH, format!("/api/v1/devices/{owner_of}")).json(&json!({})), &["maintenance"]),
        (Call::post(format!("/api/v1/devices/{owner_of}/quarantine"), &json!({})), &["reason"]),
        (Call::post(format!("/api/v1/devices/{owner_of}/quarantine"), &json!({ "reason": "" })), &["reason"]),
        (
            Call::post(format!("/api/v1/certificates/{certificate}/revoke"), &json!({ "reason": "fun" })),
            &["reason"],
        ),
    ] {
        assert_bad(&plane, call, fields).await;
    }
}

fn every_setting_wrong() -> Value {
    json!({
        "certLifetimeDays": 366, "expiredCertPolicy": "ignore", "enforcement": "on",
        "allowServerGeneratedKeys": 1, "allowBearerOnlyRenewal": "no", "renewalOverlapHours": 721,
        "recoveryWindowDays": 0,
    })
}

#[tokio::test]
async fn every_bad_field_of_an_agents_body_is_named() {
    let plane = Plane::start().await;
    let device = plane.device(OWN).await;
    for (call, fields) in [
        (
            Call::post("/api/v1/agents/enroll", &json!({ "osType": "plan9", "csr": 1, "deviceName": "-x" })),
            &["csr", "deviceName", "enrollmentKey", "hostname", "osType"][..],
        ),
        (
            Call::post("/api/v1/agents/renew-cert", &json!({ "protocolVersion": 3, "proof": {} })),
            &["csr", "proof", "protocolVersion"],
        ),
        (
            Call::post("/api/v1/agents/renew-cert/confirm", &json!({ "proof": "x" })),
            &["certificateId", "proof"],
        ),
    ] {
        let answer = plane.through_door(call.bearer(&device.token)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
        assert_eq!(answer.bad_fields(), fields, "{answer:?}");
    }
}

#[tokio::test]
async fn a_heartbeat_never_fails_over_an_optional_field() {
    let plane = Plane::start().await;
    let device = plane.device(OWN).await;
    let path = format!("/api/v1/agents/{}/heartbeat", device.agent);
    for body in [
        json!({ "status": 7, "agentVersion": ["x"], "metrics": "none", "ipAddresses": 1, "trustBundle": {} }),
        json!({ "agentVersion": "x\u{0}y" }),
        json!({}),
    ] {
        let answer = plane.through_door(Call::post(&path, &body).bearer(&device.token)).await;
        assert_eq!(answer.status, StatusCode::OK, "{body} {answer:?}");
    }
}

#[tokio::test]
async fn every_bad_field_of_a_query_is_named_and_an_empty_one_is_none() {
    let plane = Plane::start().await;
    for (path, fields) in [
        (
            "/api/v1/devices?status=asleep&limit=0&cursor=here&colour=red",
            &["colour", "cursor", "limit", "status"][..],
        ),
        ("/api/v1/devices?limit=501", &["limit"]),
        ("/api/v1/devices?limit=1&limit=2", &["limit"]),
        ("/api/v1/certificates?state=gone&limit=x&cursor=1", &["cursor", "limit", "state"]),
        ("/api/v1/enrollment-keys?tennant=acme", &["tennant"]),
        (
            "/api/v1/audit?event=x&deviceId=1&certificateId=1&requestId=1&from=now&to=then&limit=-1&cursor=a",
            &["certificateId", "cursor", "deviceId", "event", "from", "limit", "requestId", "to"],
        ),
    ] {
        assert_bad(&plane, Call::get(path), fields).await;
    }
    for path in ["/api/v1/devices?q=&status=&tenant=&limit=&cursor=", "/api/v1/audit?tenant=acme&limit=500"] {
        plane.as_owner(Call::get(path)).await;
    }
    let unknown = plane.admin(Call::get("/api/v1/devices?tenant=nobody").bearer(&plane.owner)).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_not_there_is_answered_as_json() {
    let plane = Plane::start_empty().await;
    for path in [
        "/nothing",
        "/consoles",
        "/api/v1",
        "/api/v1/",
        "/api/v1/devices/",
        "/api/v2/devices",
        "/%ff",
        "/setup/",
    ] {
        assert_eq!(plane.admin(Call::get(path)).await.code(), "NOT_FOUND", "{path}");
        assert_eq!(plane.through_door(Call::get(path)).await.code(), "NOT_FOUND", "{path}");
        assert_eq!(plane.past_door(Call::get(path)).await.code(), "NOT_FOUND", "{path}");
    }
}

#[tokio::test]
async fn an_id_that_cannot_be_one_names_nothing() {
    let plane = Plane::start().await;
    let unknown = "00000000-0000-4000-8000-000000000000";
    for id in ["%ff", "x", "..", "1'%20OR%201=1", unknown] {
        for path in ["devices", "certificates"] {
            let call = Call::get(format!("/api/v1/{path}/{id}")).bearer(&plane.owner);
            assert_eq!(plane.admin(call).await.code(), "NOT_FOUND", "{path} {id}");
        }
        let settings = format!("/api/v1/agents/org/{id}/settings/mtls");
        assert_eq!(plane.admin(Call::get(settings).bearer(&plane.owner)).await.code(), "NOT_FOUND", "{id}");
        for file in [format!("ca/{id}"), format!("ca/{id}.pem"), format!("crl/{id}.crl")] {
            assert_eq!(plane.admin(Call::get(format!("/pki/{file}"))).await.code(), "NOT_FOUND", "{file}");
        }
    }
}

#[tokio::test]
async fn a_method_that_a_route_does_not_take_is_answered_as_json() {
    let plane = Plane::start_empty().await;
    let operations = Document::generated().operations();
    for operation in &operations {
        let taken = |method: &Method| {
            let same = operations.iter().filter(|other| other.path == operation.path);
            same.into_iter().any(|other| other.method == *method)
        };
        for method in METHODS.iter().filter(|method| !taken(method)) {
            let call = Call::new(method.clone(), operation.path.replace(['{', '}'], ""));
            let answer = if operation.is_behind_door() {
                plane.through_door(call).await
            } else {
                plane.admin(call).await
            };
            assert_eq!(answer.code(), "METHOD_NOT_ALLOWED", "{method} {}", operation.path);
            let allow = answer.header(&header::ALLOW);
            assert!(allow.contains(operation.method.as_str()), "{method} {}: {answer:?}", operation.path);
        }
    }
}

#[tokio::test]
async fn a_failure_on_our_side_says_nothing_about_the_inside() {
    let plane = Plane::start().await;
    let device = plane.device(OWN).await;
    plane.authority.close().await.unwrap();
    let heartbeat = format!("/api/v1/agents/{}/heartbeat", device.agent);
    for answer in [
        plane.admin(Call::get("/api/v1/devices").bearer(&plane.owner)).await,
        plane.admin(Call::get("/setup")).await,
        plane.admin(Call::post("/api/v1/auth/login", &json!({ "email": "a@b", "password": "x" }))).await,
        plane.through_door(Call::post(heartbeat, &json!({})).bearer(&device.token)).await,
    ] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        assert_eq!(answer.headers[header::RETRY_AFTER], "5", "{answer:?}");
        let body = answer.json();
        assert_eq!(body["error"], "The store does not answer; retry later");
        assert_eq!(body["code"], "NOT_READY");
        assert_eq!(body.as_object().unwrap().len(), 3, "{answer:?}");
        assert!(!answer.text.contains(plane.folder()), "{answer:?}");
    }
    let ready = plane.admin(Call::get("/health/ready")).await;
    assert_eq!((ready.status.as_u16(), ready.code()), (503, "NOT_READY".to_owned()));
    let health = plane.admin(Call::get("/health")).await.json();
    assert_eq!((&health["status"], &health["service"]), (&json!("healthy"), &json!("countersign")));
}

#[tokio::test]
async fn a_refusal_is_reported_under_its_request_id_and_another_failure_as_such() {
    let mut plane = Plane::start().await;
    while plane.refusals.try_recv().is_ok() {}
    let refused = plane.admin(Call::get("/api/v1/devices?secret=1").bearer("css_wrong")).await;
    let report = plane.refusals.try_recv().unwrap();
    assert_eq!(report.request.to_string(), refused.field("requestId"));
    assert_eq!(report.code, "UNAUTHORIZED");
    assert_eq!(report.facts["path"], "/api/v1/devices");
    assert_eq!(report.outcome, Outcome::Refused);
    let nothing = plane.admin(Call::get("/nothing")).await;
    let report = plane.refusals.try_recv().unwrap();
    assert_eq!(report.request.to_string(), nothing.field("requestId"));
    assert_eq!((report.code.as_str(), report.outcome), ("NOT_FOUND", Outcome::Failed));
    plane.as_owner(Call::get("/api/v1/devices")).await;
    assert!(plane.refusals.try_recv().is_err());
}
