//! Proves that the console shows alerts, edges and the messages of devices, says who sees to an alert and makes a window
//! without, adds and revokes an edge, and releases a message that was set aside, by forms alone.

use http::{StatusCode, header};
use serde_json::json;

use crate::in_process::{Answer, Call, OWN, Plane};

async fn get(plane: &Plane, path: &str) -> Answer {
    let page = plane.page(Call::get(path), &plane.owner).await;
    assert_eq!(page.status, StatusCode::OK, "{path}: {page:?}");
    page
}

async fn send(plane: &Plane, path: &str, from: &Answer, fields: &[(&str, &str)]) -> Answer {
    let mark = from.mark();
    let fields: Vec<_> = std::iter::once(("csrf", mark.as_str())).chain(fields.iter().copied()).collect();
    plane.page(Call::form(path, &fields), &plane.owner).await
}

#[tokio::test]
async fn an_edge_is_added_and_revoked() {
    let plane = Plane::start().await;
    assert!(get(&plane, "/console/edges").await.text.contains("No edge elsewhere"));
    let form = get(&plane, "/console/edges/new").await;
    let bad = [("name", "not a name"), ("publicNames", "EDGE, 192.0.2.7")];
    let refused = send(&plane, "/console/edges/new", &form, &bad).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    for kept in ["name</strong>", "publicNames</strong>", "value=\"EDGE, 192.0.2.7\""] {
        assert!(refused.text.contains(kept), "{kept}: {refused:?}");
    }
    let good = [("name", "fra-1"), ("publicNames", "edge.example.com, 192.0.2.7"), ("tenants", OWN)];
    let added = send(&plane, "/console/edges/new", &form, &good).await;
    assert_eq!(added.status, StatusCode::OK, "{added:?}");
    assert!(added.text.contains("countersign edge run --authority"), "{added:?}");
    let again = send(&plane, "/console/edges/new", &form, &good).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{again:?}");
    let list = get(&plane, "/console/edges").await;
    for shown in ["fra-1", "edge.example.com", "has not enrolled yet", OWN] {
        assert!(list.text.contains(shown), "{shown}: {list:?}");
    }
    let (_, rest) = list.text.split_once("href=\"/console/edges/").unwrap();
    let (_, rest) = rest.split_once("href=\"/console/edges/").unwrap();
    let path = format!("/console/edges/{}", rest.split('"').next().unwrap());
    let asked = get(&plane, &path).await;
    assert!(asked.text.contains("Revoke the edge fra-1?"), "{asked:?}");
    let revoked = send(&plane, &path, &asked, &[]).await;
    assert_eq!(revoked.header(&header::LOCATION), "/console/edges", "{revoked:?}");
    assert!(get(&plane, "/console/edges").await.text.contains("No edge elsewhere"));
}

#[tokio::test]
async fn a_message_that_was_set_aside_is_read_and_released() {
    let plane = Plane::start().await;
    assert!(get(&plane, "/console/messages").await.text.contains("No message yet"));
    assert!(get(&plane, "/console/messages/aside").await.text.contains("Nothing was set aside"));
    plane.device(OWN).await;
    plane.message_set_aside(OWN).await;
    let list = get(&plane, "/console/messages/aside").await;
    assert!(
        list.text.contains("It does not say its site") && list.text.contains("MISSING_SITE_ID"),
        "{list:?}"
    );
    let one = get(&plane, "/console/messages/aside/1").await;
    assert!(one.text.contains("&lt;script&gt;") && !one.text.contains("<script>alert"), "{one:?}");
    let released = send(&plane, "/console/messages/aside/1/release", &one, &[]).await;
    assert_eq!(released.status, StatusCode::SEE_OTHER, "{released:?}");
    let arrived = get(&plane, "/console/messages").await;
    assert!(
        arrived.text.contains("tenant/acme/device/") && arrived.text.contains("&lt;script&gt;"),
        "{arrived:?}"
    );
    assert!(get(&plane, "/console/messages/aside/1").await.text.contains("Released"));
    let unknown = plane.page(Call::get("/console/messages/aside/7"), &plane.owner).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let whole = plane.as_owner(Call::get("/api/v1/telemetry")).await.json();
    assert_eq!(whole["messages"][0]["payload"]["metrics"], json!({ "note": "<script>alert(1)</script>" }));
}

#[tokio::test]
async fn an_alert_is_seen_to_and_a_window_made_without() {
    let plane = Plane::start().await;
    let empty = get(&plane, "/console/alerts").await;
    assert!(empty.text.contains("Nothing needs anybody"), "{empty:?}");
    let raised = send(&plane, "/console/alerts/test", &empty, &[]).await;
    assert_eq!(raised.header(&header::LOCATION), "/console/alerts", "{raised:?}");
    let list = get(&plane, "/console/alerts").await;
    assert!(list.text.contains("tries whether alerts arrive") && list.text.contains("critical"), "{list:?}");
    let (_, rest) = list.text.split_once("action=\"/console/alerts/").unwrap();
    let path = rest.split("action=\"/console/alerts/").find(|rest| rest.contains("/acknowledge\"")).unwrap();
    let path = format!("/console/alerts/{}", path.split('"').next().unwrap());
    let seen = send(&plane, &path, &list, &[]).await;
    assert_eq!(seen.status, StatusCode::SEE_OTHER, "{seen:?}");
    let list = get(&plane, "/console/alerts").await;
    assert!(!list.text.contains("I see to it"), "{list:?}");
    let again = send(&plane, &path, &list, &[]).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "told on the next page: {again:?}");

    let bad = send(&plane, "/console/alerts/silence", &list, &[("minutes", "61")]).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert!(bad.text.contains("reason</strong>") && bad.text.contains("minutes</strong>"), "{bad:?}");
    let good = [("kind", "quarantine"), ("minutes", "60"), ("reason", "<b>moving</b>")];
    let made = send(&plane, "/console/alerts/silence", &list, &good).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{made:?}");
    let list = get(&plane, "/console/alerts").await;
    assert!(list.text.contains("&lt;b&gt;moving") && !list.text.contains("<b>moving"), "{list:?}");
    let (_, rest) = list.text.split_once("action=\"/console/alerts/silences/").unwrap();
    let path = format!("/console/alerts/silences/{}", rest.split('"').next().unwrap());
    send(&plane, &path, &list, &[]).await;
    assert!(get(&plane, "/console/alerts").await.text.contains("No window in which nobody is told"));
}
