//! A bearer token is replaced when its successor is confirmed, and by nothing else.

use countersign_authority::agent::{AgentAuthError, Possession};
use countersign_authority::token::{RevokeTokenError, RotateTokenError, StagedToken};
use countersign_authority::{Administer, Authorized, Forbidden};
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::CertificateState;
use countersign_core::ids::DeviceId;
use countersign_core::proof::ProofSubject;
use countersign_store::Role;

use super::house::{DAY, Device, House, SECOND, claim, refused, request};

impl House {
    async fn rotate(&self, device: &Device) -> Result<StagedToken, RotateTokenError> {
        let caller = self.caller(device).await;
        let shown = self.in_state(device.id, CertificateState::Active).await;
        self.authority.rotate_token(&caller, &Possession::Handshake(claim(&shown))).await
    }

    async fn confirm_token(&self, token: &str) -> Result<(), RotateTokenError> {
        match self.authority.authenticate_new_token(token).await {
            Ok(caller) => self.authority.confirm_token(&caller).await,
            Err(_) => Err(RotateTokenError::Unauthorized),
        }
    }

    async fn opens(&self, token: &str) -> bool {
        !matches!(self.authority.authenticate_agent(token).await, Err(AgentAuthError::Unauthorized))
    }
}

#[tokio::test]
async fn the_successor_opens_nothing_before_and_everything_after_its_confirmation() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let staged = house.rotate(&device).await.unwrap();
    assert_eq!(staged.confirm_before, house.now() + DAY);
    assert!(house.opens(&device.token).await && !house.opens(&staged.text).await);
    assert!(matches!(house.confirm_token(&device.token).await, Err(RotateTokenError::NotStaged)));
    for _ in 0..2 {
        house.confirm_token(&staged.text).await.unwrap();
        assert!(!house.opens(&device.token).await && house.opens(&staged.text).await);
    }
    let events = house.events(device.id).await;
    assert!(events.ends_with(&[AuditEvent::TokenStaged, AuditEvent::TokenRotated]), "{events:?}");
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn a_successor_is_void_after_a_day_or_another_or_when_its_predecessor_is_gone() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let first = house.rotate(&device).await.unwrap();
    let second = house.rotate(&device).await.unwrap();
    assert!(matches!(house.confirm_token(&first.text).await, Err(RotateTokenError::Unauthorized)));
    house.pass(DAY);
    assert!(matches!(house.confirm_token(&second.text).await, Err(RotateTokenError::Unauthorized)));
    house.confirm_token(&device.token).await.unwrap();
    house.authority.sweep().await.unwrap();

    let third = house.rotate(&device).await.unwrap();
    let key = house.key_for(device.id).await;
    let fresh = super::house::fresh_key();
    let enrolled = house.enrol(&request(&key, "pump", Some(&fresh))).await.unwrap();
    assert!(matches!(house.confirm_token(&third.text).await, Err(RotateTokenError::Unauthorized)));
    let back = Device::new(&enrolled, fresh);
    let fourth = house.rotate(&back).await.unwrap();
    house.authority.revoke_token(&house.administer(), device.id).await.unwrap();
    for token in [&back.token, &*fourth.text] {
        assert!(!house.opens(token).await);
        assert!(matches!(house.confirm_token(token).await, Err(RotateTokenError::Unauthorized)));
    }
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn it_takes_the_device_own_key() {
    let house = House::new().await;
    let (device, other) = (house.device("pump").await, house.device("other").await);
    let caller = house.caller(&device).await;
    let theirs = house.in_state(other.id, CertificateState::Active).await;
    let forged = house.proof(&device, &other.key, ProofSubject::RotateToken).await;
    let misused = house.proof(&device, &device.key, ProofSubject::Unenroll).await;
    for possession in [Possession::None, Possession::Handshake(claim(&theirs)), forged, misused] {
        let refusal = refused(house.authority.rotate_token(&caller, &possession).await);
        assert!(matches!(refusal, RotateTokenError::ProofNeeded), "{possession:?}: {refusal}");
    }
    let signed = house.proof(&device, &device.key, ProofSubject::RotateToken).await;
    house.authority.rotate_token(&caller, &signed).await.unwrap();
    // An expired certificate's handshake proves nothing, its key does.
    house.pass(DAY * 90 + SECOND);
    let shown = house.in_state(device.id, CertificateState::Active).await;
    let refusal = refused(house.authority.rotate_token(&caller, &Possession::Handshake(claim(&shown))).await);
    assert!(matches!(refusal, RotateTokenError::ProofNeeded), "{refusal}");
    let signed = house.proof(&device, &device.key, ProofSubject::RotateToken).await;
    house.authority.rotate_token(&caller, &signed).await.unwrap();
}

#[tokio::test]
async fn an_admin_revokes_it_once_in_the_own_tenant() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let stranger: Authorized<Administer> =
        house.person(Role::Admin, Some(other.id)).await.authorize().unwrap();
    let foreign = house.authority.revoke_token(&stranger, device.id).await;
    assert!(matches!(foreign, Err(RevokeTokenError::Forbidden(Forbidden::OtherTenant))));
    let unknown = house.authority.revoke_token(&house.administer(), DeviceId::random()).await;
    assert!(matches!(unknown, Err(RevokeTokenError::Unknown)));
    house.authority.revoke_token(&house.administer(), device.id).await.unwrap();
    let again = house.authority.revoke_token(&house.administer(), device.id).await;
    assert!(matches!(again, Err(RevokeTokenError::AlreadyRevoked)));
    assert!(!house.opens(&device.token).await);
    assert_eq!(house.count(AuditEvent::TokenRevoked).await, 1);
    house.check(&[device.id]).await;
}
