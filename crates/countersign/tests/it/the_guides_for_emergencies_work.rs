//! Proves that what the guides for emergencies say works as it is written there: every command below is
//! cut out of the guide and run.

use std::path::Path;
use std::process::{Command, Stdio};

use countersign_testkit::{KeyKind, TestKey};
use serde_json::{Value, json};

use crate::harness::{AgentHome, Device, Installation, done, until};
use crate::program::repository;

/// The blocks for a shell below a heading of a guide; with `None` those before the first heading.
fn blocks(guide: &str, heading: Option<&str>) -> Vec<String> {
    let text = fs_err::read_to_string(repository().join("docs/guides").join(guide)).unwrap();
    let mut sections = text.split("\n## ");
    let section = match heading {
        None => sections.next(),
        Some(heading) => sections.find_map(|section| section.strip_prefix(heading)),
    };
    let section = section.unwrap_or_else(|| panic!("{guide} has no section {heading:?}"));
    let blocks = section.split("\n```sh\n").skip(1).map(|block| block.split("\n```").next().unwrap());
    let blocks: Vec<String> = blocks.map(|block| format!("{block}\n")).collect();
    assert!(!blocks.is_empty(), "{guide}: {heading:?}");
    blocks
}

/// Runs what a person would paste, in a folder, and gives what it printed.
async fn paste(folder: &Path, data: &Path, admin: &str, script: String) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_countersign")).parent().unwrap();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
    let script = script.replace("127.0.0.1:8080", admin);
    let script = script.replace("/var/lib/countersign", data.to_str().unwrap());
    let (folder, data, admin) = (folder.to_owned(), data.to_owned(), admin.to_owned());
    let pasted = tokio::task::spawn_blocking(move || {
        let ran = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(folder)
            .env_clear()
            .env("PATH", path)
            .env("COUNTERSIGN_DATA_DIR", data)
            .env("COUNTERSIGN_ADMIN_LISTEN", admin)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{script}\n--- printed\n{stdout}\n{stderr}");
        stdout.into_owned()
    });
    pasted.await.unwrap()
}

/// The emergency guide, at a running server, with an owner's token.
struct Emergency<'a>(&'a Installation);

impl Emergency<'_> {
    /// Runs a block of a section, with these variables.
    async fn run(&self, heading: &str, block: usize, variables: &[(&str, String)]) -> String {
        let (installation, session) = (self.0, self.0.admin().token().to_owned());
        crate::harness::private(&installation.folder().join("owner.token"), session.as_bytes());
        let mut script = format!("session={session}\n");
        script.extend(variables.iter().map(|(name, value)| format!("{name}={value}\n")));
        script.push_str(&blocks("emergency.md", None).concat());
        script.push_str(&blocks("emergency.md", Some(heading))[block]);
        let admin = installation.admin_address().to_string();
        paste(installation.folder(), &installation.data(), &admin, script).await
    }
}

async fn status(installation: &Installation, device: &Device) -> u16 {
    device.heartbeat(&mut device.connect(installation).await).await.status
}

#[tokio::test]
async fn going_back_to_off_lets_tokens_serve_and_no_revoked_certificate() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let (bare, revoked) =
        (Device::enrol(&installation, "bare").await, Device::enrol(&installation, "revoked").await);
    done(&admin.revoke(admin.active(revoked.id).await.unwrap().id, "keyCompromise").await);
    assert_eq!(bare.heartbeat(&mut installation.connect().await).await.status, 403);
    Emergency(&installation).run("Nobody gets in", 0, &[]).await;
    assert_eq!(bare.heartbeat(&mut installation.connect().await).await.status, 200);
    assert_eq!(status(&installation, &revoked).await, 403);
}

#[tokio::test]
async fn a_devices_certificate_is_replaced_at_once() {
    let installation = Installation::start().await;
    let (admin, guide) = (installation.admin(), Emergency(&installation));
    let home = AgentHome::enrolled(&installation).await;
    let held = home.text("mtls_cert_pem");
    let agent = home.run();
    let device = ("device", admin.the_device().await.id.to_string());
    guide.run("The certificate of a device", 0, &[device]).await;
    until("the agent has renewed", async || home.text("mtls_cert_pem") != held).await;
    assert!(agent.terminate().await.success());

    let stolen = Device::enrol(&installation, "stolen").await;
    let certificate = admin.active(stolen.id).await.unwrap().id.to_string();
    let variables = [("device", stolen.id.to_string()), ("certificate", certificate)];
    let printed = guide.run("The certificate of a device", 1, &variables).await;
    assert_eq!(status(&installation, &stolen).await, 403);
    let created: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    let key = created["key"].as_str().unwrap();
    let fresh = Device::enrol_with(&installation, key, "stolen", TestKey::generate(KeyKind::P256)).await;
    assert_eq!(fresh.id, stolen.id);
    assert_eq!(status(&installation, &fresh).await, 200);
    assert_eq!(status(&installation, &stolen).await, 403);
}

#[tokio::test]
async fn an_issuing_ca_whose_key_is_known_opens_nothing_any_more() {
    let installation = Installation::start().await;
    installation.admin().set(json!({ "enforcement": "enforce" })).await;
    let home = AgentHome::enrolled(&installation).await;
    let held = home.text("mtls_cert_pem");
    let agent = home.run();
    let bystander = Device::enrol(&installation, "bystander").await;
    let mut open = bystander.connect(&installation).await;
    assert_eq!(bystander.heartbeat(&mut open).await.status, 200);

    Emergency(&installation).run("An issuing CA", 0, &[]).await;
    open.closed().await;
    let refused = bystander.heartbeat(&mut bystander.connect(&installation).await).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "CERTIFICATE_UNTRUSTED"));
    until("the agent has another certificate", async || home.text("mtls_cert_pem") != held).await;
    let shown = installation.run(&["ca", "show", "device-2", "--json"]);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((&shown["state"], &shown["liveCertificates"]), (&json!("active"), &json!(1)), "{shown}");
    let client = installation.client().showing(&home.identity_pem());
    let mut connection = client.connect(installation.door()).await.unwrap();
    assert_eq!(home.heartbeat(&mut connection).await.status, 200);
    assert!(agent.terminate().await.success());
}

#[tokio::test]
async fn a_lost_machine_comes_back_by_the_guide() {
    let mut lost = Installation::start().await;
    let kept = Device::enrol(&lost, "kept").await;
    let stolen = Device::enrol(&lost, "stolen").await;
    let guide = "backup-and-restore.md";
    let steps = blocks(guide, Some("Make one"));
    let (folder, data, admin) = (lost.folder().to_owned(), lost.data(), lost.admin_address().to_string());
    for step in &steps[..2] {
        paste(&folder, &data, &admin, step.clone()).await;
    }
    done(&lost.admin().revoke(lost.admin().active(stolen.id).await.unwrap().id, "keyCompromise").await);
    paste(&folder, &data, &admin, steps[2].clone()).await;
    assert!(lost.terminate().await.success());

    for (heading, block) in [("Restore", 0), ("Without lists", 0)] {
        let mut found = lost.successor();
        for name in ["backup.passphrase", "countersign.backup", "device.crl", "service.crl"] {
            fs_err::copy(folder.join(name), found.folder().join(name)).unwrap();
        }
        let key = "key-encryption-key";
        fs_err::rename(found.data().join(key), found.folder().join(key)).unwrap();
        fs_err::remove_dir(found.data()).unwrap();
        let restore = blocks(guide, Some("Restore")).remove(0);
        let (prepare, _command) = restore.split_once("countersign restore").unwrap();
        let wanted = blocks(guide, Some(heading)).remove(block);
        let script = if heading == "Restore" { wanted } else { format!("{prepare}{wanted}") };
        let printed = paste(found.folder(), &found.data(), &admin, script).await;
        assert!(printed.starts_with("Restored countersign.internal as of "), "{printed}");
        found.start_again().await;
        let expected = if heading == "Restore" { 200 } else { 403 };
        assert_eq!(status(&found, &kept).await, expected, "{heading}");
        assert_eq!(status(&found, &stolen).await, 403, "{heading}");
    }
}
