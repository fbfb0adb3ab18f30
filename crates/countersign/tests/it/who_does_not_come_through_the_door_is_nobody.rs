//! Proves that an identity comes from a door's handshake alone: the admin listener has no agent
//! routes whatever a request claims, and the door has no admin routes.

use countersign_testkit::Connection;

use crate::harness::{Device, Installation, enrolment};

/// What somebody might hope the admin listener believes.
const CLAIMS: [(&str, &str); 8] = [
    ("client-cert", ":bm90IGEgY2VydGlmaWNhdGU=:"),
    ("countersign-device", "honest"),
    ("countersign-tenant", "default"),
    ("countersign-arrival", "{\"peer\":\"honest\"}"),
    ("x-forwarded-client-cert", "By=door;Subject=\"CN=default/honest\""),
    ("x-ssl-client-verify", "SUCCESS"),
    ("x-forwarded-proto", "https"),
    ("forwarded", "for=127.0.0.1;proto=https"),
];

#[tokio::test]
async fn agent_routes_are_not_there_on_the_admin_listener() {
    let installation = Installation::start().await;
    let device = Device::enrol(&installation, "honest").await;
    let bearer = format!("Bearer {}", device.token);
    let mut headers = CLAIMS.to_vec();
    headers.push(("authorization", &bearer));
    let agent = format!("/api/v1/agents/{}", device.agent);
    let body = enrolment(&installation.admin().one_use_key().await, "new", None).to_string();
    let routes = [
        ("POST", "/api/v1/agents/enroll".to_owned()),
        ("POST", "/api/v1/agents/renew-cert".to_owned()),
        ("POST", "/api/v1/agents/renew-cert/challenge".to_owned()),
        ("POST", "/api/v1/agents/renew-cert/confirm".to_owned()),
        ("POST", format!("{agent}/heartbeat")),
        ("GET", format!("{agent}/trust-bundle")),
    ];
    for (method, path) in routes {
        let mut connection = Connection::plain(installation.admin_address()).await.unwrap();
        let answer = connection.request(method, &path, &headers, body.clone()).await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (404, "NOT_FOUND"), "{path}: {}", answer.text());
    }
    assert_eq!(installation.admin().devices().await.len(), 1);
    assert!(installation.admin().device(device.id).await.last_seen_at.is_none());
}

#[tokio::test]
async fn admin_routes_are_not_there_behind_the_door() {
    let installation = Installation::start().await;
    let device = Device::enrol(&installation, "honest").await;
    let owner = format!("Bearer {}", installation.admin().token());
    for mut connection in [installation.connect().await, device.connect(&installation).await] {
        for path in ["/api/v1/devices", "/api/v1/auth/me", "/api/v1/audit", "/api/v1/tenants"] {
            let headers = [("authorization", owner.as_str()), ("host", "127.0.0.1:8080")];
            let answer = connection.request("GET", path, &headers, "").await.unwrap();
            assert_eq!((answer.status, answer.code().as_str()), (404, "NOT_FOUND"), "{path}");
        }
        // These stand below the prefix of the agent routes.
        for path in [format!("/api/v1/agents/{}/deny", device.id), "/api/v1/agents/quarantined".to_owned()] {
            let headers = [("authorization", owner.as_str())];
            let answer = connection.request("POST", &path, &headers, "{}").await.unwrap();
            // An agent's own path takes other methods: unenrolment.
            assert!([404, 405].contains(&answer.status), "{path}: {}", answer.text());
        }
    }
    assert_eq!(installation.admin().device(device.id).await.status.as_str(), "pending");
}
