//! Proves that what concerns many devices is one call each: approvals, revocations by id and by query,
//! the report of a rollout and its way back, and what denials leave behind.

use countersign_store::Role;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::in_process::{ANOTHER, Answer, Call, Device, OWN, Plane, Whose};

async fn post(plane: &Plane, path: &str, body: &Value) -> Value {
    plane.as_owner(Call::post(format!("/api/v1{path}"), body)).await.json()
}

async fn refused(plane: &Plane, path: &str, body: &Value) -> Answer {
    let answer = plane.admin(Call::post(format!("/api/v1{path}"), body).bearer(&plane.owner)).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
    answer
}

async fn devices(plane: &Plane, count: usize) -> Vec<Device> {
    let mut devices = Vec::new();
    for _ in 0..count {
        devices.push(plane.device(OWN).await);
    }
    devices
}

async fn status(plane: &Plane, device: &Device) -> String {
    plane.as_owner(Call::get(format!("/api/v1/devices/{}", device.id))).await.field("status")
}

async fn heartbeat(plane: &Plane, device: &Device) -> Answer {
    let path = format!("/api/v1/agents/{}/heartbeat", device.agent);
    plane.through_door(Call::post(path, &json!({})).bearer(&device.token)).await
}

#[tokio::test]
async fn approvals_say_of_each_device_what_became_of_it() {
    let plane = super::plane().await;
    let devices = devices(&plane, 3).await;
    let foreign = plane.device(ANOTHER).await;
    for device in [&devices[0], &devices[1], &foreign] {
        post(&plane, &format!("/devices/{}/quarantine", device.id), &json!({ "reason": "lost" })).await;
    }
    let nobody = "00000000-0000-4000-8000-000000000000";
    let ids = json!([devices[0].id, devices[2].id, nobody, foreign.id, devices[1].id]);
    let operator = plane.people.token(Role::Operator, Whose::Own);
    let call = Call::post("/api/v1/agents/approve", &json!({ "deviceIds": ids })).bearer(operator);
    let answer = plane.admin(call).await.json();
    assert_eq!(answer["approved"], 2);
    let outcomes: Vec<&str> =
        answer["outcomes"].as_array().unwrap().iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["approved", "conflict", "not_found", "forbidden", "approved"]);
    assert_eq!(answer["outcomes"][1]["state"], "pending");
    assert_eq!(status(&plane, &devices[0]).await, "offline");
    assert_eq!(status(&plane, &foreign).await, "quarantined");
    for body in
        [json!({}), json!({ "deviceIds": [] }), json!({ "deviceIds": ["x"] }), json!({ "query": "all" })]
    {
        assert_eq!(refused(&plane, "/agents/approve", &body).await.code(), "INVALID_REQUEST");
    }
    let many = json!({ "deviceIds": vec![nobody; 1001] });
    assert_eq!(refused(&plane, "/agents/approve", &many).await.code(), "INVALID_REQUEST");
}

#[tokio::test]
async fn a_revocation_by_query_takes_what_it_has_shown_and_once() {
    let plane = super::plane().await;
    let devices = devices(&plane, 3).await;
    let foreign = plane.device(ANOTHER).await;
    let query = json!({ "tenant": OWN, "reason": "caCompromise" });
    let preview = post(&plane, "/certificates/revoke/preview", &query).await;
    assert_eq!((&preview["count"], &preview["quarantinedDevices"]), (&json!(3), &json!(3)));
    assert_eq!(preview["sample"].as_array().unwrap().len(), 3);
    let selection = json!({ "selectionId": preview["selectionId"] });
    let late = plane.device(OWN).await;
    let changed = refused(&plane, "/certificates/revoke/execute", &selection).await;
    assert_eq!((changed.status, changed.code()), (StatusCode::CONFLICT, "SELECTION_CHANGED".to_owned()));
    assert_eq!(status(&plane, &devices[0]).await, "pending", "nothing fell");

    let preview = post(&plane, "/certificates/revoke/preview", &query).await;
    let selection = json!({ "selectionId": preview["selectionId"] });
    let admin = plane.people.token(Role::Admin, Whose::Everyones);
    let somebody = Call::post("/api/v1/certificates/revoke/execute", &selection).bearer(admin);
    assert_eq!(plane.admin(somebody).await.status, 404, "it is its maker's");
    let done = post(&plane, "/certificates/revoke/execute", &selection).await;
    assert_eq!((&done["revoked"], &done["quarantinedDevices"]), (&json!(4), &json!(4)));
    assert!(done["appliedEdges"]["total"].is_u64() && done["revokedAt"].is_string(), "{done}");
    assert_eq!(refused(&plane, "/certificates/revoke/execute", &selection).await.status, 404);
    for device in devices.iter().chain([&late]) {
        assert_eq!(heartbeat(&plane, device).await.code(), "DEVICE_QUARANTINED");
        let path = format!("/api/v1/devices/{}/certificates", device.id);
        let shown = plane.as_owner(Call::get(path)).await.json();
        assert_eq!(shown["certificates"][0]["reason"], "caCompromise");
    }
    assert_eq!(heartbeat(&plane, &foreign).await.status, 200);
}

#[tokio::test]
async fn each_way_to_select_works_and_two_at_once_do_not() {
    let plane = super::plane().await;
    let device = plane.device(OWN).await;
    let path = format!("/api/v1/devices/{}/certificates", device.id);
    let shown = plane.as_owner(Call::get(path)).await.json()["certificates"][0].clone();
    let issuer = plane.authority.snapshot().device_issuers.iter().next().unwrap().key_id.to_string();
    let preview =
        async |body: Value| post(&plane, "/certificates/revoke/preview", &body).await["count"].clone();
    for body in [
        json!({ "serials": [shown["serialNumber"]] }),
        json!({ "spkiSha256": [shown["spkiSha256"]] }),
        json!({ "deviceIds": [device.id] }),
        json!({ "tenant": OWN }),
        json!({ "issuer": issuer }),
    ] {
        assert_eq!(preview(body.clone()).await, 1, "{body}");
    }
    assert_eq!(preview(json!({ "tenant": ANOTHER })).await, 0);
    for body in [
        json!({}),
        json!({ "tenant": OWN, "issuer": issuer }),
        json!({ "serials": [] }),
        json!({ "serials": ["not hex"] }),
        json!({ "deviceIds": "all" }),
        json!({ "tenant": OWN, "reason": "because" }),
        json!({ "tenant": OWN, "limit": 5 }),
    ] {
        let answer = refused(&plane, "/certificates/revoke/preview", &body).await;
        assert_eq!(answer.code(), "INVALID_REQUEST", "{body}");
    }
    assert_eq!(
        refused(&plane, "/certificates/revoke/preview", &json!({ "tenant": "nobody" })).await.status,
        404
    );
    for (role, whose) in [(Role::Admin, Whose::Everyones), (Role::Owner, Whose::Own)] {
        let call = Call::post("/api/v1/certificates/revoke/preview", &json!({ "issuer": issuer }));
        let answer = plane.admin(call.bearer(plane.people.token(role, whose))).await;
        assert_eq!(answer.status, 403, "{role} {whose:?}");
    }
}

#[tokio::test]
async fn a_revocation_by_ids_says_of_each_what_became_of_it() {
    let plane = super::plane().await;
    let devices = devices(&plane, 2).await;
    let nothing = "00000000-0000-4000-8000-000000000000";
    let ids = json!({ "certificateIds": [devices[0].certificate, nothing] });
    let first = post(&plane, "/certificates/revoke", &ids).await;
    assert_eq!((&first["revoked"], &first["quarantinedDevices"]), (&json!(1), &json!(1)));
    let outcomes = |answer: &Value| -> Vec<String> {
        let outcomes = answer["outcomes"].as_array().unwrap().iter();
        outcomes.map(|one| one["outcome"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(outcomes(&first), ["revoked", "not_found"]);
    assert_eq!(outcomes(&post(&plane, "/certificates/revoke", &ids).await), ["already_revoked", "not_found"]);
    let stranger = plane.people.token(Role::Owner, Whose::Another);
    let call =
        Call::post("/api/v1/certificates/revoke", &json!({ "certificateIds": [devices[1].certificate] }));
    assert_eq!(outcomes(&plane.admin(call.bearer(stranger)).await.json()), ["forbidden"]);
    assert_eq!(heartbeat(&plane, &devices[1]).await.status, 200);
}

#[tokio::test]
async fn the_rollout_says_who_would_be_refused_and_goes_back_at_once() {
    let plane = super::plane().await;
    let device = plane.device(OWN).await;
    let report = async || {
        let report = plane.as_owner(Call::get("/api/v1/rollout")).await.json();
        let tenants = report["tenants"].as_array().unwrap().clone();
        tenants.into_iter().find(|tenant| tenant["tenant"] == OWN).unwrap()
    };
    let before = report().await;
    assert_eq!(
        (&before["devices"], &before["ready"], &before["enforcement"]),
        (&json!(1), &json!(0), &json!("observe"))
    );
    assert_eq!(before["wouldBeBlocked"], json!({ "last24h": {}, "last7d": {} }));
    assert_eq!(heartbeat(&plane, &device).await.status, 200);
    let counted = json!({ "MTLS_REQUIRED": 1 });
    assert_eq!(report().await["wouldBeBlocked"], json!({ "last24h": counted, "last7d": counted }));
    let blocked =
        plane.as_owner(Call::get("/api/v1/rollout/blocked?tenant=acme&code=MTLS_REQUIRED&days=1")).await;
    let blocked = blocked.json();
    assert_eq!((&blocked["devices"][0]["id"], &blocked["nextCursor"]), (&json!(device.id), &Value::Null));
    let other = plane.as_owner(Call::get("/api/v1/rollout/blocked?code=CERTIFICATE_UNTRUSTED")).await.json();
    assert_eq!(other["devices"], json!([]));
    for query in ["days=8", "days=x", "limit=0", "cursor=x", "since=1"] {
        let call = Call::get(format!("/api/v1/rollout/blocked?{query}")).bearer(&plane.owner);
        assert_eq!(plane.admin(call).await.code(), "INVALID_REQUEST", "{query}");
    }

    let settings = format!("/api/v1/agents/org/{OWN}/settings/mtls");
    plane.as_owner(Call::new(Method::PATCH, &*settings).json(&json!({ "enforcement": "enforce" }))).await;
    assert_eq!(heartbeat(&plane, &device).await.code(), "MTLS_REQUIRED");
    let back = plane.as_owner(Call::new(Method::POST, "/api/v1/rollout/back")).await.json();
    assert_eq!((&back["success"], &back["changed"]), (&json!(true), &json!(3)));
    assert_eq!(heartbeat(&plane, &device).await.status, 200);
    let again = plane.as_owner(Call::new(Method::POST, "/api/v1/rollout/back")).await.json();
    assert_eq!(again["changed"], 0);
}

#[tokio::test]
async fn what_a_denial_left_behind_is_shown_and_taken_back() {
    let plane = super::plane().await;
    let device = plane.device(OWN).await;
    plane.as_owner(Call::new(Method::POST, format!("/api/v1/agents/{}/deny", device.id))).await;
    let list =
        async |query: &str| plane.as_owner(Call::get(format!("/api/v1/denied-keys{query}"))).await.json();
    let all = list("").await;
    let key = all["deniedKeys"][0].clone();
    assert_eq!((&key["deviceId"], &key["tenant"]), (&json!(device.id), &json!(OWN)));
    let hostname = all["deniedTraits"][0].clone();
    assert_eq!((&hostname["kind"], &hostname["tenant"]), (&json!("hostname"), &json!(OWN)));
    assert_eq!(list(&format!("?tenant={ANOTHER}")).await["deniedKeys"], json!([]));

    let lift = format!("/api/v1/denied-keys/{}", key["spkiSha256"].as_str().unwrap());
    let lifted = plane.as_owner(Call::new(Method::DELETE, &*lift)).await.json();
    assert_eq!((&lifted["success"], &lifted["stillRefused"]), (&json!(true), &json!(true)));
    let again = Call::new(Method::DELETE, &*lift).bearer(&plane.owner);
    assert_eq!(plane.admin(again).await.status, 404);
    assert_eq!(status(&plane, &device).await, "decommissioned");
    let value = hostname["value"].as_str().unwrap();
    let path = format!("/api/v1/denied-traits?tenant={OWN}&kind=hostname&value={value}");
    plane.as_owner(Call::new(Method::DELETE, &*path)).await;
    let empty = list("").await;
    assert_eq!((&empty["deniedKeys"], &empty["deniedTraits"]), (&json!([]), &json!([])));
    let wrong = Call::new(Method::DELETE, "/api/v1/denied-traits?tenant=acme&kind=colour&value=x");
    assert_eq!(plane.admin(wrong.bearer(&plane.owner)).await.code(), "INVALID_REQUEST");
}

#[tokio::test]
async fn an_admin_revokes_a_devices_token_and_it_comes_back_with_a_key_made_for_it() {
    let plane = super::plane().await;
    let device = plane.device(OWN).await;
    let path = format!("/devices/{}/rotate-token", device.id);
    let operator = plane.people.token(Role::Operator, Whose::Own);
    let call = Call::post(format!("/api/v1{path}"), &json!({ "revoke": true }));
    assert_eq!(plane.admin(call.bearer(operator)).await.status, 403);
    let asked = Call::post(format!("/api/v1{path}"), &json!({})).bearer(operator);
    let asked = plane.admin(asked).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    let told = heartbeat(&plane, &device).await.json();
    let command = &told["commands"][0];
    assert_eq!((&command["type"], &command["id"]), (&json!("rotate_token"), &asked.json()["id"]));
    post(&plane, &path, &json!({ "revoke": true })).await;
    assert_eq!(heartbeat(&plane, &device).await.status, 401);
    let again = refused(&plane, &path, &json!({ "revoke": true })).await;
    assert_eq!((again.status, again.code()), (StatusCode::CONFLICT, "ALREADY_REVOKED".to_owned()));
    let key = post(&plane, "/enrollment-keys", &json!({ "deviceId": device.id })).await;
    let body = json!({ "enrollmentKey": key["key"], "hostname": "back", "osType": "linux" });
    let back = plane.through_door(Call::post("/api/v1/agents/enroll", &body)).await;
    assert_eq!((back.status.as_u16(), back.field("deviceId")), (201, device.id));
}
