//! Proves that whoever has a passkey signs in with it, in a real browser with a security key, and with no other
//! key, count, challenge or page; and that the API makes and removes them for whoever shows what they have.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_testkit::{KeyKind, SecurityKey, SecurityKeyAnswer, TestKey};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::harness::{Browser, Installation, Window};
use crate::in_process::{Answer, Call, Plane};

const EMAIL: &str = "owner@example.com";
const GRACE: &str = "grace@example.com";
const PASSWORD: &str = "correct horse battery staple";

const PATH: &str = "/api/v1/auth/second-factor/passkeys";

async fn enter_password(window: &Window<'_>) {
    window.go("/console/login").await;
    window.write("#email", EMAIL).await;
    window.write("#password", PASSWORD).await;
    window.click("main form button").await;
}

async fn sign_out(window: &Window<'_>) {
    window.go("/console/second-factor").await;
    window.click("form[action='/console/logout'] button").await;
    window.reads("You are signed out").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_security_key_opens_the_console_in_a_browser() {
    let Some(browser) = Browser::start() else { return };
    let installation = Installation::start().await;
    let port = installation.admin_address().port();
    let owner = browser.window_at(&format!("http://localhost:{port}")).await;
    let key = owner.security_key().await;
    enter_password(&owner).await;
    owner.reads("Overview").await;

    owner.go("/console/second-factor").await;
    owner.write("#password", PASSWORD).await;
    owner.click("button[formaction$='/passkeys']").await;
    owner.write("#name", "blue key").await;
    owner.click("[data-passkey=make]").await;
    owner.reads("Your recovery codes").await;
    sign_out(&owner).await;
    enter_password(&owner).await;
    owner.click("[data-passkey=show]").await;
    owner.reads("Overview").await;

    // The same key counts on; one that was copied earlier, and one that only claims its name, are refused.
    let own = owner.passkeys(&key).await.remove(0);
    sign_out(&owner).await;
    let copied = with(&own, "signCount", json!(0));
    let twin = TestKey::generate(KeyKind::P256);
    let twin = with(&own, "privateKey", json!(text(twin.pkcs8_der())));
    for stranger in [copied, with(&twin, "signCount", json!(1000))] {
        owner.replace_passkeys(&key, &stranger).await;
        enter_password(&owner).await;
        owner.click("[data-passkey=show]").await;
        owner.reads("The code or the passkey is wrong").await;
    }
    owner.replace_passkeys(&key, &own).await;
    owner.click("[data-passkey=show]").await;
    owner.reads("Overview").await;

    // What it changes takes the key as well.
    owner.go("/console/second-factor").await;
    owner.reads("blue key").await;
    owner.write("#password", PASSWORD).await;
    owner.click("[data-passkey=show]").await;
    owner.reads("Now choose what to change").await;
    owner.click("button[aria-label='Remove the passkey blue key']").await;
    owner.reads("The passkey is removed").await;
    owner.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gives_no_passkey_to_the_console_under_another_name() {
    let Some(browser) = Browser::start() else { return };
    let installation = Installation::start().await;
    let owner = browser.window(installation.admin_address()).await;
    owner.security_key().await;
    enter_password(&owner).await;
    owner.reads("Overview").await;
    owner.go("/console/second-factor").await;
    owner.write("#password", PASSWORD).await;
    owner.click("button[formaction$='/passkeys']").await;
    owner.write("#name", "blue key").await;
    owner.click("[data-passkey=make]").await;
    owner.reads("The browser gives no passkey").await;
    owner.close().await;
}

fn with(passkey: &Value, name: &str, value: Value) -> Value {
    let mut changed = passkey.clone();
    changed[name] = value;
    changed
}

fn text(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

fn made(name: &str, answer: &SecurityKeyAnswer) -> Value {
    json!({
        "name": name,
        "clientData": text(&answer.client_data),
        "authenticatorData": text(&answer.authenticator_data),
        "publicKey": text(&answer.proof),
    })
}

/// What a browser sends when somebody shows a key.
fn shown(key: &SecurityKey, challenge: &str) -> [(&'static str, String); 4] {
    let answer = key.show(challenge);
    [
        ("credential", text(&key.credential)),
        ("clientData", text(&answer.client_data)),
        ("authenticatorData", text(&answer.authenticator_data)),
        ("signature", text(&answer.proof)),
    ]
}

/// The caller's proof, with a key.
fn proof(key: &SecurityKey, challenge: &str) -> Value {
    let fields = shown(key, challenge).into_iter().map(|(name, value)| (name.to_owned(), json!(value)));
    let mut proof = Value::Object(fields.collect());
    proof["password"] = json!(PASSWORD);
    proof
}

fn attribute<'a>(page: &'a Answer, name: &str) -> &'a str {
    let (_, rest) = page.text.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("{name}: {page:?}"));
    rest.split('"').next().unwrap()
}

/// Somebody with a password, signed in.
struct Grace<'a> {
    plane: &'a Plane,
    session: String,
}

impl Grace<'_> {
    async fn call(&self, call: Call) -> Answer {
        self.plane.admin(call.bearer(&self.session)).await
    }

    async fn post(&self, step: &str, body: &Value) -> Answer {
        self.call(Call::post(format!("{PATH}{step}"), body)).await
    }

    /// Makes a passkey, with what has to be shown first.
    async fn make(&self, key: &SecurityKey, first: &Value) -> Answer {
        let wanted = self.post("", first).await;
        assert_eq!(wanted.status, StatusCode::CREATED, "{wanted:?}");
        self.post("/confirm", &made("blue key", &key.make(&wanted.field("challenge")))).await
    }
}

async fn grace(plane: &Plane) -> Grace<'_> {
    let wanted = json!({ "email": GRACE, "role": "viewer", "password": PASSWORD });
    plane.as_owner(Call::post("/api/v1/users", &wanted)).await;
    let login = json!({ "email": GRACE, "password": PASSWORD });
    let session = plane.admin(Call::post("/api/v1/auth/login", &login)).await.field("token");
    Grace { plane, session }
}

#[tokio::test]
async fn the_api_makes_asks_for_and_removes_passkeys() {
    let plane = Plane::start().await;
    let grace = grace(&plane).await;
    let password = json!({ "password": PASSWORD });
    let ask = async || grace.call(Call::new(Method::POST, format!("{PATH}/challenge"))).await;
    assert_eq!(ask().await.code(), "SECOND_FACTOR_MISSING");
    let foreign = SecurityKey { origin: "https://evil.example".into(), ..SecurityKey::new() };
    let refused = grace.make(&foreign, &password).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "PASSKEY_REFUSED".to_owned()));
    assert!(refused.text.contains("https://evil.example"), "{refused:?}");
    let key = SecurityKey::new();
    let codes = grace.make(&key, &password).await.json();
    assert_eq!(codes["recoveryCodes"].as_array().unwrap().len(), 10);

    let unproved = grace.post("", &password).await;
    assert_eq!((unproved.status.as_u16(), unproved.code()), (403, "WRONG_CODE".to_owned()));
    let spoilt = json!({ "password": PASSWORD, "credential": "§" });
    assert_eq!(grace.post("", &spoilt).await.status, StatusCode::BAD_REQUEST);
    let used = proof(&key, &ask().await.field("challenge"));
    let none = grace.make(&SecurityKey::new(), &used).await.json();
    assert_eq!(none["recoveryCodes"], json!([]));
    assert_eq!(grace.post("", &used).await.code(), "WRONG_CODE", "replayed");

    let own = grace.call(Call::get("/api/v1/auth/second-factor")).await.json();
    assert_eq!((own["passkeys"].as_array().unwrap().len(), &own["totpSince"]), (2, &Value::Null));
    let (first, second) = (&own["passkeys"][0]["id"], &own["passkeys"][1]["id"]);
    for (id, code) in [(first, &codes["recoveryCodes"][0]), (second, &codes["recoveryCodes"][1])] {
        let step = format!("/{}/remove", id.as_str().unwrap());
        let removed = grace.post(&step, &json!({ "password": PASSWORD, "code": code })).await;
        assert_eq!(removed.status, StatusCode::NO_CONTENT, "{removed:?}");
    }
    let gone = grace.post(&format!("/{}/remove", first.as_str().unwrap()), &password).await;
    assert_eq!(gone.code(), "SECOND_FACTOR_MISSING");
}

#[tokio::test]
async fn a_signature_opens_the_sign_in_that_asked_for_it_once() {
    let plane = Plane::start().await;
    let key = SecurityKey::new();
    grace(&plane).await.make(&key, &json!({ "password": PASSWORD })).await;
    let login = json!({ "email": GRACE, "password": PASSWORD });
    assert_eq!(plane.admin(Call::post("/api/v1/auth/login", &login)).await.code(), "SECOND_FACTOR_REQUIRED");
    let begin = async || {
        let form = [("email", GRACE), ("password", PASSWORD)];
        let page = plane.page(Call::form("/console/login", &form), "").await;
        let begun = page.text.split_once("name=\"begun\" value=\"").unwrap().1.split('"').next().unwrap();
        (begun.to_owned(), attribute(&page, "data-challenge").to_owned())
    };
    let finish = async |begun: &str, shown: [(&'static str, String); 4]| {
        let mut fields = vec![("begun", begun), ("next", "/console/devices")];
        fields.extend(shown.iter().map(|(name, value)| (*name, value.as_str())));
        plane.page(Call::form("/console/login/code", &fields), "").await
    };
    let ((one, challenge), (another, _)) = (begin().await, begin().await);
    let signed = || shown(&key, &challenge);
    let elsewhere = finish(&another, signed()).await;
    assert_eq!(elsewhere.status, StatusCode::UNAUTHORIZED, "{elsewhere:?}");
    assert!(elsewhere.text.contains("The code or the passkey is wrong"));
    let entered = finish(&one, signed()).await;
    assert_eq!(entered.header(&header::LOCATION), "/console/devices", "{entered:?}");
    let again = finish(&one, signed()).await;
    assert!(
        again.text.contains("Begin again") && again.headers.get(header::SET_COOKIE).is_none(),
        "{again:?}"
    );
}
