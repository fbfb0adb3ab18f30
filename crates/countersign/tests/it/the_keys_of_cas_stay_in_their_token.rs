//! Proves with a real PKCS #11 token that the keys of CAs are made in it and stay there, that many
//! enrol at once, and that a token that is pulled out is named, waited for and used again.

use countersign_core::ids::DeviceId;
use countersign_store::{KeptKey, Store};
use countersign_testkit::{SoftToken, TOKEN_LABEL};
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Device, Installation, Time, until};

/// An installation whose CAs have their keys in `token`.
fn with_token(token: &SoftToken) -> Installation {
    let config = format!(
        "[pki.pkcs11]\nmodule = {:?}\ntoken = {TOKEN_LABEL:?}\npin_file = {:?}\n",
        SoftToken::module(),
        token.pin()
    );
    let mut installation = Installation::unstarted(&config, Time::Real);
    installation.set_variable("SOFTHSM2_CONF", token.configuration().as_os_str());
    installation
}

async fn is_active(installation: &Installation, device: DeviceId) -> bool {
    installation.admin().active(device).await.is_some()
}

#[tokio::test]
async fn they_are_made_in_it_and_sign_for_many_at_once() {
    let token = SoftToken::new();
    let mut installation = with_token(&token);
    installation.start_again().await;
    installation.set_up().await;
    installation.admin().set(json!({ "enforcement": "enforce" })).await;
    let names: Vec<String> = (0..24).map(|number| format!("pump-{number}")).collect();
    let devices = join_all(names.iter().map(|name| Device::enrol(&installation, name))).await;
    for device in &devices {
        let beat = device.heartbeat(&mut device.connect(&installation).await).await;
        assert_eq!(beat.status, 200, "{}", beat.text());
    }
    assert!(installation.terminate().await.success());

    // The same after a restart, which makes no other keys.
    installation.start_again().await;
    let late = Device::enrol(&installation, "late").await;
    assert!(is_active(&installation, late.id).await);
    assert!(installation.terminate().await.success());

    let url = format!("sqlite:{}", installation.data().join("countersign.db").display());
    let store = Store::open_for_reading(&url.parse().unwrap()).await.unwrap();
    let rows = store.read(|r| Box::pin(async move { r.issuers().await })).await.unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        let KeptKey::Pkcs11(uri) = &row.key else { panic!("{} is kept as {:?}", row.name, row.key) };
        assert!(uri.starts_with("pkcs11:token=countersign%20test;object=countersign%20"), "{uri}");
        assert!(!uri.contains("pin"), "{uri}");
    }
    let log = installation.log();
    assert!(!log.contains(countersign_testkit::TOKEN_PIN), "{log}");
}

#[tokio::test]
async fn one_that_is_pulled_out_is_named_and_used_again_when_it_is_back() {
    let token = SoftToken::new();
    let mut installation = with_token(&token);
    installation.start_again().await;
    installation.set_up().await;
    let before = Device::enrol(&installation, "before").await;

    token.pull_out();
    let mut count = 0;
    let mut without = None;
    // Whatever the module still has in memory may serve it for a moment.
    until("a device enrols without a certificate", async || {
        count += 1;
        let device = Device::enrol(&installation, &format!("during-{count}")).await;
        without = device.mtls.is_none().then_some(device);
        without.is_some()
    })
    .await;
    let without = without.unwrap();
    assert_eq!(without.mtls_reason.as_deref(), Some("issuer_unavailable"));
    until("the log names the token", async || {
        let log = installation.log();
        log.contains("\"countersign test\"") || log.contains("\\\"countersign test\\\"")
    })
    .await;
    // Who has a certificate is not concerned.
    let beat = before.heartbeat(&mut before.connect(&installation).await).await;
    assert_eq!(beat.status, 200, "{}", beat.text());

    token.put_in();
    until("a device enrols with a certificate again", async || {
        count += 1;
        Device::enrol(&installation, &format!("after-{count}")).await.mtls.is_some()
    })
    .await;
}

#[tokio::test]
async fn a_server_without_its_token_says_which_one_it_needs() {
    let token = SoftToken::new();
    let mut installation = with_token(&token);
    installation.start_again().await;
    assert!(installation.terminate().await.success());
    token.pull_out();
    assert!(!installation.start_in_vain().await.success());
    let log = installation.log();
    assert!(log.contains("countersign test"), "{log}");

    token.put_in();
    installation.start_again().await;
    installation.set_up().await;
    assert!(Device::enrol(&installation, "pump").await.mtls.is_some());
}
