//! Proves that API tokens open what they were made for and nothing else, and end when they should.

use http::Method;
use serde_json::{Value, json};

use crate::in_process::{ANOTHER, Answer, Call, OWN, Plane, Whose};
use countersign_store::Role;

const TOKENS: &str = "/api/v1/api-tokens";

async fn make(plane: &Plane, maker: &str, wanted: &Value) -> Answer {
    plane.admin(Call::post(TOKENS, wanted).bearer(maker)).await
}

async fn ask(plane: &Plane, token: &str, path: &str) -> Answer {
    plane.admin(Call::get(path).bearer(token)).await
}

#[tokio::test]
async fn a_token_is_shown_once_and_listed_without_itself() {
    let plane = super::plane().await;
    let wanted = json!({ "name": "inventory", "role": "viewer", "tenant": OWN, "scopes": ["devices:read"] });
    let made = make(&plane, &plane.owner, &wanted).await;
    assert_eq!(made.status, 201, "{made:?}");
    let token = made.field("token");
    assert!(token.starts_with("cst_") && token.len() == 68, "{token}");
    let listed = plane.as_owner(Call::get(TOKENS)).await;
    assert!(!listed.text.contains(&token));
    let mut record = made.json();
    record.as_object_mut().unwrap().remove("token");
    assert_eq!(listed.json()["apiTokens"], json!([record]));
    assert_eq!(record["scopes"], json!(["devices:read"]));
    let life = |text: &Value| countersign_core::time::Timestamp::parse(text.as_str().unwrap()).unwrap();
    let days = life(&record["expiresAt"]).since(life(&record["createdAt"])).as_secs() / 86_400;
    assert_eq!(days, 90);
}

#[tokio::test]
async fn a_script_works_with_it_and_is_told_what_it_lacks() {
    let plane = super::plane().await;
    let device = plane.device(OWN).await;
    plane.device(ANOTHER).await;
    let wanted = json!({ "name": "inventory", "tenant": OWN, "scopes": ["devices:read"] });
    let token = make(&plane, &plane.owner, &wanted).await.field("token");
    let devices = ask(&plane, &token, "/api/v1/devices").await.json();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 1, "its tenant's");
    assert_eq!(devices["devices"][0]["id"], device.id);
    let elsewhere = ask(&plane, &token, &format!("/api/v1/devices?tenant={ANOTHER}")).await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.code()), (403, "FORBIDDEN".to_owned()));
    let certificates = ask(&plane, &token, "/api/v1/certificates").await;
    assert_eq!(certificates.code(), "SCOPE_MISSING");
    assert!(certificates.field("error").contains("certificates:read"), "{certificates:?}");
    let successor = make(&plane, &token, &json!({ "name": "successor" })).await;
    assert_eq!(successor.code(), "SESSION_REQUIRED");
    let me = ask(&plane, &token, "/api/v1/auth/me").await.json();
    assert_eq!((&me["role"], &me["tenant"]), (&json!("owner"), &json!(OWN)));
    let out = plane.admin(Call::new(Method::POST, "/api/v1/auth/logout").bearer(&token)).await;
    assert_eq!(out.code(), "SESSION_REQUIRED");
}

#[tokio::test]
async fn the_audit_names_the_token_that_a_call_was_made_with() {
    let plane = super::plane().await;
    let made = make(&plane, &plane.owner, &json!({ "name": "keys" })).await;
    let key = Call::post("/api/v1/enrollment-keys", &json!({ "tenant": OWN })).bearer(&made.field("token"));
    assert_eq!(plane.admin(key).await.status, 201);
    let page =
        plane.as_owner(Call::get(format!("/api/v1/audit?tenant={OWN}&event=enrollment_key.created"))).await;
    let actor = page.json()["entries"][0]["actor"].as_str().unwrap().to_owned();
    assert_eq!(actor, format!("user:{}/token:{}", made.field("userId"), made.field("id")));
}

#[tokio::test]
async fn a_revoked_token_and_those_of_a_disabled_person_open_nothing() {
    let plane = super::plane().await;
    let admin = plane.people.token(Role::Admin, Whose::Own);
    let (one, two) = (
        make(&plane, admin, &json!({ "name": "one" })).await,
        make(&plane, admin, &json!({ "name": "two" })).await,
    );
    let works =
        async |made: &Answer| ask(&plane, &made.field("token"), "/api/v1/devices").await.status == 200;
    assert!(works(&one).await && works(&two).await);
    let revoke = || {
        let path = format!("{TOKENS}/{}/revoke", one.field("id"));
        plane.admin(Call::new(Method::POST, path).bearer(admin))
    };
    assert!(revoke().await.json()["revokedAt"].is_string());
    assert_eq!(revoke().await.code(), "ALREADY_REVOKED");
    assert!(!works(&one).await && works(&two).await);
    let path = format!("/api/v1/users/{}", one.field("userId"));
    plane.as_owner(Call::new(Method::PATCH, path).json(&json!({ "disabled": true }))).await;
    assert!(!works(&two).await);
    assert_eq!(ask(&plane, admin, "/api/v1/auth/me").await.status, 401, "the session too");
}

#[tokio::test]
async fn what_a_token_cannot_be_is_refused_with_the_fields_that_are_wrong() {
    let plane = super::plane().await;
    for (wanted, field) in [
        (json!({}), "name"),
        (json!({ "name": "x", "scopes": [] }), "scopes"),
        (json!({ "name": "x", "scopes": ["devices:all"] }), "scopes"),
        (json!({ "name": "x", "scopes": "devices:read" }), "scopes"),
        (json!({ "name": "x", "role": "god" }), "role"),
        (json!({ "name": "x", "tenant": "nowhere" }), "tenant"),
        (json!({ "name": "x", "expiresInDays": 731 }), "expiresInDays"),
        (json!({ "name": "x", "expiresInDays": 0 }), "expiresInDays"),
        (json!({ "name": "x", "scope": ["devices:read"] }), "scope"),
    ] {
        let answer = make(&plane, &plane.owner, &wanted).await;
        assert_eq!((answer.status.as_u16(), answer.bad_fields()), (400, vec![field.to_owned()]), "{wanted}");
    }
    let operator = plane.people.token(Role::Operator, Whose::Own);
    for wanted in [json!({ "name": "x", "role": "admin" }), json!({ "name": "x", "tenant": ANOTHER })] {
        let answer = make(&plane, operator, &wanted).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (403, "FORBIDDEN".to_owned()), "{wanted}");
    }
}
