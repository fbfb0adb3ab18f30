//! Proves that whoever has a second factor signs in with it alone, on the console without JavaScript, over the
//! API and from the command line; that everybody can be made to have one; and how one that is lost is removed.

use std::path::Path;
use std::process::{Command, Stdio};

use countersign_core::time::Clock as _;
use countersign_store::Role;
use countersign_testkit::AuthenticatorApp;
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::in_process::{Answer, Call, OWN, Plane, Whose};
use crate::program::{Ran, run};
use crate::server::Server;

const EMAIL: &str = "grace@example.com";
const PASSWORD: &str = "correct horse battery staple";

/// A browser without JavaScript.
struct Visitor<'a> {
    plane: &'a Plane,
    session: String,
}

impl Visitor<'_> {
    async fn get(&self, path: &str) -> Answer {
        self.plane.page(Call::get(path), &self.session).await
    }

    /// Sends a form of a page.
    async fn send(&self, page: &Answer, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mark = page.mark();
        let fields: Vec<_> = std::iter::once(&("csrf", mark.as_str())).chain(fields).copied().collect();
        self.plane.page(Call::form(path, &fields), &self.session).await
    }
}

fn session_of(answer: &Answer) -> Option<String> {
    let cookie = answer.headers.get(header::SET_COOKIE)?.to_str().unwrap();
    let (_, rest) = cookie.split_once("countersign_session=")?;
    Some(rest.split(';').next().unwrap().to_owned())
}

fn between<'a>(answer: &'a Answer, before: &str, after: &str) -> &'a str {
    let (_, rest) = answer.text.split_once(before).unwrap_or_else(|| panic!("{before}: {answer:?}"));
    rest.split(after).next().unwrap()
}

/// Somebody with a password, signed in at the console.
async fn grace(plane: &Plane) -> Visitor<'_> {
    let wanted = json!({ "email": EMAIL, "role": "operator", "tenant": OWN, "password": PASSWORD });
    plane.as_owner(Call::post("/api/v1/users", &wanted)).await;
    let answer =
        plane.page(Call::form("/console/login", &[("email", EMAIL), ("password", PASSWORD)]), "").await;
    Visitor { plane, session: session_of(&answer).unwrap() }
}

/// Sets the second factor up: the app, and the recovery codes.
async fn set_up(visitor: &Visitor<'_>) -> (AuthenticatorApp, Vec<String>) {
    let page = visitor.get("/console/second-factor").await;
    let page = visitor.send(&page, "/console/second-factor", &[("password", PASSWORD)]).await;
    assert!(page.text.contains("The key as a QR code"), "{page:?}");
    let app = AuthenticatorApp::with_key(between(&page, "<code id=\"key\">", "<"));
    let wrong = visitor.send(&page, "/console/second-factor/confirm", &[("code", "000000")]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN, "{wrong:?}");
    assert!(wrong.text.contains("The code is wrong") && wrong.text.contains("The key as a QR code"));
    let code = app.code_at(visitor.plane.clock.now());
    let done = visitor.send(&wrong, "/console/second-factor/confirm", &[("code", &code)]).await;
    let codes = between(&done, "<code id=\"codes\">", "<").lines().map(ToOwned::to_owned).collect();
    visitor.plane.clock.advance(std::time::Duration::from_secs(60));
    (app, codes)
}

/// The page that asks for the code, and what it is to be sent with.
async fn asked(plane: &Plane) -> String {
    let form = [("email", EMAIL), ("password", PASSWORD), ("next", "/console/devices")];
    let page = plane.page(Call::form("/console/login", &form), "").await;
    assert_eq!((page.status, session_of(&page)), (StatusCode::OK, None), "{page:?}");
    between(&page, "name=\"begun\" value=\"", "\"").to_owned()
}

#[tokio::test]
async fn the_console_sets_it_up_and_asks_for_it_by_forms_alone() {
    let plane = Plane::start().await;
    let visitor = grace(&plane).await;
    let (app, codes) = set_up(&visitor).await;
    assert_eq!(codes.len(), 10);
    let own = visitor.get("/console/second-factor").await;
    assert!(own.text.contains("Recovery codes left") && !own.text.contains(&codes[0]), "{own:?}");
    assert!(!own.text.contains("QR code"), "the key is not shown again");

    let begun = asked(&plane).await;
    let send = async |begun: &str, code: &str| {
        let fields = [("begun", begun), ("code", code), ("next", "/console/devices")];
        plane.page(Call::form("/console/login/code", &fields), "").await
    };
    let wrong = send(&begun, "000000").await;
    assert_eq!((wrong.status, session_of(&wrong)), (StatusCode::UNAUTHORIZED, None));
    assert!(wrong.text.contains("The code or the passkey is wrong") && wrong.text.contains(&begun));
    let right = send(&begun, &app.code_at(plane.clock.now())).await;
    assert_eq!(right.header(&header::LOCATION), "/console/devices", "{right:?}");
    let visitor = Visitor { plane: &plane, session: session_of(&right).unwrap() };
    assert_eq!(visitor.get("/console/devices").await.status, StatusCode::OK);
    let late = send(&begun, &codes[0]).await;
    assert!(late.text.contains("Begin again") && session_of(&late).is_none(), "{late:?}");
    let elsewhere =
        [("begun", &*asked(&plane).await), ("code", &codes[0]), ("next", "https://evil.example/")];
    let elsewhere = plane.page(Call::form("/console/login/code", &elsewhere), "").await;
    assert_eq!(elsewhere.header(&header::LOCATION), "/console/");

    let page = visitor.get("/console/second-factor").await;
    let proof = [("password", PASSWORD), ("code", codes[1].as_str())];
    let fresh = visitor.send(&page, "/console/second-factor/codes", &proof).await;
    let fresh = between(&fresh, "<code id=\"codes\">", "<").lines().next().unwrap().to_owned();
    let used = visitor.send(&page, "/console/second-factor/remove", &proof).await;
    assert_eq!(used.status, StatusCode::FORBIDDEN, "{used:?}");
    let proof = [("password", PASSWORD), ("code", fresh.as_str())];
    let removed = visitor.send(&page, "/console/second-factor/remove", &proof).await;
    assert_eq!(removed.status, StatusCode::SEE_OTHER, "{removed:?}");
    let form = [("email", EMAIL), ("password", PASSWORD)];
    assert!(session_of(&plane.page(Call::form("/console/login", &form), "").await).is_some());
}

#[tokio::test]
async fn whoever_lacks_one_that_everybody_needs_is_led_to_set_it_up() {
    let plane = Plane::start().await;
    let visitor = grace(&plane).await;
    let (admin, bound) =
        (plane.people.token(Role::Admin, Whose::Everyones), plane.people.token(Role::Owner, Whose::Own));
    for token in [admin, bound] {
        let change = Call::new(http::Method::PATCH, "/api/v1/sign-in-settings");
        let refused = plane.admin(change.json(&json!({ "secondFactor": "required" })).bearer(token)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (403, "FORBIDDEN".to_owned()));
    }
    let token =
        plane.as_owner(Call::post("/api/v1/api-tokens", &json!({ "name": "CI" }))).await.field("token");
    let owner = Visitor { plane: &plane, session: plane.owner.clone() };
    let people = owner.get("/console/people").await;
    owner.send(&people, "/console/sign-in-settings", &[("secondFactor", "required")]).await;

    for path in ["/console/", "/console/devices", "/console/account"] {
        let led = visitor.get(path).await;
        assert_eq!(led.header(&header::LOCATION), "/console/second-factor", "{path}: {led:?}");
    }
    let page = visitor.get("/console/second-factor").await;
    assert!(page.text.contains("Everybody needs a second factor here"), "{page:?}");
    let devices = || Call::get("/api/v1/devices");
    let refused = plane.admin(devices().bearer(&visitor.session)).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "SECOND_FACTOR_SETUP_REQUIRED".to_owned()));
    assert_eq!(plane.admin(devices().bearer(&token)).await.status, 200, "programs go on");
    let own = plane.admin(Call::get("/api/v1/auth/second-factor").bearer(&visitor.session)).await.json();
    assert_eq!(own, json!({ "passkeys": [], "recoveryCodesLeft": 0, "policy": "required" }));

    set_up(&visitor).await;
    assert_eq!(visitor.get("/console/devices").await.status, StatusCode::OK);
    assert_eq!(plane.admin(devices().bearer(&visitor.session)).await.status, 200);
}

/// Runs the binary in a folder, with this on its stdin.
fn told(folder: &Path, lines: &str, arguments: &[&str]) -> Ran {
    let path = folder.join("typed");
    fs_err::write(&path, lines).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs([("HOME", folder.to_str().unwrap()), PORTS])
        .stdin(Stdio::from(fs_err::File::open(&path).unwrap().into_file()))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

const PORTS: (&str, &str) = ("COUNTERSIGN_PORTS_FILE", "ports.json");

/// What `oathtool` makes of a key: an app that is not ours.
fn oathtool(key: &str, when: &str) -> String {
    let output = Command::new("oathtool").args(["--totp", "-b", key, "-N", when]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Sets the second factor of a session's person up over the API: the key and the recovery codes.
fn set_up_over_the_api(server: &Server, session: &str) -> (String, Value) {
    let begin = json!({ "password": PASSWORD }).to_string();
    let pending = server.call("/auth/second-factor/totp", session, Some(&begin));
    let key = pending["key"].as_str().unwrap_or_else(|| panic!("{pending}")).to_owned();
    let confirm = json!({ "code": oathtool(&key, "now") }).to_string();
    let codes = server.call("/auth/second-factor/totp/confirm", session, Some(&confirm));
    (key, codes["recoveryCodes"].clone())
}

#[test]
fn the_command_line_asks_for_a_code_and_a_lost_one_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder, &["--ports-file", "ports.json"]);
    let owner = server.set_up();
    let (key, codes) = set_up_over_the_api(&server, &owner);
    let login = ["login", "owner@example.com"];
    let without = told(folder, &format!("{PASSWORD}\n"), &login);
    assert!(without.code != 0 && without.stderr.contains("the code is empty"), "{}", without.stderr);
    let wrong = told(folder, &format!("{PASSWORD}\n000000\n"), &login);
    assert!(wrong.code != 0 && wrong.stderr.contains("the code is wrong"), "{}", wrong.stderr);
    let right = format!("{PASSWORD}\n{}\n", oathtool(&key, "now + 30 seconds"));
    let entered = told(folder, &right, &login);
    assert_eq!(entered.code, 0, "{}", entered.stderr);
    assert!(told(folder, &right, &login).stderr.contains("used before"));
    let body = json!({ "email": "owner@example.com", "password": PASSWORD, "code": codes[0] }).to_string();
    assert!(server.call("/auth/login", "", Some(&body))["token"].is_string());
    assert_eq!(server.call("/auth/login", "", Some(&body))["code"], "SECOND_FACTOR_WRONG");
    let body = json!({ "email": "owner@example.com", "password": PASSWORD }).to_string();
    assert_eq!(server.call("/auth/login", "", Some(&body))["code"], "SECOND_FACTOR_REQUIRED");

    let wanted = json!({ "email": EMAIL, "role": "viewer", "password": PASSWORD }).to_string();
    server.call("/users", &owner, Some(&wanted));
    let login = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    let grace = server.call("/auth/login", "", Some(&login))["token"].as_str().unwrap().to_owned();
    set_up_over_the_api(&server, &grace);
    let does = |arguments: &[&str]| {
        let ran = told(folder, "", arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    };
    assert_eq!(does(&["user", "second-factor", "policy"]), "optional\n");
    assert_eq!(does(&["user", "second-factor", "policy", "required"]), "required\n");
    does(&["user", "second-factor", "remove", EMAIL]);
    let again = told(folder, "", &["user", "second-factor", "remove", EMAIL]);
    assert!(again.code != 0 && again.stderr.contains("SECOND_FACTOR_MISSING"), "{}", again.stderr);
    let grace = server.call("/auth/login", "", Some(&login))["token"].as_str().unwrap().to_owned();
    assert_eq!(server.call("/devices", &grace, None)["code"], "SECOND_FACTOR_SETUP_REQUIRED");

    let reset = ["user", "reset-second-factor", "owner@example.com"];
    assert!(run(folder, &[], &reset).stderr.contains("hint: stop the server first"));
    server.terminate();
    let removed = run(folder, &[], &reset);
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    assert_eq!(run(folder, &[], &reset).code, 3, "there is none");
    let server = Server::start(folder, &[]);
    let session = server.call("/auth/login", "", Some(&body))["token"].as_str().unwrap().to_owned();
    set_up_over_the_api(&server, &session);
    let audit = server.call("/audit?event=user.second_factor_removed", &session, None);
    assert_eq!(audit["entries"][0]["actor"], "operator");
}

/// What the console's page of one's account does, without a browser.
#[test]
fn the_command_line_does_with_ones_own_account_what_the_console_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder, &["--ports-file", "ports.json"]);
    let owner = server.set_up();
    let ran = |lines: &str, arguments: &[&str]| {
        let ran = told(folder, lines, &[&["account"], arguments].concat());
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.stdout
    };
    let refused = |lines: &str, arguments: &[&str], why: &str| {
        let ran = told(folder, lines, &[&["account"], arguments].concat());
        assert!(
            ran.code != 0 && ran.stderr.contains(why) && ran.stdout.is_empty(),
            "{arguments:?}: {}",
            ran.stderr
        );
    };
    refused("", &["show"], "nobody is signed in");
    assert_eq!(told(folder, &format!("{PASSWORD}\n"), &["login", "owner@example.com"]).code, 0);

    let changed = "a longer battery staple";
    refused(&format!("wrong horse battery\n{changed}\n"), &["password"], "the password is wrong");
    refused(&format!("{PASSWORD}\n"), &["password"], "the new password is empty");
    ran(&format!("{PASSWORD}\n{changed}\n"), &["password"]);
    assert_eq!(server.call("/auth/me", &owner, None)["code"], "UNAUTHORIZED", "the other session is over");

    let app: Value =
        serde_json::from_str(&ran(&format!("{changed}\n"), &["second-factor", "set-up", "--json"])).unwrap();
    let key = app["key"].as_str().unwrap();
    refused("000000\n", &["second-factor", "confirm"], "the code is wrong");
    let codes = ran(&format!("{}\n", oathtool(key, "now")), &["second-factor", "confirm"]);
    assert_eq!(codes.lines().count(), 10, "{codes}");
    let shown = ran("", &["show"]);
    assert!(shown.contains("owner@example.com") && shown.contains("since 20"), "{shown}");
    assert!(shown.contains("recovery codes left  10"), "{shown}");

    let spent = codes.lines().next().unwrap();
    let fresh = ran(&format!("{changed}\n{spent}\n"), &["second-factor", "recovery-codes"]);
    assert!(fresh.lines().count() == 10 && !fresh.contains(spent), "{fresh}");
    refused(&format!("{changed}\n{spent}\n"), &["second-factor", "remove"], "used before");
    refused(
        "",
        &["second-factor", "remove-passkey", "blue key"],
        "0 of your passkeys are called \"blue key\"",
    );
    ran(&format!("{changed}\n{}\n", fresh.lines().next().unwrap()), &["second-factor", "remove"]);
    assert!(ran("", &["show"]).contains("one-time codes       none"));

    let invited = told(folder, "", &["user", "create", EMAIL, "--role", "viewer"]);
    let token = invited.stdout.trim();
    refused(&format!("{token}\nshort\n"), &["set-password"], "password");
    ran(&format!("{token}\n{PASSWORD}\n"), &["set-password"]);
    refused(&format!("{token}\n{PASSWORD}\n"), &["set-password"], "the one-time token is unknown, was used");
    assert_eq!(told(folder, &format!("{PASSWORD}\n"), &["login", EMAIL]).code, 0);
}
