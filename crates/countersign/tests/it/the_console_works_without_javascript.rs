//! Proves that whoever sends forms, as a browser without JavaScript does, gets everything done: signs in, makes
//! a key, decides about devices, is told what became of it, and signs out; and that sign-in leads nowhere else.

use http::{StatusCode, header};
use serde_json::json;

use crate::in_process::{Answer, Call, OWN, Plane};

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";

/// A browser without JavaScript.
struct Visitor<'a> {
    plane: &'a Plane,
    session: String,
    flash: String,
}

impl<'a> Visitor<'a> {
    async fn sign_in(plane: &'a Plane) -> Self {
        let form = [("email", EMAIL), ("password", PASSWORD), ("next", "/console/devices?q=a")];
        let answer = plane.page(Call::form("/console/login", &form), "").await;
        assert_eq!(answer.header(&header::LOCATION), "/console/devices?q=a", "{answer:?}");
        let session = set(&answer, "countersign_session").unwrap();
        assert!(session.starts_with("css_"));
        Self { plane, session, flash: String::new() }
    }

    async fn get(&mut self, path: &str) -> Answer {
        let flash = std::mem::take(&mut self.flash);
        let call = Call::get(path).header("cookie", format!("countersign_flash={flash}"));
        let page = self.plane.page(call, &self.session).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {page:?}");
        page
    }

    async fn send(&mut self, path: &str, mark: &str, fields: &[(&str, &str)]) -> Answer {
        let fields: Vec<_> = std::iter::once(&("csrf", mark)).chain(fields).copied().collect();
        let answer = self.plane.page(Call::form(path, &fields), &self.session).await;
        self.flash = set(&answer, "countersign_flash").unwrap_or_default();
        answer
    }

    /// Asks what a decision would mean, makes it, and gives the page after it.
    async fn decide(&mut self, act: &str, devices: &[&str], further: &[(&str, &str)]) -> Answer {
        let ids: Vec<String> = devices.iter().map(|id| format!("id={id}")).collect();
        let page = self.get(&format!("/console/decide?act={act}&{}", ids.join("&"))).await;
        assert!(page.text.contains("What it means") && page.text.contains("Nothing has happened yet"));
        let mut fields = vec![("act", act)];
        fields.extend(devices.iter().map(|id| ("id", *id)));
        fields.extend(further);
        let answer = self.send("/console/decide", &page.mark(), &fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
        let next = answer.header(&header::LOCATION).to_owned();
        self.get(&next).await
    }
}

/// A cookie that an answer sets.
fn set(answer: &Answer, name: &str) -> Option<String> {
    answer.headers.get_all(header::SET_COOKIE).iter().find_map(|cookie| {
        let (one, value) = cookie.to_str().unwrap().split(';').next()?.split_once('=')?;
        (one == name && !value.is_empty()).then(|| value.to_owned())
    })
}

async fn installation() -> Plane {
    let plane = Plane::start().await;
    let wanted = json!({ "email": EMAIL, "role": "operator", "tenant": OWN, "password": PASSWORD });
    plane.as_owner(Call::post("/api/v1/users", &wanted)).await;
    plane
}

async fn status(plane: &Plane, device: &str) -> String {
    let shown = plane.as_owner(Call::get(format!("/api/v1/devices/{device}"))).await.json();
    shown["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn forms_alone_get_everything_done() {
    let plane = installation().await;
    let mut visitor = Visitor::sign_in(&plane).await;
    let (first, second) = (plane.device(OWN).await, plane.device(OWN).await);
    let list = visitor.get("/console/devices").await;
    assert!(list.text.contains(&first.id) && list.text.contains(&second.id));

    let page = visitor.decide("quarantine", &[&first.id, &second.id], &[("reason", "<b>lost</b>")]).await;
    assert!(page.text.contains("2 devices are quarantined."), "{page:?}");
    assert_eq!(status(&plane, &first.id).await, "quarantined");
    let queue = visitor.get("/console/quarantine").await;
    assert!(queue.text.contains("&lt;b&gt;lost&lt;/b&gt;") && !queue.text.contains("<b>lost"), "{queue:?}");
    let page = visitor.decide("approve", &[&first.id], &[]).await;
    assert!(page.text.contains("is approved."), "{page:?}");
    assert_eq!(status(&plane, &first.id).await, "offline");
    // The page after it says it once.
    let path = format!("/console/devices/{}", first.id);
    assert!(!visitor.get(&path).await.text.contains("is approved."));
    let page = visitor.decide("approve", &[&first.id, &second.id], &[]).await;
    assert!(page.text.contains("1 device is approved.") && page.text.contains("it is offline"), "{page:?}");

    let page = visitor.decide("set-aside", &[&second.id], &[]).await;
    assert!(page.text.contains("is in maintenance"), "{page:?}");
    visitor.decide("take-back", &[&second.id], &[]).await;
    let page = visitor.decide("revoke", &[&second.id], &[("reason", "keyCompromise")]).await;
    assert!(page.text.contains("is left without its certificate"), "{page:?}");
    assert_eq!(status(&plane, &second.id).await, "quarantined");
    visitor.decide("deny", &[&second.id], &[]).await;
    visitor.decide("decommission", &[&first.id], &[]).await;
    assert_eq!((status(&plane, &first.id).await, status(&plane, &second.id).await), {
        ("decommissioned".to_owned(), "decommissioned".to_owned())
    });
}

#[tokio::test]
async fn a_key_is_made_used_and_revoked() {
    let plane = installation().await;
    let mut visitor = Visitor::sign_in(&plane).await;
    let page = visitor.get("/console/keys/new").await;
    let bad = [("tenant", OWN), ("maxUses", "0"), ("networks", "nowhere"), ("deviceNamePattern", "till-*")];
    let answer = visitor.send("/console/keys/new", &page.mark(), &bad).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    for kept in ["maxUses</strong> must be a whole number", "networks</strong> must be", "value=\"till-*\""] {
        assert!(answer.text.contains(kept), "{kept}: {answer:?}");
    }
    let good = [("tenant", OWN), ("maxUses", "2"), ("expiresInMinutes", "1440"), ("requireApproval", "on")];
    let made = visitor.send("/console/keys/new", &page.mark(), &good).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let (_, rest) = made.text.split_once("countersign-agent enroll ").unwrap();
    let key = rest.split(' ').next().unwrap().to_owned();
    assert!(made.text.contains("QR code"), "{made:?}");
    let wanted = json!({ "enrollmentKey": key, "hostname": "<script>alert(1)</script>", "osType": "linux" });
    let enrolled = plane.through_door(Call::post("/api/v1/agents/enroll", &wanted)).await;
    assert_eq!(enrolled.status, 201, "{enrolled:?}");

    let queue = visitor.get("/console/quarantine").await;
    assert!(queue.text.contains("&lt;script&gt;alert(1)") && !queue.text.contains("<script>alert"));
    assert!(queue.text.contains("devices need approval"));
    let keys = visitor.get("/console/keys").await;
    assert!(keys.text.contains("1 of 2") && !keys.text.contains(&key), "{keys:?}");
    let (_, rest) = keys
        .text
        .split_once("href=\"/console/keys/")
        .and_then(|(_, rest)| {
            // The first is the one that makes another.
            rest.split_once("href=\"/console/keys/")
        })
        .unwrap();
    let path = format!("/console/keys/{}", rest.split('"').next().unwrap());
    let page = visitor.get(&path).await;
    let revoked = visitor.send(&path, &page.mark(), &[]).await;
    assert_eq!(revoked.status, StatusCode::SEE_OTHER);
    assert!(visitor.get("/console/keys").await.text.contains("The enrolment key is revoked"));
    assert_eq!(visitor.send(&path, &page.mark(), &[]).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn admins_change_settings_invite_people_and_read_the_audit() {
    let plane = installation().await;
    let wanted =
        json!({ "email": "admin@example.com", "role": "admin", "tenant": OWN, "password": PASSWORD });
    plane.as_owner(Call::post("/api/v1/users", &wanted)).await;
    let form = [("email", "admin@example.com"), ("password", PASSWORD)];
    let answer = plane.page(Call::form("/console/login", &form), "").await;
    let session = set(&answer, "countersign_session").unwrap();
    let mut visitor = Visitor { plane: &plane, session, flash: String::new() };

    let page = visitor.get("/console/settings/acme").await;
    let (_, rest) = page.text.split_once("name=\"seen\" value=\"").unwrap();
    let seen = rest.split('"').next().unwrap().to_owned();
    let change = [
        ("seen", seen.as_str()),
        ("enforcement", "enforce"),
        ("certLifetimeDays", "30"),
        ("renewalOverlapHours", "24"),
        ("recoveryWindowDays", ""),
        ("expiredCertPolicy", "quarantine"),
        ("allowServerGeneratedKeys", "on"),
    ];
    visitor.send("/console/settings/acme", &page.mark(), &change).await;
    let page = visitor.get("/console/settings/acme").await;
    assert!(page.text.contains("The settings of acme are in force."), "{page:?}");
    let now = plane.as_owner(Call::get("/api/v1/agents/org/acme/settings/mtls")).await.json();
    assert_eq!((&now["enforcement"], &now["certLifetimeDays"]), (&json!("enforce"), &json!(30)));
    assert_eq!(now["allowBearerOnlyRenewal"], false);
    // What was seen before is not what there is now.
    visitor.send("/console/settings/acme", &page.mark(), &change).await;
    assert!(visitor.get("/console/settings/acme").await.text.contains("nothing was saved"));
    assert!(visitor.get("/console/rollout").await.text.contains("in force"));

    let wanted = [("email", "new@example.com"), ("role", "viewer")];
    let invited = visitor.send("/console/people", &page.mark(), &wanted).await;
    assert!(invited.text.contains("csp_") && invited.text.contains("shown this once"), "{invited:?}");
    let above = [("email", "x@example.com"), ("role", "owner")];
    let above = visitor.send("/console/people", &page.mark(), &above).await;
    assert!(above.status.is_client_error(), "{above:?}");
    let people = visitor.get("/console/people").await;
    assert!(people.text.contains("new@example.com") && people.text.contains("invited"), "{people:?}");

    let made = [("name", "report"), ("role", "viewer"), ("expiresInDays", "7")];
    let made = visitor.send("/console/tokens", &page.mark(), &made).await;
    assert!(made.text.contains("cst_"), "{made:?}");
    let device = plane.device(OWN).await;
    let audit = visitor.get(&format!("/console/audit?device={}&event=device.enrolled", device.id)).await;
    assert!(audit.text.contains("Device enrolled") && audit.text.contains(&device.id), "{audit:?}");
    let export = visitor.get("/console/audit/export").await;
    assert!(export.text.lines().count() > 3 && export.text.starts_with('{'), "{export:?}");
    let cas = visitor.get("/console/cas").await;
    assert!(cas.text.contains("signs devices") && cas.text.contains(&plane.authority.root_fingerprint()));
}

#[tokio::test]
async fn an_owner_replaces_a_ca_step_by_step() {
    let plane = installation().await;
    let mut visitor = Visitor { plane: &plane, session: plane.owner.clone(), flash: String::new() };
    let path = "/console/cas/device/rotation";
    assert!(visitor.get("/console/cas").await.text.contains(path));
    let page = visitor.get(path).await;
    assert!(page.text.contains("No rotation has begun"), "{page:?}");
    let refused = visitor.send(path, &page.mark(), &[("act", "retire")]).await;
    assert!(refused.status.is_client_error(), "{refused:?}");
    let mut step = async |fields: &[(&str, &str)], said: &str, step: &str| {
        let answer = visitor.send(path, &page.mark(), fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
        let now = visitor.get(path).await;
        assert!(now.text.contains(said) && now.text.contains(step), "{said} {step}: {now:?}");
        now
    };
    let prepared = step(&[("act", "prepare")], "signs nothing yet", "prepared").await;
    assert!(prepared.text.contains("device → device-2") && prepared.text.contains("Let some go first"));
    step(&[("act", "canary"), ("percent", "5"), ("hours", "2")], "those that go first", "percent:5").await;
    let active = step(&[("act", "activate"), ("anyway", "on")], "signs for all", "active").await;
    assert!(active.text.contains("Until the old one can go") && !active.text.contains("Let some go first"));
    step(&[("act", "rollback")], "taken back", "prepared").await;
    step(&[("act", "rollback")], "taken back", "withdrawn").await;
    for bad in [("percent", "100"), ("hours", "soon")] {
        let refused = visitor.send(path, &page.mark(), &[("act", "canary"), bad]).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    }
    let steps = plane.as_owner(Call::get("/api/v1/audit?event=ca.rotation_rolled_back")).await.json();
    assert_eq!(steps["entries"].as_array().map(Vec::len), Some(2), "{steps}");
}

#[tokio::test]
async fn signing_in_leads_to_the_console_alone_and_signing_out_ends_it() {
    let plane = installation().await;
    for next in ["https://evil.example/", "//evil.example", "/console/\\evil", "/api/v1/devices"] {
        let form = [("email", EMAIL), ("password", PASSWORD), ("next", next)];
        let answer = plane.page(Call::form("/console/login", &form), "").await;
        assert_eq!(answer.header(&header::LOCATION), "/console/", "{next}");
    }
    let wrong = [("email", EMAIL), ("password", "wrong"), ("next", "/console/keys")];
    let answer = plane.page(Call::form("/console/login", &wrong), "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(
        answer.text.contains("is wrong") && answer.text.contains("value=\"/console/keys\""),
        "{answer:?}"
    );
    assert!(set(&answer, "countersign_session").is_none());

    let mut visitor = Visitor::sign_in(&plane).await;
    let page = visitor.get("/console/account").await;
    let change = [("currentPassword", PASSWORD), ("newPassword", "short")];
    let refused = visitor.send("/console/account/password", &page.mark(), &change).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let out = visitor.send("/console/logout", &page.mark(), &[]).await;
    assert_eq!(out.header(&header::LOCATION), "/console/login");
    let after = plane.page(Call::get("/console/devices"), &visitor.session).await;
    assert_eq!(after.header(&header::LOCATION), "/console/login?next=%2Fconsole%2Fdevices");
}

#[tokio::test]
async fn over_tls_the_cookie_is_sent_over_nothing_else() {
    let plane = installation().await;
    let form = Call::form("/console/login", &[("email", EMAIL), ("password", PASSWORD)]);
    let form = form.header("host", "admin.example.com").header("origin", "https://admin.example.com");
    let answer = plane.page(form, "").await;
    let cookie = answer.header(&header::SET_COOKIE);
    assert!(
        cookie.starts_with("__Host-countersign_session=css_") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
}
