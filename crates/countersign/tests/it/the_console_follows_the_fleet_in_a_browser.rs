//! Proves, in a real browser, that the console follows what happens, that decisions made in it are carried
//! out, that what a device says of itself stays text, and that everybody can use its pages.

use countersign_core::device::DeviceStatus;
use serde_json::json;

use crate::harness::{Browser, Device, Installation, Window, axe, done, until};

const PASSWORD: &str = "correct horse battery staple";

/// The largest page.
const PAGE_LIMIT: u64 = 200_000;

async fn sign_in(window: &Window<'_>, email: &str) {
    window.go("/").await;
    window.write("#email", email).await;
    window.write("#password", PASSWORD).await;
    window.click("main button").await;
    window.reads("Overview").await;
}

/// Invites nobody: makes a person who can sign in at once.
async fn person(installation: &Installation, email: &str, role: &str) {
    let wanted = json!({ "email": email, "role": role, "password": PASSWORD });
    assert_eq!(installation.admin().post("/users", &wanted).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_seen_and_decided_about() {
    let Some(browser) = Browser::start() else { return };
    let installation = Installation::start().await;
    let owner = browser.window(installation.admin_address()).await;
    sign_in(&owner, "owner@example.com").await;
    owner.reads("No device yet").await;
    owner.is_live().await;

    // Enrolled elsewhere, seen here without anybody loading the page again.
    let device = Device::enrol(&installation, "till-1").await;
    owner.reads("1 device in service").await;
    let mut connection = device.connect(&installation).await;
    device.heartbeat(&mut connection).await;
    let admitted =
        "return Number([...document.querySelectorAll('#refusals .numbers tr:last-child td')][1].textContent)";
    until("the handshake is among those admitted", async || {
        owner.go("/console/").await;
        owner.run(admitted).await.as_u64() > Some(0)
    })
    .await;

    owner.go("/console/devices").await;
    owner.reads("till-1").await;
    owner.is_live().await;
    let hostile = "<script>document.title='taken'</script>";
    Device::enrol(&installation, hostile).await;
    owner.reads(hostile).await;
    assert_eq!(owner.run("return document.title").await, "Devices · Countersign");
    assert_eq!(owner.run("return document.querySelectorAll('main script').length").await, 0);

    // Quarantined here, cut there, and back with an approval.
    owner.go(&format!("/console/devices/{}", device.id)).await;
    owner.click("a[href*='act=quarantine']").await;
    owner.reads("Every door refuses it at once").await;
    owner.write("#reason", "reported stolen").await;
    owner.click("button.danger").await;
    owner.reads("default/till-1 is quarantined. Applied at every edge").await;
    assert_eq!(installation.admin().device(device.id).await.status, DeviceStatus::Quarantined);
    until("the connection is cut", async || connection.is_closed()).await;
    owner.go("/console/quarantine").await;
    owner.reads("reported stolen").await;
    owner.reads("unchanged").await;
    owner.click("td.decide a[href*='act=approve']").await;
    owner.click("form button.primary").await;
    owner.reads("default/till-1 is approved").await;
    let mut connection = device.connect(&installation).await;
    assert_eq!(device.heartbeat(&mut connection).await.status, 200);

    a_token_is_set_and_removed(&owner, &installation, &device).await;

    // Denied for good.
    owner.go(&format!("/console/devices/{}", device.id)).await;
    owner.click("a[href*='act=decommission']").await;
    owner.reads("never used again").await;
    owner.click("button.danger").await;
    owner.reads("Nothing more can be decided about it").await;
    until("the connection is cut", async || connection.is_closed()).await;

    a_key_is_shown_once(&owner, &installation).await;
    a_rule_is_tried(&owner).await;
    a_rule_is_added(&owner, &installation).await;
    a_viewer_does_not_decide(&browser, &installation, &device).await;
    owner.close().await;
}

async fn a_key_is_shown_once(owner: &Window<'_>, installation: &Installation) {
    owner.go("/console/keys/new").await;
    owner.click("form button.primary").await;
    owner.reads("The key is shown this once").await;
    let command = owner.run("return document.getElementById('command').textContent").await;
    let key = command.as_str().unwrap().split(' ').nth(2).unwrap().to_owned();
    let with_it = countersign_testkit::TestKey::generate(countersign_testkit::KeyKind::P256);
    Device::enrol_with(installation, &key, "till-2", with_it).await;
    owner.go("/console/keys").await;
    owner.reads("used up").await;
    assert!(!owner.text().await.contains(&key));
}

async fn a_token_is_set_and_removed(owner: &Window<'_>, installation: &Installation, device: &Device) {
    let page = format!("/console/devices/{}", device.id);
    let path = format!("/devices/{}/provisioning-token", device.id);
    let is_set = async || done(&installation.admin().get(&path).await)["setAt"].is_string();
    owner.go(&page).await;
    owner.reads("None: it comes with its certificate alone").await;
    owner.click("a[href$='/provisioning-token']").await;
    owner.write("#token", "too short").await;
    owner.click("form button.primary").await;
    owner.reads("must be 20 to 256 letters").await;
    assert!(!is_set().await);
    owner.go(&format!("{page}/provisioning-token")).await;
    owner.click("form button.primary").await;
    owner.reads("The token is shown this once").await;
    let token = owner.run("return document.getElementById('token').textContent").await;
    assert!(token.as_str().unwrap().starts_with("brp_") && is_set().await, "{token}");
    owner.click("a.button.primary").await;
    owner.reads("Whoever has it is this device").await;
    assert!(!owner.text().await.contains(token.as_str().unwrap()));
    owner.click("a[href$='/provisioning-token']").await;
    owner.click("form button.danger").await;
    owner.reads("The token is removed").await;
    assert!(!is_set().await);
}

async fn a_rule_is_tried(owner: &Window<'_>) {
    let attempt = async |expression: &str| {
        owner.go("/console/rules").await;
        let field = "document.getElementById('expression').value";
        owner.run(&format!("{field} = {expression:?}; return null")).await;
        owner.click("#bench button.primary").await;
    };
    attempt("http.request.uri.pth contains \"/api/\"").await;
    owner.reads("This is no rule yet").await;
    owner.reads("^").await;
    attempt("http.request.uri.path contains \"/api/\" and not cf.tls_client_auth.cert_verified").await;
    owner.reads("Blocked by the rule you try with status 403").await;
    owner.reads("\"/api/v1/items\"").await;
    attempt("http.request.uri.path eq \"/other\"").await;
    owner.reads("Let through by the rules").await;
}

async fn a_rule_is_added(owner: &Window<'_>, installation: &Installation) {
    let save = async |expression: &str| {
        let field = "document.getElementById('expression').value";
        owner.run(&format!("{field} = {expression:?}; return null")).await;
        owner.click("form button.primary").await;
    };
    let status =
        async || installation.connect().await.json("GET", "/pki/kept", None, None).await.unwrap().status;
    owner.go("/console/rules").await;
    owner.click("a[href='/console/rules/edit']").await;
    owner.write("#name", "nothing is kept").await;
    save("http.request.uri.pth eq \"/pki/kept\"").await;
    owner.reads("This is not right yet. Nothing was changed.").await;
    owner.reads("^").await;
    assert_eq!(status().await, 404);
    save("http.request.uri.path eq \"/pki/kept\"").await;
    owner.reads("The rules are changed. Applied at every edge").await;
    owner.reads("nothing is kept").await;
    assert_eq!(status().await, 403);
    owner.click("a[href*='rules/edit?name=']").await;
    owner.click("form button.danger").await;
    owner.reads("The rules are changed").await;
    assert_eq!(status().await, 404);
}

async fn a_viewer_does_not_decide(browser: &Browser, installation: &Installation, device: &Device) {
    person(installation, "viewer@example.com", "viewer").await;
    let viewer = browser.window(installation.admin_address()).await;
    sign_in(&viewer, "viewer@example.com").await;
    viewer.go(&format!("/console/devices/{}", device.id)).await;
    viewer.reads("Your role sees, and does not decide").await;
    assert_eq!(viewer.run("return document.querySelectorAll('a[href*=provisioning]').length").await, 0);
    assert_eq!(viewer.run("return document.querySelectorAll('a[href*=decide]').length").await, 0);
    viewer.go(&format!("/console/decide?act=quarantine&id={}", device.id)).await;
    viewer.reads("Not allowed").await;
    viewer.close().await;
}

/// Every page that shows something by itself.
const PAGES: &[&str] = &[
    "/console/",
    "/console/devices",
    "/console/devices?q=nothing-is-called-so",
    "/console/quarantine",
    "/console/keys",
    "/console/keys/new",
    "/console/alerts",
    "/console/alerts?show=all",
    "/console/edges",
    "/console/edges/new",
    "/console/messages",
    "/console/messages/aside",
    "/console/rules",
    "/console/rules/edit",
    "/console/account",
    "/console/rollout",
    "/console/settings/default",
    "/console/certificates",
    "/console/cas",
    "/console/cas/device/rotation",
    "/console/edges",
    "/console/audit",
    "/console/people",
    "/console/tokens",
    "/console/no-such-page",
];

#[tokio::test(flavor = "multi_thread")]
async fn everybody_can_use_every_page_in_both_themes() {
    let Some(browser) = Browser::start() else { return };
    let Some(axe) = axe() else { return };
    let installation = Installation::start().await;
    let window = browser.window(installation.admin_address()).await;
    check(&window, "/console/login", &axe).await;
    sign_in(&window, "owner@example.com").await;
    let empty: &[&str] = &["/console/", "/console/devices", "/console/keys"];
    for path in empty {
        check(&window, path, &axe).await;
    }
    let device = Device::enrol(&installation, "till-1").await;
    installation.admin().quarantine(device.id, "reported stolen").await;
    let own = [
        format!("/console/devices/{}", device.id),
        format!("/console/decide?act=deny&id={}", device.id),
        format!("/console/decide?act=approve&id={}", device.id),
    ];
    for path in PAGES.iter().copied().chain(own.iter().map(String::as_str)) {
        check(&window, path, &axe).await;
    }
    window.close().await;
}

/// Fails for what is in somebody's way on a page, for a page that is too large, and for one that has to be
/// pushed sideways on a phone.
async fn check(window: &Window<'_>, path: &str, axe: &str) {
    for (theme, width) in [("light", 1440), ("dark", 390)] {
        window.look(theme, width).await;
        window.go(path).await;
        let found = window.barriers(axe).await;
        assert!(found.is_empty(), "{path} {theme}: {found:#?}");
        let sizes = window.run(
            "const root = document.documentElement;
             return [root.outerHTML.length, root.scrollWidth - root.clientWidth]",
        );
        let sizes = sizes.await;
        assert!(sizes[0].as_u64().unwrap() < PAGE_LIMIT, "{path}: {sizes}");
        assert!(sizes[1].as_i64().unwrap() <= 0, "{path} at {width}: wider than its window by {sizes}");
    }
}
