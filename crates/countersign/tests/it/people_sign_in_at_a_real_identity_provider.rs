//! Proves, in a real browser and with the npm package oidc-provider, that people sign in to the console at an
//! identity provider: whoever is mapped gets in as that and stays in, whoever is not mapped does not.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use http::StatusCode;

use crate::harness::{Browser, Installation, Window};
use crate::program::repository;

/// The provider; it ends with its stdin.
struct Provider {
    process: Child,
    issuer: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ended = self.process.wait();
    }
}

impl Provider {
    /// Starts it, installed where it is not yet; `None`, said aloud: it cannot be here.
    fn start(console: &str) -> Option<Self> {
        let folder = repository().join("crates/countersign/tests/oidc_provider");
        if !folder.join("node_modules/oidc-provider/package.json").exists() {
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--no-package-lock"]).current_dir(&folder);
            if !npm.output().is_ok_and(|ran| ran.status.success()) {
                let mut log = std::io::stderr();
                writeln!(log, "left out: the npm package oidc-provider cannot be installed here").unwrap();
                return None;
            }
        }
        let mut node = Command::new("node");
        node.arg("provider.js").arg(console).current_dir(&folder);
        let mut process =
            node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let issuer = lines.find_map(|line| line.ok().filter(|line| line.starts_with("http://"))).unwrap();
        // What it says later is of no interest, and must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { process, issuer })
    }
}

fn config(provider: &Provider, console: &str) -> String {
    let issuer = &provider.issuer;
    format!(
        "[oidc]\nissuer = {issuer:?}\nclient_id = \"countersign\"\n\
         client_secret_file = \"oidc-secret\"\nconsole_url = {console:?}\nname = \"Example ID\"\n\n\
         [[oidc_role]]\nclaim = \"groups\"\nvalue = \"operators\"\nrole = \"operator\"\n"
    )
}

/// From the sign-in page to the provider, where somebody types this.
async fn goes_to_the_provider(window: &Window<'_>, login: &str) {
    window.go("/console/login").await;
    window.reads("Sign in with Example ID").await;
    window.click("a[href='/console/oidc']").await;
    window.reads("The provider").await;
    window.write("#login", login).await;
    window.click("#enter").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_mapped_gets_in_and_who_is_not_does_not() {
    let Some(browser) = Browser::start() else { return };
    let mut installation = Installation::start().await;
    // Both have to know of the other beforehand: the next start is on the same port.
    let console = format!("http://{}", installation.admin_address());
    let Some(provider) = Provider::start(&console) else { return };
    assert!(installation.terminate().await.success());
    installation.reconfigure(&config(&provider, &console));
    let secret = installation.folder().join("oidc-secret");
    fs_err::write(&secret, "between us two\n").unwrap();
    fs_err::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    installation.start_again().await;

    let stranger = browser.window(installation.admin_address()).await;
    goes_to_the_provider(&stranger, "eve:admins").await;
    stranger.reads("nobody here has said what you may do").await;
    stranger.go("/console/devices").await;
    stranger.reads("Sign in").await;
    stranger.close().await;

    let operator = browser.window(installation.admin_address()).await;
    goes_to_the_provider(&operator, "ada:staff:operators").await;
    // By itself, and with a cookie that no other site's page sends.
    operator.reads("Overview").await;
    operator.go("/console/account").await;
    operator.reads("ada@example.com").await;
    operator.reads("operator").await;
    operator.go("/console/people").await;
    operator.reads("Not allowed").await;
    operator.go("/console/account").await;
    // Its button is in a menu.
    operator
        .run("document.querySelector(\"form[action='/console/logout']\").requestSubmit(); return null")
        .await;
    operator.reads("You are signed out.").await;
    operator.reads("Sign out at Example ID too").await;
    operator.close().await;

    let people = installation.admin().get("/users").await.json();
    let ada =
        people["users"].as_array().unwrap().iter().find(|one| one["email"] == "ada@example.com").unwrap();
    assert_eq!(
        (&ada["atProvider"], &ada["invited"], &ada["role"]),
        (&true.into(), &false.into(), &"operator".into())
    );
    let path = format!("/users/{}/reset-password", ada["id"].as_str().unwrap());
    let reset = installation.admin().post(&path, &serde_json::json!({})).await;
    assert_eq!(reset.status, StatusCode::CONFLICT, "there is no way round the provider");
    let audit = installation.admin().audit("event=login.failed").await;
    assert!(
        audit.iter().any(|entry| entry.details.get("reason").is_some_and(|reason| reason == "not_mapped"))
    );
}
