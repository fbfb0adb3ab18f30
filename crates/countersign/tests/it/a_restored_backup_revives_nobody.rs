//! Proves that an installation lives on from its backup on an empty machine, and that whoever fell after
//! the backup stays fallen: what was revoked is revoked, and what was issued has to be proved again.

use countersign_api::wire::agent::RenewResponse;
use countersign_testkit::{KeyKind, TestKey};
use serde_json::{Value, json};

use super::start;
use crate::harness::{
    AgentHome, Device, Installation, RESTORE_WITHOUT_LISTS, assert_sound, done, read, until,
};

/// Renews and confirms, by showing the certificate that it has.
async fn renewed(installation: &Installation, device: &Device) -> Device {
    let fresh = TestKey::generate(KeyKind::P256);
    let csr = fresh.signing_request_der(&device.name);
    let mut own = device.connect(installation).await;
    let answer = device.renew_over_own(installation, &mut own, &csr).await;
    let renewal: RenewResponse = read(&answer);
    let device = Device { key: fresh, mtls: Some(renewal.mtls), ..device.clone() };
    done(&device.confirm(&mut device.connect(installation).await, renewal.certificate_id, None).await);
    device
}

async fn heartbeat(installation: &Installation, device: &Device) -> (u16, String) {
    let answer = device.heartbeat(&mut device.connect(installation).await).await;
    (answer.status, if answer.status == 200 { String::new() } else { answer.code() })
}

fn refused(code: &str) -> (u16, String) {
    (403, code.to_owned())
}

fn good() -> (u16, String) {
    (200, String::new())
}

fn report(ran: &crate::program::Ran) -> Value {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[tokio::test]
async fn devices_go_on_and_what_was_revoked_after_the_backup_stays_revoked() {
    let mut lost = start().await;
    let admin = lost.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let kept = Device::enrol(&lost, "kept").await;
    let stolen = Device::enrol(&lost, "stolen").await;
    let denied = Device::enrol(&lost, "denied").await;
    let replaced = Device::enrol(&lost, "replaced").await;
    let token = format!("/devices/{}/provisioning-token", kept.id);
    done(&admin.call("PUT", &token, Some(&json!({}))).await);
    let spare_key = admin.enrollment_key(json!({ "maxUses": 5 })).await.key;
    let epoch = lost.run(&["ca", "show", "device", "--json"]);
    assert_eq!(epoch.code, 0);

    lost.keep_passphrase();
    let arguments = ["backup", "--to", "countersign.backup", "--passphrase-file", "passphrase", "--json"];
    let backing_up = lost.run_meanwhile(&arguments);
    let mut meanwhile = Vec::new();
    while !backing_up.is_finished() {
        meanwhile.push(Device::enrol(&lost, &format!("meanwhile-{}", meanwhile.len())).await);
    }
    let made = report(&backing_up.await.unwrap());
    assert!(made["keyEncryptionKey"].as_str().unwrap().contains("key-encryption-key"), "{made}");
    assert!(!meanwhile.is_empty());

    done(&admin.revoke(admin.active(stolen.id).await.unwrap().id, "keyCompromise").await);
    done(&admin.deny(denied.id).await);
    done(&admin.call("DELETE", &token, None).await);
    let replaced_now = renewed(&lost, &replaced).await;
    let late = Device::enrol(&lost, "late").await;
    assert_eq!(heartbeat(&lost, &late).await, good());
    lost.fetch_lists().await;
    lost.kill().await;

    let mut found = lost.successor();
    let restored = report(&found.restore());
    assert_eq!(restored["cannotSign"], Value::Null, "{restored}");
    assert!(restored["certificatesRevoked"].as_u64().unwrap() >= 2, "{restored}");
    assert!(restored["enrollmentKeysRevoked"].as_u64().unwrap() >= 1, "{restored}");
    assert_eq!(restored["provisioningTokensEnded"], 1, "{restored}");
    found.start_again().await;
    found.sign_in().await;
    assert_sound(&found).await;

    assert_eq!(
        done(&found.admin().get(&token).await)["setAt"],
        Value::Null,
        "a token that was removed since"
    );
    assert_eq!(heartbeat(&found, &kept).await, good());
    assert_eq!(heartbeat(&found, &renewed(&found, &kept).await).await, good());
    for fallen in [&stolen, &denied] {
        assert_eq!(heartbeat(&found, fallen).await, refused("CERTIFICATE_REVOKED"), "{}", fallen.name);
        let answer = fallen.challenge(&mut found.connect().await).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "DEVICE_QUARANTINED"), "{}", fallen.name);
    }
    assert_eq!(found.admin().device(denied.id).await.status.as_str(), "quarantined");

    assert_eq!(heartbeat(&found, &late).await, refused("CERTIFICATE_UNPROVED"));
    let unknown = late.challenge(&mut late.connect(&found).await).await;
    assert_eq!(unknown.status, 401, "its token is not on record");
    let again = Device::enrol(&found, "late").await;
    assert_eq!(heartbeat(&found, &again).await, good());
    assert_eq!(
        heartbeat(&found, &late).await,
        refused("CERTIFICATE_UNPROVED"),
        "the old one is not proved by it"
    );

    assert_eq!(heartbeat(&found, &replaced).await, good(), "it was replaced, not revoked");
    assert_eq!(heartbeat(&found, &replaced_now).await, refused("CERTIFICATE_UNPROVED"));
    let proved = renewed(&found, &replaced_now).await;
    assert_eq!(heartbeat(&found, &proved).await, good());
    assert_eq!(heartbeat(&found, &replaced).await, refused("CERTIFICATE_SUPERSEDED"));

    let body = json!({ "enrollmentKey": spare_key, "hostname": "x", "osType": "linux", "osVersion": "12",
        "architecture": "x86_64", "agentVersion": "0.1.0" });
    let used = found.connect().await.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await.unwrap();
    assert_eq!(used.status, 401, "{}", used.text());
    assert_numbers_rose(&lost, &found).await;
    assert!(found.terminate().await.success());
    let verified = found.run(&["audit", "verify"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

/// Whoever saw the lost installation's lists and snapshots takes those of the restored one for newer.
async fn assert_numbers_rose(lost: &Installation, found: &Installation) {
    let before = lost.list_number("device");
    found.fetch_lists().await;
    let after = found.list_number("device");
    assert!(after > before + 1_000_000, "{before} {after}");
    let entries = found.admin().audit("event=installation.restored").await;
    let generation: u64 = entries[0].details["generation"].parse().unwrap();
    assert!(generation > 1_000_000, "{generation}");
}

#[tokio::test]
async fn what_a_renewal_revoked_leaves_its_device_in_place() {
    let mut lost = start().await;
    lost.admin().set(json!({ "renewalOverlapHours": 0 })).await;
    let replaced = Device::enrol(&lost, "replaced").await;
    lost.back_up().await;
    let replaced_now = renewed(&lost, &replaced).await;
    let is_revoked =
        async || lost.admin().states(replaced.id).await.iter().any(|state| state.as_str() == "revoked");
    until("the replaced certificate is revoked", is_revoked).await;
    lost.fetch_lists().await;
    lost.kill().await;

    let mut found = lost.successor();
    assert_eq!(report(&found.restore())["certificatesRevoked"], 1);
    found.start_again().await;
    found.sign_in().await;
    assert_eq!(heartbeat(&found, &replaced).await, refused("CERTIFICATE_REVOKED"));
    let fresh = TestKey::generate(KeyKind::P256);
    assert!(replaced.renewed(&found, &fresh).await.is_err(), "its key counts for nothing");
    assert_eq!(heartbeat(&found, &replaced_now).await, refused("CERTIFICATE_UNPROVED"));
    assert_eq!(heartbeat(&found, &renewed(&found, &replaced_now).await).await, good());
}

#[tokio::test]
async fn without_lists_every_device_waits_for_approval() {
    let mut lost = start().await;
    let kept = Device::enrol(&lost, "kept").await;
    let replaced = Device::enrol(&lost, "replaced").await;
    lost.back_up().await;
    let replaced_now = renewed(&lost, &replaced).await;
    assert!(lost.terminate().await.success());

    let mut found = lost.successor();
    let restored = report(&found.run(&RESTORE_WITHOUT_LISTS));
    assert_eq!((&restored["devicesWaiting"], &restored["lists"]), (&json!(2), &json!([])));
    found.start_again().await;
    found.sign_in().await;
    for device in [&kept, &replaced, &replaced_now] {
        assert_eq!(heartbeat(&found, device).await, refused("DEVICE_QUARANTINED"));
    }
    let waiting = found.admin().quarantined().await;
    assert!(waiting.iter().all(|device| device.quarantined_reason == "restored_from_backup"), "{waiting:?}");
    done(&found.admin().approve(kept.id).await);
    assert_eq!(heartbeat(&found, &renewed(&found, &kept).await).await, good());
    done(&found.admin().approve(replaced.id).await);
    assert_eq!(heartbeat(&found, &replaced_now).await, refused("CERTIFICATE_UNPROVED"));
    assert_eq!(heartbeat(&found, &renewed(&found, &replaced_now).await).await, good());
}

#[tokio::test]
async fn an_agent_proves_what_it_got_after_the_backup_by_itself() {
    let mut lost = start().await;
    let home = AgentHome::enrolled(&lost).await;
    lost.back_up().await;
    let ran = home.output(&["renew"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let held = home.text("mtls_cert_pem");
    lost.fetch_lists().await;
    assert!(lost.terminate().await.success());

    let mut found = lost.successor();
    report(&found.restore());
    found.start_again().await;
    found.sign_in().await;
    let agent = home.run();
    until("it holds another certificate", async || home.text("mtls_cert_pem") != held).await;
    until("it is online", async || found.admin().the_device().await.status.as_str() == "online").await;
    assert!(agent.terminate().await.success());
}
