//! Proves that `keep_days` puts old entries of the audit into a folder before they are removed, that both parts verify,
//! also after kill -9, and that an anchor kept elsewhere shows when more is missing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Device, Time, days, done, eventually};

#[tokio::test]
async fn both_parts_verify() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!("[audit]\nkeep_days = 2\nkeep_older_in = {:?}\n", folder.path());
    let mut installation = super::configured(&config, Time::Fake).await;
    Device::enrol(&installation, "ws-01").await;
    let anchor = done(&installation.admin().post("/audit/anchors", &json!({})).await);
    fs_err::write(installation.folder().join("anchor.json"), anchor.to_string()).unwrap();
    installation.time().advance(days(3));
    let patience = Duration::from_secs(60);
    eventually(patience, "old entries are removed", async || {
        installation.log().contains("old audit entries removed").then_some(())
    })
    .await;
    installation.kill().await;
    installation.start_again().await;
    installation.sign_in().await;

    let cut = installation.admin().audit("event=audit.cut").await.pop().unwrap();
    let name = &cut.details["keptIn"];
    assert!(installation.admin().audit("event=device.enrolled").await.is_empty(), "it is old");
    let verify = |arguments: &[&str]| {
        let ran = installation.run(&[&["audit", "verify", "--json"], arguments].concat());
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        (ran.code, report)
    };
    let (code, report) = verify(&["--anchor", "anchor.json"]);
    assert_eq!((code, &report["intact"]), (0, &json!(true)), "{report}");
    let of_tenant =
        report["chains"].as_array().unwrap().iter().find(|one| one["tenant"] == "default").unwrap();
    assert!(of_tenant["from"].as_u64() > Some(1), "{report}");
    assert_eq!(of_tenant["cutBy"].to_string(), cut.details["anchor"]);
    let text = installation.run(&["audit", "verify"]).stdout;
    assert!(text.contains("on, before that removed up to anchor "), "{text}");

    let kept = folder.path().join(name);
    let vouches = kept.with_extension("anchor.json");
    let paths = [kept.to_str().unwrap(), vouches.to_str().unwrap()];
    let (code, report) = verify(&["--export", paths[0], "--anchor", paths[1]]);
    assert_eq!((code, &report["intact"]), (0, &json!(true)), "{report}");
    assert!(fs_err::read_to_string(&kept).unwrap().contains("device.enrolled"));
}
