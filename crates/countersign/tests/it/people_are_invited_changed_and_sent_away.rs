//! Proves that people are invited, set and change their passwords, and lose at once what they are to lose.

use http::Method;
use serde_json::{Value, json};

use crate::in_process::{ANOTHER, Answer, Call, OWN, Plane, Whose};
use countersign_store::Role;

const USERS: &str = "/api/v1/users";
const OLD: &str = "correct horse battery staple";
const NEW: &str = "another horse, another battery";

async fn invite(plane: &Plane, by: &str, wanted: &Value) -> Answer {
    plane.admin(Call::post(USERS, wanted).bearer(by)).await
}

async fn sign_in(plane: &Plane, password: &str) -> Answer {
    let body = json!({ "email": "ada@example.com", "password": password });
    plane.admin(Call::post("/api/v1/auth/login", &body)).await
}

async fn set_password(plane: &Plane, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "password": password });
    plane.admin(Call::post("/api/v1/auth/set-password", &body)).await
}

async fn patch(plane: &Plane, by: &str, id: &str, change: &Value) -> Answer {
    plane.admin(Call::new(Method::PATCH, format!("{USERS}/{id}")).json(change).bearer(by)).await
}

async fn status_of_me(plane: &Plane, session: &str) -> u16 {
    plane.admin(Call::get("/api/v1/auth/me").bearer(session)).await.status.as_u16()
}

/// Ada, an operator of the tenant, who has set her password; her id.
async fn ada(plane: &Plane) -> String {
    let wanted = json!({ "email": "Ada@example.com", "role": "operator", "tenant": OWN });
    let invited = invite(plane, &plane.owner, &wanted).await;
    let token = invited.json()["invitation"]["token"].as_str().unwrap().to_owned();
    assert_eq!(set_password(plane, &token, OLD).await.status, 204);
    invited.field("id")
}

#[tokio::test]
async fn an_invited_person_sets_a_password_and_signs_in() {
    let plane = super::plane().await;
    let wanted = json!({ "email": "Ada@example.com", "role": "operator", "tenant": OWN });
    let invited = invite(&plane, &plane.owner, &wanted).await;
    assert_eq!((invited.status.as_u16(), &invited.json()["invited"]), (201, &json!(true)), "{invited:?}");
    let token = invited.json()["invitation"]["token"].as_str().unwrap().to_owned();
    assert_eq!(sign_in(&plane, "-").await.status, 401);
    assert_eq!(set_password(&plane, &token, "short").await.bad_fields(), ["password"]);
    assert_eq!(set_password(&plane, &token, OLD).await.status, 204);
    assert_eq!(set_password(&plane, &token, OLD).await.code(), "PASSWORD_TOKEN_REFUSED");
    let session = sign_in(&plane, OLD).await.field("token");
    let me = plane.admin(Call::get("/api/v1/auth/me").bearer(&session)).await.json();
    assert_eq!((&me["role"], &me["tenant"]), (&json!("operator"), &json!(OWN)));
    let shown = plane.as_owner(Call::get(format!("{USERS}/{}", invited.field("id")))).await;
    assert_eq!(
        (&shown.json()["invited"], shown.field("email")),
        (&json!(false), "ada@example.com".to_owned())
    );
    assert_eq!(invite(&plane, &plane.owner, &wanted).await.code(), "EMAIL_TAKEN");
    let with_password = json!({ "email": "bob@example.com", "role": "viewer", "password": OLD });
    let made = invite(&plane, &plane.owner, &with_password).await.json();
    assert!(made.get("invitation").is_none(), "{made}");
}

#[tokio::test]
async fn a_changed_role_and_a_disabled_account_end_sessions_at_once() {
    let plane = super::plane().await;
    let id = ada(&plane).await;
    for change in [json!({ "role": "viewer" }), json!({ "tenant": ANOTHER }), json!({ "disabled": true })] {
        let session = sign_in(&plane, OLD).await.field("token");
        assert_eq!(status_of_me(&plane, &session).await, 200);
        let changed = patch(&plane, &plane.owner, &id, &change).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        assert_eq!(status_of_me(&plane, &session).await, 401, "{change}");
    }
    assert_eq!(sign_in(&plane, OLD).await.code(), "INVALID_CREDENTIALS");
    let back = patch(&plane, &plane.owner, &id, &json!({ "disabled": false, "tenant": null })).await.json();
    assert_eq!(
        (&back["role"], &back["tenant"], back.get("disabledAt")),
        (&json!("viewer"), &Value::Null, None)
    );
    assert_eq!(sign_in(&plane, OLD).await.status, 200);
}

#[tokio::test]
async fn a_password_is_changed_with_the_current_one_or_by_a_one_time_token() {
    let plane = super::plane().await;
    let id = ada(&plane).await;
    let (one, two) = (sign_in(&plane, OLD).await.field("token"), sign_in(&plane, OLD).await.field("token"));
    let change = async |current: &str| {
        let body = json!({ "currentPassword": current, "newPassword": NEW });
        plane.admin(Call::post("/api/v1/auth/password", &body).bearer(&one)).await
    };
    let wrong = change("guess").await;
    assert_eq!((wrong.status.as_u16(), wrong.code()), (403, "WRONG_PASSWORD".to_owned()));
    assert_eq!(change(OLD).await.status, 204);
    assert_eq!((status_of_me(&plane, &one).await, status_of_me(&plane, &two).await), (200, 401));
    assert_eq!(
        (sign_in(&plane, OLD).await.status.as_u16(), sign_in(&plane, NEW).await.status.as_u16()),
        (401, 200)
    );

    let reset = plane.as_owner(Call::post(format!("{USERS}/{id}/reset-password"), &json!({}))).await;
    assert_eq!(reset.status, 201);
    assert_eq!(set_password(&plane, &reset.field("token"), OLD).await.status, 204);
    assert_eq!(status_of_me(&plane, &one).await, 401);
    assert_eq!(sign_in(&plane, OLD).await.status, 200);
}

#[tokio::test]
async fn admins_manage_those_below_them_in_their_tenant_alone() {
    let plane = super::plane().await;
    let admin = plane.people.token(Role::Admin, Whose::Own);
    let owner = plane.admin(Call::get("/api/v1/auth/me").bearer(&plane.owner)).await.field("id");
    let id = ada(&plane).await;
    let listed = plane.admin(Call::get(USERS).bearer(admin)).await.json();
    assert!(listed["users"].as_array().unwrap().iter().all(|user| user["tenant"] == OWN), "{listed}");
    assert_eq!(patch(&plane, admin, &id, &json!({ "role": "admin" })).await.status, 200);
    for (id, change) in [
        (&owner, json!({ "role": "viewer" })),
        (&id, json!({ "role": "owner" })),
        (&id, json!({ "tenant": null })),
        (&id, json!({ "tenant": ANOTHER })),
    ] {
        let refused = patch(&plane, admin, id, &change).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (403, "FORBIDDEN".to_owned()), "{change}");
    }
    for wanted in [
        json!({ "email": "eve@example.com", "role": "owner" }),
        json!({ "email": "eve@example.com", "role": "viewer", "tenant": ANOTHER }),
    ] {
        assert_eq!(invite(&plane, admin, &wanted).await.status, 403, "{wanted}");
    }
    let own = plane.admin(Call::get("/api/v1/auth/me").bearer(admin)).await.field("id");
    let reset =
        plane.admin(Call::post(format!("{USERS}/{own}/reset-password"), &json!({})).bearer(admin)).await;
    assert_eq!(reset.status, 403, "one's own takes the current password: {reset:?}");
    let bound = json!({ "email": "e@example.com", "role": "owner", "tenant": OWN });
    assert_eq!(invite(&plane, &plane.owner, &bound).await.bad_fields(), ["tenant"]);
}

#[tokio::test]
async fn the_last_owner_stays() {
    let plane = super::empty_plane().await;
    let token = plane.authority.take_setup_token().unwrap();
    let body = json!({ "token": token.as_str(), "email": "owner@example.com", "password": OLD });
    let set_up = plane.admin(Call::post("/api/v1/setup", &body)).await.json();
    let (session, id) = (set_up["token"].as_str().unwrap(), set_up["user"]["id"].as_str().unwrap());
    for change in [json!({ "role": "admin" }), json!({ "disabled": true })] {
        let refused = patch(&plane, session, id, &change).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "LAST_OWNER".to_owned()), "{change}");
    }
    assert_eq!(status_of_me(&plane, session).await, 200);
    let second = json!({ "email": "second@example.com", "role": "owner", "password": OLD });
    assert_eq!(invite(&plane, session, &second).await.status, 201);
    assert_eq!(patch(&plane, session, id, &json!({ "role": "viewer" })).await.status, 200);
    assert_eq!(status_of_me(&plane, session).await, 401);
}
