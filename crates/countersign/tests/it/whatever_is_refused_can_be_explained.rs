//! Proves that every failed answer with a request id can be explained, with a meaning and with what to
//! do, and that the codes which no test here provokes are told about at least.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use countersign_testkit::{Answer, Connection};
use serde_json::{Value, json};

use crate::harness::{Device, Installation, done, enrolment, eventually};
use crate::program::repository;

const PATIENCE: Duration = Duration::from_secs(30);
const JSON: (&str, &str) = ("content-type", "application/json");

/// The codes of the reference that answers have; those of rules stand in what `config check` says.
fn codes_of_the_reference() -> BTreeSet<String> {
    let reference = fs_err::read_to_string(repository().join("docs/reference/error-codes.md")).unwrap();
    let answers = reference.split("## Rules").next().unwrap();
    let codes = answers.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    codes.map(|(code, _)| code.to_owned()).collect()
}

/// What a request was answered, by its code.
#[derive(Default)]
struct Provoked(BTreeMap<String, String>);

impl Provoked {
    #[track_caller]
    fn add(&mut self, code: &str, answer: &Answer) {
        assert_eq!(answer.code(), code, "{} {}", answer.status, answer.text());
        let id = answer.json()["requestId"].as_str().unwrap().to_owned();
        assert_eq!(answer.header("x-request-id"), id);
        self.0.insert(code.to_owned(), id);
    }
}

async fn at_the_admin_listener(installation: &Installation, provoked: &mut Provoked) {
    let (admin, stranger) = (installation.admin(), installation.stranger());
    let address = installation.admin_address();
    let plain = async |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let mut connection = Connection::plain(address).await.unwrap();
        connection.request(method, path, headers, body.to_owned()).await.unwrap()
    };
    provoked.add("UNAUTHORIZED", &stranger.get("/devices").await);
    let credentials = json!({ "email": "nobody@example.com", "password": "wrong" });
    provoked.add("INVALID_CREDENTIALS", &stranger.post("/auth/login", &credentials).await);
    let again = json!({ "token": "cst_x", "email": "a@example.com", "password": "correct horse battery" });
    provoked.add("SETUP_DONE", &stranger.post("/setup", &again).await);
    provoked.add("NOT_FOUND", &admin.get("/nothing").await);
    provoked.add("METHOD_NOT_ALLOWED", &admin.call("DELETE", "/devices", None).await);
    provoked.add("INVALID_REQUEST", &admin.post("/tenants", &json!({ "slug": "Not A Slug" })).await);
    let evil = [("host", "evil.example")];
    provoked.add("HOST_NOT_ALLOWED", &plain("GET", "/api/v1/devices", &evil, "").await);
    let origin = [("origin", "http://evil.example"), JSON];
    provoked.add("ORIGIN_NOT_ALLOWED", &plain("POST", "/api/v1/auth/login", &origin, "{}").await);
    provoked.add("INVALID_JSON", &plain("POST", "/api/v1/auth/login", &[JSON], "{").await);
    let large = format!("{{\"email\":\"{}\"}}", "x".repeat(2 << 20));
    provoked.add("BODY_TOO_LARGE", &plain("POST", "/api/v1/auth/login", &[JSON], &large).await);
    let tenant = json!({ "slug": "acme", "name": "Acme" });
    done(&admin.post("/tenants", &tenant).await);
    provoked.add("TENANT_TAKEN", &admin.post("/tenants", &tenant).await);
    provoked.add("TENANT_STATE", &admin.post("/tenants/acme/resume", &json!({})).await);
    let bearer = format!("Bearer {}", admin.token());
    let stale = [JSON, ("if-match", "\"stale\""), ("authorization", bearer.as_str())];
    let settings = "/api/v1/agents/org/acme/settings/mtls";
    provoked.add("SETTINGS_CHANGED", &plain("PATCH", settings, &stale, "{}").await);
    let key = admin.enrollment_key(json!({})).await;
    let revoke = format!("/enrollment-keys/{}/revoke", key.id);
    done(&admin.post(&revoke, &json!({})).await);
    provoked.add("ALREADY_REVOKED", &admin.post(&revoke, &json!({})).await);
}

async fn at_the_door(installation: &Installation, provoked: &mut Provoked) {
    let admin = installation.admin();
    let device = Device::enrol(installation, "ws-01").await;
    provoked.add("DEVICE_STATE", &admin.approve(device.id).await);
    let mut door = installation.connect().await;
    let enrol = enrolment("not-a-key", "ws-02", None);
    let answer = door.json("POST", "/api/v1/agents/enroll", None, Some(&enrol)).await.unwrap();
    provoked.add("ENROLLMENT_KEY_REFUSED", &answer);
    let mut taken = enrolment(&admin.one_use_key().await, "ws-01", None);
    taken["deviceName"] = json!("ws-01");
    let answer = door.json("POST", "/api/v1/agents/enroll", None, Some(&taken)).await.unwrap();
    provoked.add("DEVICE_NAME_TAKEN", &answer);
    admin.set(json!({ "enforcement": "enforce" })).await;
    provoked.add("MTLS_REQUIRED", &device.heartbeat(&mut door).await);
    provoked.add(
        "PATH_ENCODED_DELIMITER",
        &installation.connect().await.request("GET", "/a%2fb", &[], String::new()).await.unwrap(),
    );
    let nowhere = installation.connect().await.request("GET", "/nowhere", &[], String::new()).await.unwrap();
    provoked.add("NOT_FOUND", &nowhere);
    let away = installation.connect().await.request("GET", "/away", &[], String::new()).await.unwrap();
    provoked.add("UPSTREAM_UNREACHABLE", &away);
    let blocked =
        installation.connect().await.request("GET", "/away/blocked", &[], String::new()).await.unwrap();
    provoked.add("RULE_BLOCKED", &blocked);
    done(&admin.quarantine(device.id, "lost").await);
    provoked.add("DEVICE_QUARANTINED", &device.heartbeat(&mut installation.connect().await).await);
}

#[tokio::test]
async fn every_answer_that_fails_is_explained() {
    let config = "[[route]]\npath = \"/away\"\nupstream = \"http://127.0.0.1:1\"\nrequire_identity = false\n\
                  [[rule]]\nname = \"none\"\nexpression = 'http.request.uri.path contains \"/blocked\"'\n";
    let installation = Installation::configured(config, crate::harness::Time::Real).await;
    let mut provoked = Provoked::default();
    at_the_admin_listener(&installation, &mut provoked).await;
    at_the_door(&installation, &mut provoked).await;
    let known = codes_of_the_reference();
    for (code, id) in &provoked.0 {
        assert!(known.contains(code), "{code} is not in the reference");
        let explained = eventually(PATIENCE, "it is written down", async || {
            let ran = installation.run(&["explain", "--json", id]);
            (ran.code == 0).then(|| serde_json::from_str::<Value>(&ran.stdout).unwrap())
        })
        .await;
        assert_eq!(explained["code"], **code, "{explained}");
        for told in ["meaning", "toDo", "outcome", "at"] {
            assert!(explained[told].as_str().is_some_and(|text| !text.is_empty()), "{told}: {explained}");
        }
        assert_eq!(explained["facts"]["address"], "127.0.0.1", "{explained}");
    }
    let told = installation.run(&["explain", &provoked.0["DEVICE_QUARANTINED"]]).stdout;
    assert!(told.contains("why "), "{told}");
    assert!(told.contains("DEVICE_QUARANTINED: the device waits for a decision"), "{told}");
    assert!(told.contains("tenant default") && told.contains("device "), "{told}");
}

#[test]
fn every_code_of_the_reference_has_an_advice_and_no_other() {
    let source = repository().join("crates/countersign/src/cli/explain_advice.rs");
    let source = fs_err::read_to_string(source).unwrap();
    let table = source.split("ADVICE: &[").nth(1).unwrap().split("\n];").next().unwrap();
    let words = table.split('"').skip(1).step_by(2);
    let is_of_code = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let is_code = |word: &&str| word.bytes().all(is_of_code) && word.len() > 5;
    let advised: BTreeSet<String> = words.filter(is_code).map(str::to_owned).collect();
    assert_eq!(advised, codes_of_the_reference());
}
