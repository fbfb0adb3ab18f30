//! Proves that whoever has nothing but the command line can run an installation: sign in, make tenants, keys,
//! people and tokens, decide about devices and read the audit; and that nothing is asked without a session.

use countersign_testkit::{KeyKind, TestKey};
use serde_json::Value;

use crate::harness::{Device, Installation};
use crate::program::{Ran, run};

/// Somebody at a terminal: their home is in the folder of the installation, their tools are commands.
struct Person<'a> {
    installation: &'a Installation,
    home: String,
}

impl<'a> Person<'a> {
    fn at(installation: &'a Installation, home: &str) -> Self {
        let home = installation.folder().join(home);
        fs_err::create_dir_all(&home).unwrap();
        Self { installation, home: home.to_str().unwrap().to_owned() }
    }

    fn tries(&self, arguments: &[&str]) -> Ran {
        let ports = ("COUNTERSIGN_PORTS_FILE", "ports.json");
        self.installation.run_with(&[("HOME", &self.home), ports], arguments)
    }

    /// What a command that succeeds prints.
    #[track_caller]
    fn does(&self, arguments: &[&str]) -> String {
        let ran = self.tries(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.stdout
    }

    /// The same for machines.
    #[track_caller]
    fn sees(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.does(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// What a command says that fails.
    #[track_caller]
    fn fails(&self, arguments: &[&str]) -> String {
        let ran = self.tries(arguments);
        assert_ne!(ran.code, 0, "{arguments:?}: {}", ran.stdout);
        ran.stderr
    }

    fn signs_in(&self, email: &str) {
        fs_err::write(self.installation.folder().join("password"), "correct horse battery staple\n").unwrap();
        let said = self.tries(&["login", email, "--password-file", "password"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_kept_for_the_commands_that_come_and_ended() {
    let installation = Installation::start().await;
    let person = Person::at(&installation, "home");
    let nobody = person.fails(&["whoami"]);
    assert!(
        nobody.contains("nobody is signed in") && nobody.contains("hint: `countersign login"),
        "{nobody}"
    );
    fs_err::write(installation.folder().join("wrong"), "wrong horse battery staple").unwrap();
    let refused = person.fails(&["login", "owner@example.com", "--password-file", "wrong"]);
    assert!(refused.contains("does not know this e-mail address"), "{refused}");

    person.signs_in("owner@example.com");
    let me = person.sees(&["whoami"]);
    assert_eq!((&me["email"], &me["role"]), (&"owner@example.com".into(), &"owner".into()));
    // A file with a token wins over the session.
    fs_err::write(installation.folder().join("no.token"), "cst_nothing").unwrap();
    let stranger = person.fails(&["whoami", "--token-file", "no.token"]);
    assert!(stranger.contains("401") && stranger.contains("hint: "), "{stranger}");
    // Somebody else's home has no session in it.
    assert!(Person::at(&installation, "other").fails(&["whoami"]).contains("nobody is signed in"));

    let kept = std::path::Path::new(&person.home).join(".config/countersign/sessions.json");
    let copy = fs_err::read(&kept).unwrap();
    person.does(&["logout"]);
    assert!(person.fails(&["whoami"]).contains("nobody is signed in"));
    fs_err::write(&kept, copy).unwrap();
    assert!(person.fails(&["whoami"]).contains("401"), "the server forgot the session too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_run_without_any_page() {
    let installation = Installation::start().await;
    let owner = Person::at(&installation, "home");
    owner.signs_in("owner@example.com");
    owner.does(&["tenant", "create", "acme", "--name", "Acme Ltd"]);
    owner.does(&["site", "create", "berlin", "--tenant", "acme"]);
    let key = owner.does(&["key", "create", "--tenant", "acme", "--uses", "3", "--expires-in", "2h"]);
    let mut devices = Vec::new();
    for name in ["ws-01", "ws-02", "ws-03"] {
        let pair = TestKey::generate(KeyKind::P256);
        devices.push(Device::enrol_with(&installation, key.trim(), name, pair).await);
    }
    let listed = owner.does(&["device", "list", "--tenant", "acme"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("NAME") && lines.len() == 4 && !listed.contains('\u{1b}'), "{listed}");
    assert!(owner.does(&["key", "list", "--tenant", "acme"]).contains("used up"));

    decide_about(&owner);
    configure(&owner);
    let named = owner.fails(&["device", "show", "ws-99"]);
    assert!(named.contains("there is no device ws-99") && named.contains("hint: "), "{named}");
    let entries = owner.sees(&["audit", "list", "--tenant", "acme", "--event", "device.denied"]);
    assert_eq!(entries["entries"][0]["deviceId"], Value::from(devices[0].id.to_string()));
    let followed = owner.does(&["audit", "list", "--tenant", "acme", "--follow", "--count", "3", "--json"]);
    assert_eq!(followed.lines().count(), 3, "{followed}");
}

/// What becomes of the three devices.
fn decide_about(owner: &Person<'_>) {
    owner.does(&["device", "quarantine", "acme/ws-01", "ws-02", "--reason", "looked at"]);
    let waiting = owner.does(&["device", "list", "--status", "quarantined"]);
    assert_eq!(waiting.lines().count(), 3, "{waiting}");
    owner.does(&["device", "approve", "ws-02"]);
    let denied = owner.does(&["device", "deny", "ws-01"]);
    assert!(denied.contains("its key refused") && denied.contains("1 of 1 edges know"), "{denied}");
    let again = owner.fails(&["device", "deny", "ws-01"]);
    assert!(again.contains("409") && again.contains("decommissioned"), "{again}");
    let revoked = owner.does(&["device", "revoke", "ws-03", "--reason", "keyCompromise"]);
    assert!(revoked.contains("certificates revoked: 1"), "{revoked}");
    let shown = owner.does(&["device", "show", "ws-03"]);
    assert!(shown.contains("quarantined") && shown.contains("keyCompromise"), "{shown}");
    owner.does(&["device", "change", "ws-02", "--site", "berlin"]);
    owner.does(&["device", "command", "ws-02", "ping"]);
    assert!(owner.does(&["device", "commands", "ws-02"]).contains("queued"));
    let both = owner.tries(&["device", "approve", "ws-01", "ws-03"]);
    assert_eq!(both.code, 1, "{}", both.stdout);
    assert!(both.stdout.starts_with("ws-03  approved"), "{}", both.stdout);
    assert!(both.stderr.contains("not done for 1 of 2: ws-01"), "{}", both.stderr);
    let keys = owner.sees(&["denied", "list", "--tenant", "acme"]);
    let key = keys["deniedKeys"][0]["spkiSha256"].as_str().unwrap();
    owner.does(&["denied", "lift-key", key]);
    owner.does(&["device", "decommission", "ws-03"]);
}

/// Settings, people, tokens.
fn configure(owner: &Person<'_>) {
    let set = ["settings", "set", "acme", "--cert-lifetime-days", "30", "--heartbeat-interval", "30"];
    let set = owner.sees(&set);
    assert_eq!(set["mtls"]["certLifetimeDays"], 30);
    assert_eq!(
        (&set["mtls"]["renewalOverlapHours"], &set["agent"]["heartbeatIntervalSeconds"]),
        (&24.into(), &30.into())
    );
    assert!(owner.does(&["rollout", "show"]).contains("acme"));
    owner.does(&["rollout", "back"]);
    owner.does(&["tenant", "suspend", "acme"]);
    assert!(owner.does(&["tenant", "list"]).contains("suspended"));
    owner.does(&["tenant", "resume", "acme"]);

    let invitation = owner.does(&["user", "create", "viewer@example.com", "--role", "viewer"]);
    assert!(invitation.starts_with("csp_"), "{invitation}");
    owner.does(&["user", "change", "viewer@example.com", "--tenant", "acme", "--disable"]);
    assert!(owner.does(&["user", "list"]).contains("disabled"));
    let token = owner.does(&["token", "create", "reader", "--scope", "devices:read", "--days", "1"]);
    fs_err::write(owner.installation.folder().join("reader.token"), &token).unwrap();
    let reader = ["--token-file", "reader.token"];
    owner.does(&[&["device", "list"][..], &reader].concat());
    let forbidden = owner.fails(&[&["device", "deny", "ws-02"][..], &reader].concat());
    assert!(forbidden.contains("403") && forbidden.contains("`countersign whoami`"), "{forbidden}");
    let id = owner.sees(&["token", "list"])["apiTokens"][0]["id"].as_str().unwrap().to_owned();
    owner.does(&["token", "revoke", &id]);
    assert!(owner.fails(&[&["device", "list"][..], &reader].concat()).contains("401"));
}

#[test]
fn shells_and_man_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = run(folder.path(), &[], &["completions", shell]);
        assert!(script.code == 0 && script.stdout.contains("decommission"), "{shell}: {}", script.stderr);
    }
    fs_err::write(folder.path().join("c.bash"), run(folder.path(), &[], &["completions", "bash"]).stdout)
        .unwrap();
    let read =
        std::process::Command::new("bash").arg("-n").arg(folder.path().join("c.bash")).status().unwrap();
    assert!(read.success());
    assert!(run(folder.path(), &[], &["man"]).stdout.contains(".TH countersign 1"));
    assert_eq!(run(folder.path(), &[], &["man", "--out", "pages"]).code, 0);
    let page = fs_err::read_to_string(folder.path().join("pages/countersign-device-deny.1")).unwrap();
    assert!(page.contains("Refuse devices for good"), "{page}");
}
