//! An installation is made once and opens with its own name, its own key and its own CAs alone.

use countersign_authority::{Authority, KeySource, OpenError};
use countersign_core::audit::AuditEvent;
use countersign_store::{AuditFilter, ChainScope};

use super::house::{House, refused};

#[tokio::test]
async fn it_is_made_once_and_the_same_after_a_restart() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let (root, cas) = (house.authority.root_fingerprint(), house.authority.ca_certificates());
    let next = house.reopened(countersign_authority::IssuerMode::Embedded).await;
    assert_eq!((next.root_fingerprint(), next.ca_certificates()), (root, cas));
    next.authenticate_agent(&device.token).await.unwrap();
    let scope = ChainScope::Platform;
    let made = AuditFilter { scope, event: Some(AuditEvent::InstallationCreated), ..AuditFilter::default() };
    assert_eq!(house.audit(made).await.len(), 1);
    next.check_ready().await.unwrap();
}

#[tokio::test]
async fn fails_closed_under_another_name() {
    let house = House::new().await;
    let mut config = house.config();
    config.trust_domain = "elsewhere.example".parse().unwrap();
    let refusal = refused(Authority::open(house.store.clone(), house.clock.clone(), config).await);
    assert!(matches!(refusal, OpenError::OtherTrustDomain { .. }), "{refusal}");
}

#[tokio::test]
async fn fails_closed_without_its_key_and_with_another() {
    let house = House::new().await;
    let mut config = house.config();
    let lost = config.key_encryption_key.path().with_extension("lost");
    config.key_encryption_key = KeySource::File(lost.clone());
    let refusal = refused(Authority::open(house.store.clone(), house.clock.clone(), config.clone()).await);
    assert!(matches!(refusal, OpenError::NoKeyEncryptionKey(_)), "{refusal}");
    assert!(!lost.exists(), "no other key is put in its place");

    let other = House::new().await;
    config.key_encryption_key = other.config().key_encryption_key;
    let refusal = refused(Authority::open(house.store.clone(), house.clock.clone(), config).await);
    assert!(matches!(refusal, OpenError::Seal(_)), "{refusal}");
}
