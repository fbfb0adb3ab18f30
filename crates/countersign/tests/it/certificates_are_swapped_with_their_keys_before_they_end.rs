//! Proves that `cert rotate` renews what ends soon and nothing else, keeps what was, tells whoever uses it
//! once, and leaves every certificate with its key wherever it is interrupted.

use countersign_core::time::{Clock as _, SystemClock};
use countersign_testkit::{LeafSpec, TestCa};
use serde_json::{Value, json};

use crate::harness::{Clerk, Installation, days};
use crate::program::Ran;

const KEY: &str = "certs/web/web-key.pem";
const CERTIFICATE: &str = "certs/web/web-cert.pem";

async fn clerk() -> Clerk {
    let clerk = Clerk::at(Installation::start().await).await;
    clerk.issue("web", "20");
    clerk
}

fn rotate(clerk: &Clerk, more: &[&str]) -> Ran {
    clerk.run(&[&["cert", "rotate", "--dir", "certs"], more].concat())
}

#[track_caller]
fn done(ran: &Ran) -> &str {
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    &ran.stdout
}

fn one<'a>(rotated: &'a Value, name: &str) -> &'a Value {
    let all = rotated["certificates"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap()
}

#[tokio::test]
async fn what_is_inside_the_grace_is_renewed_below_the_same_root_and_nothing_else() {
    let mut clerk = clerk().await;
    clerk.issue("agent", "300");
    let before = ["key", "cert", "chain"].map(|what| clerk.text(format!("certs/web/web-{what}.pem")));
    let agent = clerk.text("certs/agent/agent-cert.pem");

    let planned: Value = serde_json::from_str(done(&rotate(&clerk, &["--dry-run", "--json"]))).unwrap();
    assert_eq!(
        (&one(&planned, "web")["outcome"], &one(&planned, "agent")["outcome"]),
        (&json!("due"), &json!("kept"))
    );
    assert_eq!(clerk.text(CERTIFICATE), before[1], "nothing was changed");

    let reload = ["--reload", "echo \"$COUNTERSIGN_RENEWED\" >> told"];
    let rotated = rotate(&clerk, &[&reload[..], &["--json"]].concat());
    let rotated: Value = serde_json::from_str(done(&rotated)).unwrap();
    assert_eq!(one(&rotated, "web")["outcome"], "renewed");
    assert_eq!(rotated["reload"], json!({ "done": true, "error": null }));
    clerk.assert_pair("web");
    assert!(clerk.text(KEY) != before[0] && clerk.text(CERTIFICATE) != before[1]);
    assert_eq!(clerk.text("certs/web/web-chain.pem"), before[2], "the same CAs");
    assert_eq!(clerk.text("certs/agent/agent-cert.pem"), agent);
    assert_eq!(
        (clerk.mode(KEY), clerk.mode(CERTIFICATE), clerk.text("told").as_str()),
        (0o600, 0o644, "web\n")
    );

    let backup = rotated["backup"].as_str().unwrap().replace("[FOLDER]/", "");
    for (what, contents) in ["key", "cert", "chain"].iter().zip(&before) {
        let file = format!("{backup}/web/web-{what}.pem");
        assert_eq!((clerk.text(&file), clerk.mode(&file)), (contents.clone(), 0o600));
    }
    assert_eq!((clerk.mode(&backup), clerk.mode(format!("{backup}/web"))), (0o700, 0o700));
    let superseded = clerk.json(&["cert", "list", "--label", "web", "--state", "superseded"]);
    assert_eq!(superseded["certificates"].as_array().unwrap().len(), 1);

    // With nothing to do no server is needed, and nobody is told.
    assert!(clerk.installation.terminate().await.success());
    let nothing = rotate(&clerk, &[&["--grace", "10d"], &reload[..]].concat());
    assert!(
        done(&nothing).contains("nothing to renew: all 2 are good for more than 10 days"),
        "{}",
        nothing.stdout
    );
    assert_eq!(clerk.text("told"), "web\n");
    let due = rotate(&clerk, &reload);
    assert_eq!(due.code, 1, "{}", due.stdout);
    assert!(
        due.stdout.contains("failed   web: ") && due.stderr.contains("not renewed: web"),
        "{}",
        due.stderr
    );
    clerk.assert_pair("web");
}

#[tokio::test]
async fn wherever_it_is_killed_the_certificate_has_its_key_and_the_next_run_does_the_rest() {
    let clerk = clerk().await;
    let arguments = ["cert", "rotate", "--dir", "certs", "--reload", "echo \"$COUNTERSIGN_RENEWED\" >> told"];
    let places = [
        "backed-up",
        "settle",
        "settle-key",
        "settle-cert",
        "settle-chain",
        "renewed",
        "staged",
        "swapped",
        "reload",
    ];
    for place in places {
        // The first steps are for plain files: as somebody would have copied them here.
        let files = ["key", "cert", "chain"].map(|what| format!("certs/web/web-{what}.pem"));
        for file in files {
            let (contents, mode) = (clerk.text(&file), clerk.mode(&file));
            fs_err::remove_file(clerk.path(&file)).unwrap();
            clerk.write(&file, &contents);
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs_err::set_permissions(clerk.path(&file), mode).unwrap();
        }
        let before = clerk.text(KEY);
        clerk.crash(place, &arguments);
        clerk.assert_pair("web");
        let is_new = ["swapped", "reload"].contains(&place);
        assert_eq!(clerk.text(KEY) != before, is_new, "{place}");
        assert!(!clerk.path("told").exists(), "{place}");

        clerk.must(&arguments);
        clerk.assert_pair("web");
        assert_eq!(clerk.text("told"), "web\n", "{place}");
        fs_err::remove_file(clerk.path("told")).unwrap();
        assert_eq!(fs_err::read_dir(clerk.path("certs/web/.versions")).unwrap().count(), 1, "{place}");
        let hidden = fs_err::read_dir(clerk.path("certs/web")).unwrap();
        let hidden =
            hidden.filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with('.'));
        assert_eq!(hidden.count(), 2, "{place}: .current and .versions");
    }
    // What was killed after the swap is not due any more, and who uses it is told nevertheless.
    let settled = [&arguments[..], &["--grace", "10d"]].concat();
    clerk.crash("swapped", &arguments);
    assert!(clerk.must(&settled).contains("reloaded"));
    assert_eq!(clerk.text("told"), "web\n");
    assert!(!clerk.must(&settled).contains("reloaded"), "once");
}

#[tokio::test]
async fn a_reload_that_fails_is_told_and_done_again() {
    let clerk = clerk().await;
    let before = clerk.text(CERTIFICATE);
    let failed = rotate(&clerk, &["--reload", "echo from the hook; exit 3"]);
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("the reload command failed: exit status: 3"), "{}", failed.stderr);
    assert!(failed.stderr.contains("from the hook") && !failed.stdout.contains("from the hook"));
    assert_ne!(clerk.text(CERTIFICATE), before, "what was renewed is in place");
    clerk.assert_pair("web");
    let again = rotate(&clerk, &["--grace", "10d", "--reload", "touch told"]);
    assert!(done(&again).contains("reloaded") && clerk.path("told").exists());
}

#[tokio::test]
async fn what_cannot_be_renewed_stays_and_the_others_are_renewed() {
    let clerk = clerk().await;
    let soon = SystemClock.now() + days(5);
    let foreign = TestCa::new("elsewhere.example")
        .mint(&LeafSpec { not_after: soon, ..LeafSpec::server(&["other.example.com"]) });
    fs_err::create_dir(clerk.path("certs/other")).unwrap();
    clerk.write("certs/other/other-cert.pem", &foreign.chain_pem());
    clerk.write("certs/other/other-key.pem", &foreign.key_pem());
    clerk.issue("gone", "20");
    clerk.must(&["cert", "revoke", "certs/gone/gone-cert.pem"]);
    let rotated = rotate(&clerk, &["--backup", "certs/old", "--json"]);
    assert_eq!(rotated.code, 1);
    let rotated: Value = serde_json::from_str(&rotated.stdout).unwrap();
    let error = |name| one(&rotated, name)["error"].as_str().unwrap().to_owned();
    assert!(error("other").contains("no service's certificate"), "{}", error("other"));
    assert!(error("gone").contains("CERTIFICATE_STATE"), "{}", error("gone"));
    assert_eq!(one(&rotated, "web")["outcome"], "renewed");
    assert_eq!(clerk.text("certs/other/other-cert.pem"), foreign.chain_pem());
    assert_eq!(clerk.text("certs/other/other-key.pem"), foreign.key_pem());

    // Backups below the directory are no certificates to renew.
    fs_err::remove_dir_all(clerk.path("certs/other")).unwrap();
    fs_err::remove_dir_all(clerk.path("certs/gone")).unwrap();
    let again: Value = serde_json::from_str(done(&rotate(&clerk, &["--json"]))).unwrap();
    assert_eq!(again["certificates"].as_array().unwrap().len(), 1);
    fs_err::remove_dir_all(clerk.path("certs/web")).unwrap();
    assert!(done(&rotate(&clerk, &[])).contains("no certificate with its key below certs"));
    let nowhere = clerk.run(&["cert", "rotate", "--dir", "nowhere"]);
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.stderr.contains("find the directory with the certificates"), "{}", nowhere.stderr);
}

#[tokio::test]
async fn a_plan_leaves_what_was_rotated_alone() {
    let folder = tempfile::tempdir().unwrap();
    let plan = "[[ca]]\nname = \"top\"\nsubject = \"CN=Top\"\n[[ca]]\nname = \"web\"\nparent = \"top\"\nsubject = \"CN=Web\"\n\
                [[certificate]]\nname = \"site\"\nca = \"web\"\nprofile = \"service-server\"\ndns = [\"site.example.com\"]\nlifetime_days = 20\n";
    let mut installation = Installation::unstarted("", crate::harness::Time::Real);
    fs_err::write(folder.path().join("plan.toml"), plan).unwrap();
    let plan = folder.path().join("plan.toml");
    let init = ["ca", "init", "--plan", plan.to_str().unwrap(), "--out", "certs"];
    let made = installation.run(&init);
    assert_eq!(made.code, 0, "{}", made.stderr);
    installation.start_again().await;
    installation.set_up().await;
    let mut clerk = Clerk::at(installation).await;
    assert!(done(&rotate(&clerk, &[])).contains("renewed  site"));
    let renewed = clerk.text("certs/site/site-cert.pem");
    assert!(clerk.installation.terminate().await.success());
    let again = clerk.installation.run(&init);
    assert_eq!(
        (again.code, again.stdout.matches("made").count()),
        (0, 0),
        "{}{}",
        again.stdout,
        again.stderr
    );
    assert_eq!(clerk.text("certs/site/site-cert.pem"), renewed);
}
