//! Proves that sites hold devices and keys, that devices move within their tenant alone, and that a site
//! goes when nothing uses it any more.

use http::Method;
use serde_json::{Value, json};

use crate::in_process::{ANOTHER, Answer, Call, OWN, Plane};

const SITES: &str = "/api/v1/sites";

async fn make(plane: &Plane, tenant: &str, slug: &str) -> Answer {
    let body = json!({ "tenant": tenant, "slug": slug, "name": slug.to_uppercase() });
    plane.admin(Call::post(SITES, &body).bearer(&plane.owner)).await
}

async fn relocate(plane: &Plane, device: &str, change: &Value) -> Answer {
    let call = Call::new(Method::PATCH, format!("/api/v1/devices/{device}")).json(change);
    plane.admin(call.bearer(&plane.owner)).await
}

async fn at(plane: &Plane, site: &str) -> usize {
    let page = plane.as_owner(Call::get(format!("/api/v1/devices?site={site}"))).await.json();
    page["devices"].as_array().unwrap().len()
}

async fn delete(plane: &Plane, site: &str) -> Answer {
    plane.admin(Call::new(Method::DELETE, format!("{SITES}/{site}")).bearer(&plane.owner)).await
}

#[tokio::test]
async fn a_device_is_moved_and_found_at_its_site() {
    let plane = super::plane().await;
    let device = plane.device(OWN).await;
    let berlin = make(&plane, OWN, "berlin").await;
    assert_eq!(berlin.status, 201, "{berlin:?}");
    make(&plane, ANOTHER, "elsewhere").await;
    assert_eq!(relocate(&plane, &device.id, &json!({ "site": "berlin" })).await.status, 200);
    let shown = plane.as_owner(Call::get(format!("/api/v1/devices/{}", device.id))).await;
    assert_eq!(shown.field("site"), "berlin");
    assert_eq!(
        (at(&plane, "berlin").await, at(&plane, &berlin.field("id")).await, at(&plane, "default").await),
        (1, 1, 0)
    );
    for site in ["elsewhere", "nowhere"] {
        let refused = relocate(&plane, &device.id, &json!({ "site": site })).await;
        assert_eq!((refused.status.as_u16(), refused.bad_fields()), (400, vec!["site".to_owned()]), "{site}");
    }
    assert_eq!(relocate(&plane, &device.id, &json!({})).await.status, 400, "a change changes something");
    assert_eq!(relocate(&plane, &device.id, &json!({ "site": "../x" })).await.bad_fields(), ["site"]);
}

#[tokio::test]
async fn a_site_is_renamed_and_goes_when_it_is_empty() {
    let plane = super::plane().await;
    let device = plane.device(OWN).await;
    let berlin = make(&plane, OWN, "berlin").await.field("id");
    assert_eq!(make(&plane, OWN, "berlin").await.code(), "SITE_TAKEN");
    let rename =
        Call::new(Method::PATCH, format!("{SITES}/{berlin}")).json(&json!({ "name": "Berlin works" }));
    assert_eq!(plane.as_owner(rename).await.field("name"), "Berlin works");
    relocate(&plane, &device.id, &json!({ "site": "berlin" })).await;
    let key = json!({ "tenant": OWN, "site": "berlin" });
    let key = plane.as_owner(Call::post("/api/v1/enrollment-keys", &key)).await.field("id");
    let in_use = delete(&plane, &berlin).await;
    assert_eq!((in_use.code(), in_use.field("state")), ("SITE_IN_USE".to_owned(), "devices".to_owned()));
    relocate(&plane, &device.id, &json!({ "site": "default" })).await;
    assert_eq!(delete(&plane, &berlin).await.field("state"), "enrollment_keys");
    plane.as_owner(Call::new(Method::POST, format!("/api/v1/enrollment-keys/{key}/revoke"))).await;
    assert_eq!(delete(&plane, &berlin).await.status, 204);
    assert_eq!(delete(&plane, &berlin).await.status, 404);

    let sites = plane.as_owner(Call::get(format!("{SITES}?tenant={OWN}"))).await.json();
    let left = sites["sites"].as_array().unwrap();
    assert_eq!((left.len(), &left[0]["slug"]), (1, &json!("default")));
    let default = left[0]["id"].as_str().unwrap();
    assert_eq!(delete(&plane, default).await.field("state"), "default");
}
