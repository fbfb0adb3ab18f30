//! Proves that `countersign cloudflare …` does at the API what it says, once, and that what fails says what
//! helps, without the token.

use std::sync::Arc;

use countersign_core::time::SystemClock;
use countersign_testkit::{
    CLOUDFLARE_ACCOUNT, CLOUDFLARE_TOKEN, CLOUDFLARE_ZONE, FakeCloudflare, TestCa, Trouble,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Ran, run};

const RULES: &str =
    "\n[[rule]]\nname = \"agents show a certificate\"\nexpression = 'not cf.tls_client_auth.cert_verified'\n";

struct Desk {
    folder: TempDir,
    fake: FakeCloudflare,
}

impl Desk {
    async fn new() -> Self {
        let fake = FakeCloudflare::start(Arc::new(SystemClock)).await;
        let folder = tempfile::tempdir().unwrap();
        let config = format!("[mtls]\ncloudflare_api_url = \"{}\"\n{RULES}", fake.url());
        fs_err::write(folder.path().join("c.toml"), config).unwrap();
        Self { folder, fake }
    }

    /// Off the runtime's thread, on which the fake answers.
    async fn run(&self, arguments: &[&str]) -> Ran {
        let folder = self.folder.path().to_owned();
        let arguments: Vec<String> =
            ["cloudflare"].iter().chain(arguments).map(|one| (*one).to_owned()).collect();
        let ran = tokio::task::spawn_blocking(move || {
            let variables = [
                ("CLOUDFLARE_API_TOKEN", CLOUDFLARE_TOKEN),
                ("CLOUDFLARE_ZONE_ID", CLOUDFLARE_ZONE),
                ("COUNTERSIGN_CONFIG", "c.toml"),
            ];
            run(&folder, &variables, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
        });
        let ran = ran.await.unwrap();
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(CLOUDFLARE_TOKEN));
        ran
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat()).await;
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }
}

#[tokio::test]
async fn rules_are_pushed_beside_those_of_others_and_come_back() {
    let desk = Desk::new().await;
    let theirs = json!({ "ref": "theirs", "description": "theirs", "expression": "ssl",
        "action": "managed_challenge", "enabled": true, "version": "1" });
    desk.fake.set_rules(vec![theirs]);
    let dry = desk.json(&["push-rules", "--dry-run"]).await;
    assert_eq!((&dry["changed"], desk.fake.rules().len()), (&json!(true), 1));
    assert_eq!(desk.json(&["push-rules"]).await["others"], 1);
    assert_eq!(desk.fake.rules().len(), 2);
    assert_eq!(desk.json(&["push-rules"]).await["changed"], false, "nothing to change");
    assert_eq!(desk.fake.count("PUT", "entrypoint"), 1);

    let ran = desk.run(&["import-rules"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("left out \"theirs\": there is no action \"managed_challenge\" here"));
    assert!(ran.stdout.contains("# left out \"theirs\""), "{}", ran.stdout);
    fs_err::write(desk.folder.path().join("imported.toml"), &ran.stdout).unwrap();
    let checked = run(desk.folder.path(), &[], &["config", "check", "--config", "imported.toml"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    assert!(ran.stdout.contains("agents show a certificate"));
}

#[tokio::test]
async fn an_expression_that_only_cloudflare_reads_is_left_out() {
    let desk = Desk::new().await;
    let rules = json!([{ "description": "odd", "expression": "no.such.field eq 1", "action": "block" }]);
    fs_err::write(desk.folder.path().join("rules.json"), rules.to_string()).unwrap();
    let imported = desk.json(&["import-rules", "--file", "rules.json"]).await;
    assert_eq!((&imported["rules"], &imported["leftOut"][0]["name"]), (&json!([]), &json!("odd")));
    fs_err::write(desk.folder.path().join("rules.json"), "{}").unwrap();
    let ran = desk.run(&["import-rules", "--file", "rules.json"]).await;
    assert!(ran.code == 1 && ran.stderr.contains("there is no list of rules in it"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_ca_is_uploaded_once_and_a_key_is_not() {
    let desk = Desk::new().await;
    let ca = TestCa::new("countersign.internal");
    fs_err::write(desk.folder.path().join("ca.pem"), ca.root_pem()).unwrap();
    fs_err::write(desk.folder.path().join("key.pem"), ca.device("acme", "d1").key_pem()).unwrap();
    let push = ["push-ca", "--ca", "ca.pem", "--account-id", CLOUDFLARE_ACCOUNT];
    let first = desk.json(&[&push[..], &["--hostname", "gateway.example.com"]].concat()).await;
    assert_eq!(first["uploaded"], true);
    let again = desk.json(&push).await;
    assert_eq!((&again["uploaded"], &again["id"]), (&json!(false), &first["id"]));
    assert_eq!(again["hostnames"], json!(["gateway.example.com"]));
    assert_eq!(desk.fake.uploaded().len(), 1);
    let key = desk.run(&["push-ca", "--ca", "key.pem", "--account-id", CLOUDFLARE_ACCOUNT]).await;
    assert!(key.code == 2 && key.stderr.contains("never a key"), "{}", key.stderr);
}

#[tokio::test]
async fn status_counts_and_what_fails_says_what_helps() {
    let desk = Desk::new().await;
    assert_eq!(desk.json(&["status"]).await["certificates"]["active"], 0);
    assert!(desk.run(&["status"]).await.stdout.starts_with("The token works.\n"));
    for (trouble, said) in [
        (Trouble::Forbidden, "hint: the token needs Zone > SSL and Certificates > Edit"),
        (Trouble::Failing(503), "cloudflare's api fails with status 503"),
        (Trouble::Garbage, "cannot read the answer"),
        (Trouble::AnswerLost, "cloudflare's api gave no answer"),
    ] {
        desk.fake.has(Some(trouble));
        let ran = desk.run(&["status"]).await;
        assert!(ran.code == 1 && ran.stderr.contains(said), "{}", ran.stderr);
    }
    let unset = run(desk.folder.path(), &[], &["cloudflare", "status"]);
    assert!(unset.code == 1 && unset.stderr.contains("CLOUDFLARE_API_TOKEN is not set"), "{}", unset.stderr);
    assert!(unset.stderr.contains("hint: make a token"));
}
